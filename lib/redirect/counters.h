// SPDX-License-Identifier: BSD-3-Clause
//
// What happened to frames after a verdict REDIRECT, per destination. How many a port sent is the
// port's own counter (tx_xdp_xmit); cpumap counters are beside the poller (cpu_poller.h).
#pragma once

#include <cstdint>

namespace crema::redirect {

struct DeviceCounters {
    std::uint64_t refused = 0;          // port gone or down, frame too long, TX ring full
    std::uint64_t program_drop = 0;     // second program (xdp/devmap): DROP
    std::uint64_t program_aborted = 0;  // second program: anything but PASS and DROP
    std::uint64_t broadcast_copies = 0;
};

/// Frames redirected to port `port_id` by any sender, since the process started.
[[nodiscard]] DeviceCounters device_counters(std::uint16_t port_id);

}  // namespace crema::redirect
