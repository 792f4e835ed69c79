// SPDX-License-Identifier: BSD-3-Clause
//
// What happened to frames after a verdict REDIRECT, per destination. How many a port sent is the
// port's own counter (tx_xdp_xmit); cpumap counters are beside the poller (cpu_poller.h).
#pragma once

#include <cstddef>
#include <cstdint>

namespace crema::redirect {

/// By what a program named the target of a frame.
enum class Via : std::uint8_t { nothing, ifindex, devmap, devmap_hash, cpumap };
inline constexpr std::size_t kVias = 5;

/// Frames with verdict REDIRECT that reached no target, by reason; in brackets the error by which
/// the kernel's tracepoint xdp_redirect_err tells it. Their sum over all ways is the sum of
/// `redirect_errors` over all RX queues and cpumap pollers.
struct RedirectErrors {
    std::uint64_t no_target = 0;    // the program asked for none (EBADRQC)
    std::uint64_t no_port = 0;      // no port has that ifindex, or has it any more (EINVAL)
    std::uint64_t down = 0;         // ENETDOWN
    std::uint64_t too_long = 0;     // EMSGSIZE
    std::uint64_t no_headroom = 0;  // EOVERFLOW
    std::uint64_t no_memory = 0;    // no page for a copy, or no queues (ENOMEM)
    /// Taken first, refused when it was sent: no room in the CPU's queue or the port's ring, or
    /// grown too long meanwhile. The kernel counts these as drops of xdp_cpumap_enqueue and
    /// xdp_devmap_xmit.
    std::uint64_t later = 0;
};

/// Of all senders, since the process started. Any thread.
[[nodiscard]] RedirectErrors redirect_errors(Via via);

/// Frames that were sent to all slots of a map, since the process started.
struct BroadcastCounters {
    std::uint64_t frames = 0;
    std::uint64_t to_nobody = 0;  // of these: no port could take them; no error
    std::uint64_t copies = 0;     // made beside the frames themselves, of frames without memory too
    std::uint64_t later = 0;      // frames and copies that were taken first and refused later
};

[[nodiscard]] BroadcastCounters broadcast_counters();

struct DeviceCounters {
    std::uint64_t refused = 0;          // port gone or down, frame too long, TX ring full
    std::uint64_t program_drop = 0;     // second program (xdp/devmap): DROP
    std::uint64_t program_aborted = 0;  // second program: anything but PASS and DROP
    std::uint64_t broadcast_copies = 0;
};

/// Frames redirected to port `port_id` by any sender, since the process started.
[[nodiscard]] DeviceCounters device_counters(std::uint16_t port_id);

}  // namespace crema::redirect
