// SPDX-License-Identifier: BSD-3-Clause
//
// Several programs on one port, one after the other on each frame, with the semantics of libxdp's
// dispatcher but without one: after each program its chain-call actions say whether the next one
// runs; else its verdict stands. When the last one would go on, too, the frame is passed. All of
// them see the same context, so packet, metadata and what a redirect helper asked for go on to the
// next one as they were left, and so does the number of tail calls taken.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "lib/ebpf/abi/verdict.h"
#include "lib/ebpf/abi/xdp_buff.h"
#include "lib/ebpf/syscall/loaded_program.h"
#include "lib/ebpf/syscall/ports.h"

namespace crema::xdp {

/// As many as libxdp's dispatcher takes.
inline constexpr std::size_t kChainMax = 10;

/// The verdict that no program gives and after which the dispatcher always goes on.
inline constexpr std::uint32_t kGoesOn = std::uint32_t{1} << 31;

/// Whether the next program runs after `act`. Codes above 63 count as what they are modulo 64,
/// those from 32 to 63 end the chain: the dispatcher asks by a shift of 64 bits.
[[nodiscard]] constexpr bool goes_on(std::uint32_t actions, std::uint32_t act) {
    return (std::uint64_t{actions} >> (act % 64) & 1) != 0;
}

/// What the path runs; immutable. Who publishes it keeps the programs alive.
struct Chain {
    struct Link {
        const ebpf::LoadedProgram* program = nullptr;
        std::uint32_t id = 0;       // of it
        std::uint32_t actions = 0;  // with kGoesOn
    };

    std::uint32_t n = 0;           // of links, > 0
    bool takes_fragments = false;  // each of them does
    std::array<Link, kChainMax> links;

    explicit Chain(const std::vector<ebpf::syscall::ChainedProgram>& programs);
};

/// Puts programs into the order in which libxdp runs them: by priority, name, who was there before
/// whom that comes now, tag, and when they were loaded; those that come now and are alike so far by
/// length, then as they are. present: of them programs[0..present) have been there before.
void sort_chain(std::vector<ebpf::syscall::ChainedProgram>& programs, std::size_t present);

/// One run of a chain that has several programs: for with_runs_of() below, which run_burst() calls.
struct ChainRuns {
    const Chain& chain;
    std::uint32_t& decider;  // gets the number of the program whose verdict stood, after each run
};

/// For forget_lengths() of run.h: one of them may leave a frame with other ends.
[[nodiscard]] inline bool moves_packet(const ChainRuns& runs) {
    return std::any_of(runs.chain.links.begin(), runs.chain.links.begin() + runs.chain.n,
                       [](const Chain::Link& link) { return link.program->moves_packet(0); });
}

[[nodiscard]] inline bool takes_fragments(const ChainRuns& runs) {
    return runs.chain.takes_fragments;
}

/// Where the programs of a chain start, for one burst.
class ChainStarts {
  public:
    explicit ChainStarts(const Chain& chain) : n_(chain.n) {
        for (std::uint32_t i = 0; i < n_; ++i) {
            const Chain::Link& link = chain.links[i];
            steps_[i] = {.start = link.program->start(), .id = link.id, .actions = link.actions};
        }
    }

    /// run_one(start, i): one run of program i, as with_runs_of() of one program would do it.
    ///
    /// Each place has a call of its own: a processor foresees where a call goes that always goes to
    /// the same program, and has to think about one that goes to each of them in turn.
    template <std::uint32_t I = 0, typename Run>
    [[gnu::always_inline]] std::uint64_t run(std::uint32_t& decider, Run run_one) const {
        const Step& step = steps_[I];
        const std::uint64_t result = run_one(step.start, I);
        const bool ends = !goes_on(step.actions, static_cast<std::uint32_t>(result));
        if (ends || I + 1 == n_) {
            decider = step.id;
            return ends ? result : static_cast<std::uint64_t>(ebpf::Verdict::pass);
        }
        if constexpr (I + 1 < kChainMax) {
            return run<I + 1>(decider, run_one);
        } else {
            return result;  // not reached: n_ is at most kChainMax
        }
    }

  private:
    struct Step {
        ebpf::Start start;
        std::uint32_t id = 0;
        std::uint32_t actions = 0;
    };

    std::uint32_t n_;
    std::array<Step, kChainMax> steps_;  // [0..n_) are set
};

/// As ebpf::with_runs_of(): calls body(run), where run(buff) is one run of the chain. While
/// somebody counts runs each program counts its own.
template <typename Body>
void with_runs_of(const ChainRuns& runs, Body body) {
    const ChainStarts starts(runs.chain);
    if (ebpf::run_stats::wanted()) [[unlikely]] {
        std::array<std::optional<ebpf::run_stats::Measured>, kChainMax> measured;
        std::array<ebpf::Start, kChainMax> held;
        for (std::uint32_t i = 0; i < runs.chain.n; ++i) {
            const ebpf::LoadedProgram& program = *runs.chain.links[i].program;
            held[i] = program.start();
            measured[i].emplace(held[i], program.stats);
        }
        body([&](ebpf::XdpBuff& buff) {
            const auto run_one = [&](const ebpf::Start&, std::uint32_t i)
                __attribute__((noinline)) {
                return (*measured[i])(buff);
            };
            return starts.run(runs.decider, run_one);
        });
    } else {
        body([&](ebpf::XdpBuff& buff) {
            return starts.run(runs.decider, [&](const ebpf::Start& start, std::uint32_t) {
                return start.entry(&buff, start.self);
            });
        });
    }
}

}  // namespace crema::xdp
