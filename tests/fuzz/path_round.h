// SPDX-License-Identifier: BSD-3-Clause
//
// One seed of path_fuzz: frames through two ports and three workers while everything that may
// change under load does so at random. Afterwards the counters add up to the frames that were sent,
// and every page is home.
#pragma once

#include <cstdint>
#include <string>

namespace crema::test::fuzz {

struct PathTally {
    std::uint64_t frames = 0;   // sent to the ports
    std::uint64_t arrived = 0;  // at the far ends
    std::uint64_t attachments = 0;
    std::uint64_t map_changes = 0;
    std::uint64_t queue_changes = 0;
    std::uint64_t mtu_changes = 0;
    std::uint64_t port_stops = 0;
    std::uint64_t objects = 0;  // loaded anew
};

/// object: orders.bpf.o. Returns what was wrong, or nothing. Needs EAL with the lcores of
/// path_workers.h.
[[nodiscard]] std::string path_round(const std::string& object,
                                     std::uint64_t seed,
                                     std::uint64_t frames,
                                     PathTally& tally);

}  // namespace crema::test::fuzz
