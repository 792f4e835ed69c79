// SPDX-License-Identifier: BSD-3-Clause
//
// The stack of a whole call chain: frames are rounded up to 16 bytes and must fit 512 together,
// with at most 256 before one that may tail-call. Judged over all calls that are written down,
// walked or not, as in the kernel; which is why recursion in dead code is found here.
#include <algorithm>
#include <cerrno>

#include "lib/ebpf/program/structure.h"
#include "lib/ebpf/verifier/machine.h"

namespace crema::ebpf::verifier {

namespace {

constexpr std::uint32_t kChainBytesMax = 512, kBeforeTailCallMax = 256, kFrameAlign = 16;

struct Call {
    std::uint32_t insn;
    std::uint32_t function;
    bool direct;
};

class Chains {
  public:
    Chains(const Program& program, std::span<const Function> functions, const Proof& proof)
        : functions_(functions), proof_(proof), calls_(functions.size()), seen_(functions.size()) {
        // Functions lie one after the other. A call that a caller repeats adds nothing.
        std::vector<bool> known(2 * functions.size());
        for (std::uint32_t caller = 0; caller < functions.size(); ++caller) {
            known.assign(known.size(), false);
            for (std::uint32_t i = functions[caller].first; i < functions[caller].end; ++i) {
                const auto target = function_target(program.insns[i], i);
                if (!target) {
                    continue;
                }
                const std::uint32_t callee =
                    function_of(functions, static_cast<std::uint32_t>(*target));
                const bool direct = is_call(program.insns[i]);
                if (!known[2 * callee + (direct ? 1 : 0)]) {
                    known[2 * callee + (direct ? 1 : 0)] = true;
                    calls_[caller].push_back({i, callee, direct});
                }
            }
        }
    }

    /// Judges the chain that reaches `function` with `before` bytes in `frame` frames above it.
    [[nodiscard]] std::optional<Refusal> walk(std::uint32_t function,
                                              std::uint32_t before,
                                              std::uint32_t frame) {
        const FunctionFacts& facts = proof_.functions[function];
        const std::uint32_t at = functions_[function].first;
        if (function != 0 && facts.tail_calls && before >= kBeforeTailCallMax) {
            return Refusal{EACCES, at,
                           fmt::format("tail_calls are not allowed when call stack of previous "
                                       "frames is {} bytes. Too large",
                                       before)};
        }
        const std::uint32_t depth =
            before + (facts.stack_bytes + kFrameAlign - 1) / kFrameAlign * kFrameAlign;
        if (depth > kChainBytesMax) {
            return Refusal{
                EACCES, at,
                fmt::format("combined stack size of {} calls is {}. Too large", frame + 1, depth)};
        }
        if (covered(function, before, frame)) {
            return std::nullopt;
        }
        for (const Call& call : calls_[function]) {
            if (!call.direct && proof_.functions[call.function].async_callback) {
                continue;  // runs on a stack of its own
            }
            if (frame + 1 >= kFramesMax) {
                return Refusal{E2BIG, call.insn,
                               fmt::format("the call stack of {} frames is too deep !", frame + 1)};
            }
            if (auto refusal = walk(call.function, depth, frame + 1)) {
                return refusal;
            }
        }
        return std::nullopt;
    }

  private:
    struct Visit {
        std::uint32_t before;
        std::uint32_t frame;
    };

    /// A visit that was at least as deep has passed; else remembers this one.
    bool covered(std::uint32_t function, std::uint32_t before, std::uint32_t frame) {
        std::vector<Visit>& seen = seen_[function];
        if (std::any_of(seen.begin(), seen.end(),
                        [&](const Visit& v) { return v.before >= before && v.frame >= frame; })) {
            return true;
        }
        seen.push_back({before, frame});
        return false;
    }

    std::span<const Function> functions_;
    const Proof& proof_;
    std::vector<std::vector<Call>> calls_;
    std::vector<std::vector<Visit>> seen_;
};

}  // namespace

std::optional<Refusal> check_stack_depth(const Program& program,
                                         std::span<const Function> functions,
                                         const Proof& proof) {
    Chains chains(program, functions, proof);
    for (std::uint32_t n = 0; n < functions.size(); ++n) {
        if (n == 0 || proof.functions[n].async_callback) {
            if (auto refusal = chains.walk(n, 0, 0)) {
                return refusal;
            }
        }
    }
    return std::nullopt;
}

}  // namespace crema::ebpf::verifier
