// SPDX-License-Identifier: BSD-3-Clause
//
// Which registers are read later: classic backward data flow over the control-flow graph. Pruning
// ignores registers that nobody reads. Dead branches count as live here, which only costs a
// comparison.
#include <numeric>
#include <span>
#include <vector>

#include "lib/ebpf/program/structure.h"
#include "lib/ebpf/verifier/machine.h"

namespace crema::ebpf::verifier {

namespace {

constexpr std::uint16_t bit(unsigned reg) {
    return static_cast<std::uint16_t>(1U << reg);
}

Uses alu_uses(const Insn& insn) {
    const std::uint8_t operation = op::operation(insn.code);
    Uses uses{0, bit(insn.dst)};
    if (operation != op::kMov) {
        uses.reads |= bit(insn.dst);
    }
    if (op::is_reg_source(insn.code) && operation != op::kEnd && operation != op::kNeg) {
        uses.reads |= bit(insn.src);
    }
    return uses;
}

Uses jump_uses(const Insn& insn) {
    switch (op::operation(insn.code)) {
        case op::kJa:
        case op::kJcond:
            return {};
        case op::kExit:
            return {bit(0), 0};
        case op::kCall: {
            Uses uses{0, 0x3f};
            if (insn.src == op::kPseudoCall) {
                uses.reads =
                    0x3e;  // the callee says which; it is looked at with the caller's state
                return uses;
            }
            if (insn.src == op::kPseudoKfunc) {
                const auto* function = kfuncs::find(insn.imm);
                uses.reads = function != nullptr ? function->registers_read() : std::uint16_t{0};
                return uses;
            }
            const auto* helper = insn.src == op::kHelperCall
                                     ? helpers::find(static_cast<std::uint32_t>(insn.imm))
                                     : nullptr;
            if (helper != nullptr) {
                uses.reads = helper->registers_read();
            }
            return uses;
        }
        default: {
            Uses uses{bit(insn.dst), 0};
            if (op::is_reg_source(insn.code)) {
                uses.reads |= bit(insn.src);
            }
            return uses;
        }
    }
}

Uses atomic_uses(const Insn& insn) {
    const int result = atomic_result(insn);
    const std::uint16_t writes = result < 0 ? std::uint16_t{0} : bit(static_cast<unsigned>(result));
    if (is_load_acquire(insn)) {
        return {bit(insn.src), writes};
    }
    auto reads = static_cast<std::uint16_t>(bit(insn.dst) | bit(insn.src));
    if (insn.imm == op::kAtomicCmpxchg) {
        reads |= bit(0);
    }
    return {reads, writes};
}

template <typename Visit>
void each_successor(const std::vector<Insn>& insns, std::uint32_t n, Visit&& visit) {
    // Named: all() is a view of it, and a temporary would be gone in the loop.
    const Successors after = successors(insns[n], n);
    for (const std::int64_t next : after.all()) {
        if (next < static_cast<std::int64_t>(insns.size())) {
            visit(static_cast<std::uint32_t>(next));
        }
    }
}

/// Per instruction: those that it follows.
class Predecessors {
  public:
    explicit Predecessors(const std::vector<Insn>& insns) : first_(insns.size() + 1, 0) {
        const auto size = static_cast<std::uint32_t>(insns.size());
        for (std::uint32_t n = 0; n < size; ++n) {
            each_successor(insns, n, [&](std::uint32_t next) { ++first_[next]; });
        }
        std::partial_sum(first_.begin(), first_.end(), first_.begin());
        all_.resize(first_.back());
        for (std::uint32_t n = 0; n < size; ++n) {
            each_successor(insns, n, [&](std::uint32_t next) { all_[--first_[next]] = n; });
        }
    }

    [[nodiscard]] std::span<const std::uint32_t> of(std::uint32_t n) const {
        return std::span(all_).subspan(first_[n], first_[n + 1] - first_[n]);
    }

  private:
    std::vector<std::uint32_t> first_;  // index into all_; one more than instructions
    std::vector<std::uint32_t> all_;
};

}  // namespace

Uses register_uses(const Insn& insn) {
    switch (op::insn_class(insn.code)) {
        case op::kAlu:
        case op::kAlu64:
            return alu_uses(insn);
        case op::kJmp:
        case op::kJmp32:
            return jump_uses(insn);
        case op::kLd:
            return {0, bit(insn.dst)};
        case op::kLdx:
            return {bit(insn.src), bit(insn.dst)};
        case op::kSt:
            return {bit(insn.dst), 0};
        default:
            return is_atomic(insn)
                       ? atomic_uses(insn)
                       : Uses{static_cast<std::uint16_t>(bit(insn.dst) | bit(insn.src)), 0};
    }
}

std::vector<std::uint16_t> live_registers(const Program& program) {
    const auto& insns = program.insns;
    const Predecessors before(insns);
    std::vector<std::uint16_t> live(insns.size(), 0);
    // The last one first, then those before what has changed.
    std::vector<std::uint32_t> work(insns.size());
    std::iota(work.begin(), work.end(), 0U);
    std::vector<bool> waits(insns.size(), true);
    while (!work.empty()) {
        const std::uint32_t n = work.back();
        work.pop_back();
        waits[n] = false;
        const Uses uses = register_uses(insns[n]);
        std::uint16_t out = 0;
        each_successor(insns, n, [&](std::uint32_t next) { out |= live[next]; });
        const auto in = static_cast<std::uint16_t>((out & ~uses.writes) | uses.reads);
        if (in == live[n]) {
            continue;
        }
        live[n] = in;
        for (const std::uint32_t earlier : before.of(n)) {
            if (!waits[earlier]) {
                waits[earlier] = true;
                work.push_back(earlier);
            }
        }
    }
    return live;
}

}  // namespace crema::ebpf::verifier
