// SPDX-License-Identifier: BSD-3-Clause
//
// Delta debugging over the instructions of a program.
#include "tests/fuzz/shrink.h"

#include <algorithm>
#include <array>

#include "lib/ebpf/program/structure.h"
#include "tests/fuzz/jumps.h"
#include "tests/support/asm.h"

namespace crema::test::fuzz {
namespace {

bool is_second_half(const ebpf::Program& program, std::size_t slot) {
    std::size_t at = 0;
    while (at < slot) {
        at += program.insns[at].code == op::kLdImm64 ? 2 : 1;
    }
    return at != slot;
}

/// Simpler instructions that may stand for this one.
std::vector<Insn> simpler(const Insn& insn) {
    std::vector<Insn> found;
    const std::uint8_t cls = op::insn_class(insn.code);
    if (ebpf::is_conditional_jump(insn)) {
        found.push_back(go(insn.off));
    }
    if (cls == op::kAlu || cls == op::kAlu64 || cls == op::kLdx) {
        for (const int constant : {0, 1, -1}) {
            const Insn move = mov_k(insn.dst, constant);
            if (move != insn) {
                found.push_back(move);
            }
        }
    }
    const bool by_constant = (cls == op::kAlu || cls == op::kAlu64 || cls == op::kSt ||
                              ebpf::is_conditional_jump(insn)) &&
                             !(cls != op::kSt && op::is_reg_source(insn.code));
    if (by_constant && op::operation(insn.code) != op::kEnd) {
        for (const std::int32_t constant : {0, 1, insn.imm / 2, insn.imm & 0xff}) {
            if (constant != insn.imm &&
                std::abs(std::int64_t{constant}) < std::abs(std::int64_t{insn.imm})) {
                Insn other = insn;
                other.imm = constant;
                found.push_back(other);
            }
        }
    }
    return found;
}

class Shrinker {
  public:
    Shrinker(Case from, const StillShows& shows, int trials_max)
        : best_(std::move(from)), shows_(shows), left_(trials_max) {}

    Case run() {
        keep_one_packet();
        for (bool smaller = true; smaller && left_ > 0;) {
            smaller = remove_ranges();
            smaller = simplify() || smaller;
        }
        shorten_packet();
        return std::move(best_);
    }

  private:
    bool takes(Case next) {
        if (left_-- <= 0 || next.program.insns.empty() || !shows_(next)) {
            return false;
        }
        best_ = std::move(next);
        return true;
    }

    void keep_one_packet() {
        for (std::size_t n = best_.packets.size(); n > 1 && best_.packets.size() > 1; --n) {
            Case next = best_;
            next.packets = {best_.packets[n - 1]};
            if (takes(std::move(next))) {
                return;
            }
        }
        // Not one alone: state that earlier packets left matters. Drop what can be.
        for (std::size_t i = 0; best_.packets.size() > 1 && i < best_.packets.size();) {
            Case next = best_;
            next.packets.erase(next.packets.begin() + static_cast<std::ptrdiff_t>(i));
            i += takes(std::move(next)) ? 0 : 1;
        }
    }

    bool remove_ranges() {
        bool any = false;
        for (std::size_t length = best_.program.insns.size() / 2; length > 0; length /= 2) {
            for (std::size_t first = 0; first < best_.program.insns.size() && left_ > 0;) {
                const std::size_t end = std::min(first + length, best_.program.insns.size());
                Case next = best_;
                next.program = without(best_.program, static_cast<std::uint32_t>(first),
                                       static_cast<std::uint32_t>(end));
                if (takes(std::move(next))) {
                    any = true;
                } else {
                    first += length;
                }
            }
        }
        return any;
    }

    bool simplify() {
        bool any = false;
        for (std::size_t slot = 0; slot < best_.program.insns.size() && left_ > 0; ++slot) {
            if (is_second_half(best_.program, slot)) {
                continue;
            }
            for (const Insn& insn : simpler(best_.program.insns[slot])) {
                Case next = best_;
                next.program.insns[slot] = insn;
                if (takes(std::move(next))) {
                    any = true;
                    break;
                }
            }
        }
        return any;
    }

    void shorten_packet() {
        for (std::size_t i = 0; i < best_.packets.size(); ++i) {
            for (const std::size_t bytes : {std::size_t{14}, std::size_t{34}, std::size_t{64}}) {
                Case next = best_;
                if (bytes < next.packets[i].size()) {
                    next.packets[i].resize(bytes);
                    if (takes(std::move(next))) {
                        break;
                    }
                }
            }
            for (std::size_t at = 0; at < best_.packets[i].size(); at += 8) {
                Case next = best_;
                const auto start = next.packets[i].begin() + static_cast<std::ptrdiff_t>(at);
                const auto end = start + static_cast<std::ptrdiff_t>(
                                             std::min<std::size_t>(8, next.packets[i].size() - at));
                if (std::any_of(start, end, [](std::uint8_t byte) { return byte != 0; })) {
                    std::fill(start, end, std::uint8_t{0});
                    static_cast<void>(takes(std::move(next)));
                }
            }
        }
    }

    Case best_;
    const StillShows& shows_;
    int left_;
};

}  // namespace

ebpf::Program without(const ebpf::Program& program, std::uint32_t first, std::uint32_t end) {
    if (is_second_half(program, first)) {
        --first;
    }
    if (end < program.insns.size() && is_second_half(program, end)) {
        ++end;
    }
    const auto after = [&](std::int64_t slot) -> std::int64_t {
        return slot <= first ? slot : slot < end ? first : slot - (end - first);
    };
    ebpf::Program shorter = program;
    shorter.insns.clear();
    shorter.functions.clear();
    shorter.lines.clear();
    for (std::size_t slot = 0; slot < program.insns.size(); ++slot) {
        const bool second = is_second_half(program, slot);
        if (slot >= first && slot < end) {
            continue;
        }
        Insn insn = program.insns[slot];
        const auto leads = second ? std::nullopt : distance(insn);
        if (leads) {
            const auto here = static_cast<std::int64_t>(slot);
            const std::int64_t target = after(here + 1 + *leads);
            set_distance(insn, static_cast<std::int32_t>(target - after(here) - 1));
        }
        shorter.insns.push_back(insn);
    }
    return shorter;
}

Case shrink(const Case& from, const StillShows& shows, int trials_max) {
    return Shrinker(from, shows, trials_max).run();
}

}  // namespace crema::test::fuzz
