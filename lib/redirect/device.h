// SPDX-License-Identifier: BSD-3-Clause
//
// Sending redirected frames out of a port. Room-internal.
#pragma once

#include <cstdint>

#include "lib/redirect/target.h"
#include "lib/xdp/hook.h"

namespace crema::redirect {

/// A port as a sender sees it for the length of one burst.
struct Gate {
    const xdp::Port* port = nullptr;    // null: the port cannot be sent to
    std::uint32_t frame_bytes_max = 0;  // bytes
    bool takes_fragments = false;
};

/// Does the port of `ifindex` exist, is it up, how long may a frame be? Asked once per burst and
/// target. Caller: inside a Reader's section.
[[nodiscard]] Gate gate_of(std::uint32_t ifindex);

/// Runs the slot's program, if any, over the parcels and transmits what it passes; every frame is
/// gone afterwards. Returns how many the port refused (recycled, counted).
std::uint32_t send_to_device(const DeviceTarget& target, const Gate& gate, const Parcels& parcels);

/// Counts frames that never came as far as send_to_device. Any thread.
void count_refused(std::uint32_t ifindex, std::uint32_t n);
void count_copies(std::uint32_t ifindex, std::uint32_t n);

}  // namespace crema::redirect
