// SPDX-License-Identifier: BSD-3-Clause
//
// Runs one program, or several one after the other, over one burst. One XdpBuff on the stack serves
// the whole burst: what is constant for the queue is written once, four pointers per frame. Packet
// data is prefetched a few frames ahead; nothing else of a frame is touched here, but for the pages
// behind the first of one that has fragments.
#pragma once

#include <cstdint>

#include <rte_prefetch.h>

#include "lib/ebpf/abi/fragments.h"
#include "lib/ebpf/abi/run_scope.h"
#include "lib/ebpf/abi/xdp_buff.h"
#include "lib/ebpf/syscall/loaded_program.h"
#include "lib/page_pool/dma.h"
#include "lib/page_pool/page.h"
#include "lib/topology/this_cpu.h"
#include "lib/xdp/dispatch.h"
#include "lib/xdp/fragments.h"

namespace crema::xdp {

inline constexpr std::uint32_t kPrefetchAhead = 4;  // frames

/// Sets the part of `buff` that changes per frame, but for fragments.
inline void point_at(ebpf::XdpBuff& buff, const Frame& frame) {
    buff.data = frame.data;
    buff.data_end = frame.data + frame.len;
    buff.data_meta = frame.data - frame.meta_len;
    buff.data_hard_start = page_pool::hard_start_of(frame.page);
    // A program may return REDIRECT without having asked for a target.
    buff.redirect.kind = ebpf::RedirectTarget::Kind::none;
    buff.tail_calls = 0;
}

[[nodiscard]] inline bool takes_fragments(const ebpf::LoadedProgram& program) {
    return program.program.has_frags;
}

/// run_one() of a frame with fragments: ABORTED without a run when the program does not take them.
template <typename Runs, typename Run, typename Exit>
[[gnu::cold, gnu::noinline]] void run_pieces(const Runs& runs,
                                             Run& run,
                                             ebpf::XdpBuff& buff,
                                             const Frame& frame,
                                             bool may_grow,
                                             Exit& exit) {
    rte_mbuf* const page = frame.page;
    ebpf::Fragments fragments;  // NOLINT(*-init): filled at once
    point_at(buff, frame);
    show_fragments(buff, frame, fragments, may_grow);
    const auto act = takes_fragments(runs) ? static_cast<std::uint32_t>(run(buff))
                                           : static_cast<std::uint32_t>(ebpf::Verdict::aborted);
    exit.take_pieces(buff, page, act);
    buff.fragments = nullptr;
}

/// Runs what `runs` is, by `run`, over one frame, and hands it to `exit`. Runs and Exit: as of
/// run_burst(). may_grow: whether its last fragment may.
template <typename Runs, typename Run, typename Exit>
[[gnu::always_inline]] inline void run_one(const Runs& runs,
                                           Run& run,
                                           ebpf::XdpBuff& buff,
                                           const Frame& frame,
                                           bool may_grow,
                                           Exit& exit) {
    if (frame.fragments != 0) [[unlikely]] {
        run_pieces(runs, run, buff, frame, may_grow, exit);
        return;
    }
    rte_mbuf* const page = frame.page;
    point_at(buff, frame);
    exit.take(buff, page, static_cast<std::uint32_t>(run(buff)));
}

[[nodiscard]] inline bool moves_packet(const ebpf::LoadedProgram& program) {
    return program.moves_packet(0);
}

/// Before `runs`, a LoadedProgram or ChainRuns, come over these frames: how much of their pages
/// CPUs touched is known no more if they may be longer afterwards.
template <typename Runs>
void forget_lengths(const Runs& runs, const Frame* frames, std::uint32_t n) {
    if (page_pool::notes_matter() && moves_packet(runs)) [[unlikely]] {
        for (std::uint32_t i = 0; i < n; ++i) {
            page_pool::forget_touched(frames[i].page);
        }
    }
}

/// frames[0..n), n <= kBurstMax. `buff` holds what is constant. Caller: a Reader is entered.
/// Runs: LoadedProgram or ChainRuns, what has a with_runs_of().
/// Exit: Dispatch, or what stands in front of one: take() gets frames in one page, take_pieces()
/// those that had fragments when they came.
template <typename Runs, typename Exit>
void run_burst(const Runs& program,
               ebpf::XdpBuff& buff,
               const Frame* frames,
               std::uint32_t n,
               Exit& dispatch) {
    const ebpf::RunScope scope(buff);
    forget_lengths(program, frames, n);
    for (std::uint32_t i = 0; i < n && i < kPrefetchAhead; ++i) {
        rte_prefetch0(frames[i].data);
    }
    with_runs_of(program, [&](auto&& run) {
        for (std::uint32_t i = 0; i < n; ++i) {
            if (i + kPrefetchAhead < n) {
                rte_prefetch0(frames[i + kPrefetchAhead].data);
            }
            run_one(program, run, buff, frames[i], true, dispatch);
        }
    });
}

/// The constant part of a burst's XdpBuff.
inline void set_constants(ebpf::XdpBuff& buff, std::uint32_t ifindex, std::uint32_t queue) {
    buff.frame_sz = page_pool::kFrameSize;
    buff.ingress_ifindex = ifindex;
    buff.rx_queue_index = queue;
    buff.egress_ifindex = 0;
    buff.cpu = topology::cpu_of_this_thread();
    buff.redirect = {};
    buff.fragments = nullptr;
}

}  // namespace crema::xdp
