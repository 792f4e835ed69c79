// SPDX-License-Identifier: BSD-3-Clause
//
// See reference_interpreter.h. Semantics: RFC 9669, and what was measured on the kernel for
// division by zero, shift counts and 32-bit results.
#include "tests/support/reference_interpreter.h"

#include <cstring>

#include "lib/ebpf/maps/map.h"

namespace crema::test {

namespace {

using ebpf::Insn;
namespace op = ebpf::op;

class Machine {
  public:
    Machine(const ebpf::Program& program, ebpf::XdpBuff& buff) : program_(program), buff_(buff) {
        regs_[1] = kContext;
        regs_[10] = reinterpret_cast<std::uintptr_t>(stack_.data() + stack_.size());
    }

    ReferenceResult run(std::uint64_t steps_max, const Observer& observe) {
        for (std::uint64_t step = 0; step < steps_max && at_ < program_.insns.size(); step++) {
            const Insn insn = program_.insns[at_];
            if (observe) {
                observe(at_, regs_, is_conditional(insn) && condition(insn));
            }
            if (insn.code == (op::kJmp | op::kExit)) {
                return {true, regs_[0]};
            }
            if (!execute(insn)) {
                return {};
            }
        }
        return {};
    }

  private:
    static constexpr std::uint64_t kContext = 0x1000;  // stands for the context pointer

    static bool is_conditional(const Insn& insn) {
        const std::uint8_t cls = insn.code & 7U;
        const std::uint8_t operation = insn.code & 0xf0U;
        return (cls == op::kJmp || cls == op::kJmp32) && operation != op::kJa &&
               operation != op::kCall && operation != op::kExit;
    }

    static std::uint64_t sign_extended(std::int32_t imm) {
        return static_cast<std::uint64_t>(std::int64_t{imm});
    }

    [[nodiscard]] std::uint64_t operand(const Insn& insn) const {
        return (insn.code & op::kX) != 0 ? regs_[insn.src] : sign_extended(insn.imm);
    }

    [[nodiscard]] bool condition(const Insn& insn) const {
        std::uint64_t a = regs_[insn.dst];
        std::uint64_t b = operand(insn);
        if ((insn.code & 7U) == op::kJmp32) {
            // Compare the low halves, placed so that sign and order carry over.
            a <<= 32U;
            b <<= 32U;
        }
        const auto sa = static_cast<std::int64_t>(a);
        const auto sb = static_cast<std::int64_t>(b);
        switch (insn.code & 0xf0U) {
            case op::kJeq:
                return a == b;
            case op::kJne:
                return a != b;
            case op::kJgt:
                return a > b;
            case op::kJge:
                return a >= b;
            case op::kJlt:
                return a < b;
            case op::kJle:
                return a <= b;
            case op::kJset:
                return (a & b) != 0;
            case op::kJsgt:
                return sa > sb;
            case op::kJsge:
                return sa >= sb;
            case op::kJslt:
                return sa < sb;
            default:
                return sa <= sb;
        }
    }

    template <typename Word, typename Signed>
    static Word compute(std::uint8_t operation, Word a, Word b) {
        constexpr Word kMask = sizeof(Word) * 8 - 1;
        switch (operation) {
            case op::kAdd:
                return a + b;
            case op::kSub:
                return a - b;
            case op::kMul:
                return a * b;
            case op::kDiv:
                return b == 0 ? 0 : a / b;
            case op::kMod:
                return b == 0 ? a : a % b;
            case op::kOr:
                return a | b;
            case op::kAnd:
                return a & b;
            case op::kXor:
                return a ^ b;
            case op::kLsh:
                return a << (b & kMask);
            case op::kRsh:
                return a >> (b & kMask);
            case op::kArsh:
                return static_cast<Word>(static_cast<Signed>(a) >> (b & kMask));
            case op::kNeg:
                return static_cast<Word>(0) - a;
            default:
                return b;  // move
        }
    }

    static std::uint64_t byte_order(bool to_big, std::int32_t width, std::uint64_t value) {
        switch (width) {
            case 16: {
                const auto half = static_cast<std::uint16_t>(value);
                return to_big ? __builtin_bswap16(half) : half;
            }
            case 32: {
                const auto word = static_cast<std::uint32_t>(value);
                return to_big ? __builtin_bswap32(word) : word;
            }
            default:
                return to_big ? __builtin_bswap64(value) : value;
        }
    }

    void arithmetic(const Insn& insn) {
        const std::uint8_t operation = insn.code & 0xf0U;
        std::uint64_t& dst = regs_[insn.dst];
        if (operation == op::kEnd) {
            dst = byte_order((insn.code & op::kX) != 0, insn.imm, dst);
        } else if ((insn.code & 7U) == op::kAlu64) {
            dst = compute<std::uint64_t, std::int64_t>(operation, dst, operand(insn));
        } else {
            dst = compute<std::uint32_t, std::int32_t>(operation, static_cast<std::uint32_t>(dst),
                                                       static_cast<std::uint32_t>(operand(insn)));
        }
    }

    [[nodiscard]] std::uint64_t context_field(std::int16_t off) const {
        switch (off) {
            case 0:
                return reinterpret_cast<std::uintptr_t>(buff_.data);
            case 4:
                return reinterpret_cast<std::uintptr_t>(buff_.data_end);
            case 8:
                return reinterpret_cast<std::uintptr_t>(buff_.data_meta);
            case 12:
                return buff_.ingress_ifindex;
            case 16:
                return buff_.rx_queue_index;
            default:
                return buff_.egress_ifindex;
        }
    }

    void load(const Insn& insn) {
        if (regs_[insn.src] == kContext) {
            regs_[insn.dst] = context_field(insn.off);
            return;
        }
        std::uint64_t value = 0;
        std::memcpy(&value, address(insn.src, insn.off), op::access_bytes(insn.code));
        regs_[insn.dst] = value;
    }

    void store(const Insn& insn) {
        const std::uint64_t value =
            (insn.code & 7U) == op::kSt ? sign_extended(insn.imm) : regs_[insn.src];
        void* to = address(insn.dst, insn.off);
        const std::uint32_t bytes = op::access_bytes(insn.code);
        std::uint64_t out = value;
        if ((insn.code & 0xe0U) == op::kAtomic) {
            std::uint64_t old = 0;
            std::memcpy(&old, to, bytes);
            out = old + value;
        }
        std::memcpy(to, &out, bytes);
    }

    [[nodiscard]] void* address(std::uint8_t reg, std::int16_t off) const {
        return reinterpret_cast<void*>(regs_[reg] + sign_extended(off));
    }

    void constant(const Insn& insn) {
        const Insn& second = program_.insns[at_];
        const auto high = static_cast<std::uint32_t>(second.imm);
        if (insn.src == 0) {
            regs_[insn.dst] = (std::uint64_t{high} << 32U) | static_cast<std::uint32_t>(insn.imm);
        } else {
            const auto* map = program_.maps[static_cast<std::size_t>(insn.imm)].get();
            regs_[insn.dst] = insn.src == op::kPseudoMap
                                  ? reinterpret_cast<std::uintptr_t>(map)
                                  : reinterpret_cast<std::uintptr_t>(map->layout().base) + high;
        }
        at_++;
    }

    bool call(std::int32_t id) {
        if (id == 23) {
            regs_[0] = regs_[2] == 0 ? 4 : 0;
        } else if (id == 1) {
            const auto* map = reinterpret_cast<const ebpf::maps::Map*>(regs_[1]);
            std::uint32_t key = 0;
            std::memcpy(&key, address(2, 0), sizeof key);
            const ebpf::maps::ValueLayout layout = map->layout();
            const std::uint64_t value = reinterpret_cast<std::uintptr_t>(layout.base) +
                                        buff_.cpu * layout.percpu_stride +
                                        std::uint64_t{key} * layout.stride;
            regs_[0] = key < map->spec().max_entries ? value : 0;
        } else {
            return false;
        }
        for (std::size_t reg = 1; reg <= 5; reg++) {
            regs_[reg] = 0xdeadbeefdeadbeef;
        }
        return true;
    }

    bool execute(const Insn& insn) {
        at_++;
        switch (insn.code & 7U) {
            case op::kLd:
                constant(insn);
                return insn.code == op::kLdImm64;
            case op::kLdx:
                load(insn);
                return true;
            case op::kSt:
            case op::kStx:
                store(insn);
                return true;
            case op::kAlu:
            case op::kAlu64:
                arithmetic(insn);
                return true;
            default:
                break;
        }
        if (insn.code == (op::kJmp | op::kCall)) {
            return call(insn.imm);
        }
        if (insn.code == (op::kJmp | op::kJa) || condition(insn)) {
            at_ = static_cast<std::size_t>(static_cast<std::int64_t>(at_) + insn.off);
        }
        return true;
    }

    const ebpf::Program& program_;
    ebpf::XdpBuff& buff_;
    Registers regs_{};
    alignas(16) std::array<std::uint8_t, 512> stack_{};
    std::size_t at_ = 0;
};

}  // namespace

ReferenceResult run_reference(const ebpf::Program& program,
                              ebpf::XdpBuff& buff,
                              std::uint64_t steps_max,
                              const Observer& observe) {
    return Machine(program, buff).run(steps_max, observe);
}

}  // namespace crema::test
