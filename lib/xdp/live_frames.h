// SPDX-License-Identifier: BSD-3-Clause
//
// Test runs whose verdicts are carried out (BPF_F_TEST_XDP_LIVE_FRAMES): frames made of one packet
// run through a program and go where it sends them, as a traffic generator needs it. Runs on the
// thread that asks, beside the workers; frames leave by the ports' queues for redirected frames.
//
// As in the kernel (6.18, measured): TX and REDIRECT are redirects, TX to the port the frames are
// said to come from; they obey the target's state and MTU and show in its tx_xdp_xmit counters, not
// in those of verdicts. What no target takes is dropped; the run goes on and succeeds. Pages come
// round: a program finds in a frame what it wrote there before, but the ends of the packet are
// those that were given, each time. Frames of a batch that are passed keep their pages to its end.
//
// Not as in the kernel: no network stack is behind these frames, so PASS ends here: the page is
// recycled and counted as passed. A frame has the geometry of a received one (page_pool/page.h),
// so packets of more than kLiveFrameBytesMax bytes are refused, and adjust_tail has less room.
#pragma once

#include <cstdint>
#include <span>

#include "lib/base/result.h"
#include "lib/ebpf/syscall/loaded_program.h"
#include "lib/xdp/hook.h"
#include "lib/xdp/test_run.h"

namespace crema::xdp {

inline constexpr std::uint32_t kLiveBatchMax = 256;

struct LiveRun {
    std::uint64_t frames = 0;
    std::uint64_t spent_ns = 0;
    VerdictCounters verdicts;  // TX counts as redirect
};

/// bytes: context.data bytes of metadata, then the packet. repeat: frames (0 = 1), in batches of
/// batch_size, 1..kLiveBatchMax, the last one shorter. Gives up between bursts when the caller does
/// not wait any more (lib/base/caller.h).
/// Errors: those of test_run(); EINVAL data_end before the end of `bytes`; ENOTSUP longer than a
/// page holds, or a verdict that sends in a process that has no ports; ENOMEM too many runs at
/// once, or for a second no page came home; EINTR.
[[nodiscard]] Result<LiveRun> run_live_frames(const ebpf::LoadedProgram& program,
                                              std::span<const std::uint8_t> bytes,
                                              const TestRunContext& context,
                                              std::uint32_t repeat,
                                              std::uint32_t batch_size);

}  // namespace crema::xdp
