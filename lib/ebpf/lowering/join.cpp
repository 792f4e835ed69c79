// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/lowering/join.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "lib/ebpf/lowering/rebuild.h"
#include "lib/ebpf/lowering/straight_run.h"

namespace crema::ebpf::lowering {

namespace {

class Joiner {
  public:
    explicit Joiner(Joined& joined)
        : joined_(joined), budget_(kStepsPerInsn * joined.program.insns.size()) {}

    void run() {
        const std::size_t n = joined_.program.insns.size();
        for (std::size_t at = 0; at < n && budget_ > 0;) {
            at = joined_.flow.emitted[at] ? join_at(at) : at + 1;
        }
    }

  private:
    static constexpr std::size_t kInsnsMax = 96;      // of a piece
    static constexpr std::size_t kStepsPerInsn = 64;  // all tries together, on average
    static constexpr int kTries = 4;                  // per piece

    [[nodiscard]] std::size_t slots_at(std::size_t at) const {
        return joined_.program.insns[at].code == op::kLdImm64 ? 2 : 1;
    }

    /// Follows the program from `first`, for at most `steps_max` instructions. Gives the slot
    /// behind the piece, and how many of its instructions compute something.
    std::size_t follow(std::size_t first, std::size_t steps_max, StraightRun& run) {
        const auto& insns = joined_.program.insns;
        useful_ = 0;
        std::size_t at = first;
        while (at < insns.size() && run.steps() < steps_max && joined_.flow.emitted[at] &&
               (at == first || !joined_.flow.is_target[at])) {
            const std::int32_t second = slots_at(at) == 2 ? insns[at + 1].imm : 0;
            budget_ -= budget_ > 0 ? 1 : 0;
            if (!run.step(insns[at], second, joined_.proof.insns[at])) {
                break;
            }
            useful_ += joined_.flow.is_dead[at] ? 0 : 1;
            last_ = at;
            at += slots_at(at);
        }
        return at;
    }

    /// Where to look next.
    std::size_t join_at(std::size_t first) {
        std::size_t steps_max = kInsnsMax;
        for (int tried = 0; tried < kTries; tried++) {
            StraightRun run;
            const std::size_t end = follow(first, steps_max, run);
            if (run.accesses() < 2) {
                return std::max(end, first + 1);
            }
            const Rebuilt built = rebuild(run, joined_.flow.live_out[last_]);
            if (!built.insns.empty() || built.steps != 0) {
                const bool shorter = built.accesses < run.accesses() && built.steps < useful_ &&
                                     built.insns.size() <= end - first;
                if (shorter) {
                    replace(first, end, built.insns);
                }
                return end;
            }
            steps_max = built.cut;
            if (steps_max == 0) {
                break;
            }
        }
        return first + slots_at(first);
    }

    void replace(std::size_t first, std::size_t end, const std::vector<Insn>& by) {
        constexpr Insn kNothing = {
            .code = op::kJmp | op::kJa, .dst = 0, .src = 0, .off = 0, .imm = 0};
        bool second_half = false;
        for (std::size_t at = first; at < end; at++) {
            const Insn insn = at - first < by.size() ? by[at - first] : kNothing;
            const std::uint8_t cls = op::insn_class(insn.code);
            const bool is_access = cls == op::kLdx || cls == op::kSt || cls == op::kStx;
            joined_.program.insns[at] = insn;
            joined_.proof.insns[at] = {.reachable = true,
                                       .access = is_access && !second_half
                                                     ? verifier::Access::memory
                                                     : verifier::Access::none};
            joined_.flow.emitted[at] = !second_half;
            second_half = !second_half && insn.code == op::kLdImm64;
        }
        joined_.changed = true;
    }

    Joined& joined_;
    std::size_t budget_;
    std::size_t last_ = 0;    // of the piece: its last instruction
    std::size_t useful_ = 0;  // of the piece: instructions that are not dead
};

}  // namespace

Joined join_accesses(const Program& program, const verifier::Proof& proof, const Flow& flow) {
    Joined joined{.program = program, .proof = proof, .flow = flow};
    Joiner(joined).run();
    return joined;
}

}  // namespace crema::ebpf::lowering
