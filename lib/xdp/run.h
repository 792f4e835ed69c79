// SPDX-License-Identifier: BSD-3-Clause
//
// Runs one program, or several one after the other, over one burst. One XdpBuff on the stack serves
// the whole burst: what is constant for the queue is written once, five pointers per frame. Packet
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
    buff.fragments = nullptr;
}

/// Where the fragments of a frame are listed while its program runs, and whether the last may grow.
struct PieceList {
    bool may_grow;
    ebpf::Fragments fragments;  // not set before a frame has some
};

[[nodiscard]] inline bool takes_fragments(const ebpf::LoadedProgram& program) {
    return program.program.has_frags;
}

/// Runs what `program` is, by `run`, over one frame. Returns the verdict, or ABORTED without a run
/// for a frame with fragments that the program does not take. Runs: as of run_burst().
template <typename Runs, typename Run>
[[gnu::always_inline]] inline std::uint32_t run_on(
    const Runs& program, Run& run, ebpf::XdpBuff& buff, const Frame& frame, PieceList& pieces) {
    point_at(buff, frame);
    if (frame.fragments != 0) [[unlikely]] {
        show_fragments(buff, frame, pieces.fragments, pieces.may_grow);
        if (!takes_fragments(program)) {
            return static_cast<std::uint32_t>(ebpf::Verdict::aborted);
        }
    }
    return static_cast<std::uint32_t>(run(buff));
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
/// Exit: Dispatch, or what stands in front of one.
template <typename Runs, typename Exit>
void run_burst(const Runs& program,
               ebpf::XdpBuff& buff,
               const Frame* frames,
               std::uint32_t n,
               Exit& dispatch) {
    const ebpf::RunScope scope(buff);
    PieceList pieces;  // NOLINT(*-init): fragments are set for frames that have some
    pieces.may_grow = true;
    forget_lengths(program, frames, n);
    for (std::uint32_t i = 0; i < n && i < kPrefetchAhead; ++i) {
        rte_prefetch0(frames[i].data);
    }
    with_runs_of(program, [&](auto&& run) {
        for (std::uint32_t i = 0; i < n; ++i) {
            if (i + kPrefetchAhead < n) {
                rte_prefetch0(frames[i + kPrefetchAhead].data);
            }
            rte_mbuf* const page = frames[i].page;
            dispatch.take(buff, page, run_on(program, run, buff, frames[i], pieces));
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
}

}  // namespace crema::xdp
