// SPDX-License-Identifier: BSD-3-Clause
//
// A round with a hostile device: a port of net_neta is plugged, used in every way an application
// may while the device does what it likes, and taken away. No page may be missing then, none may
// have been given out twice, and every mbuf must have been one that can be used.
#pragma once

#include <cstdint>
#include <string>

namespace crema::test::fuzz {

/// What the driver made of it, of all rounds.
struct DriverTally {
    std::uint64_t received = 0;
    std::uint64_t sent = 0;
    std::uint64_t refused = 0;  // descriptors it called bad
    std::uint64_t lies = 0;     // counts it called impossible
    std::uint64_t stops = 0;    // of ports and queues
};

/// Empty: good; else what was wrong. `values`: after so many of the device's the round ends.
[[nodiscard]] std::string device_round(std::uint64_t seed,
                                       std::uint64_t values,
                                       DriverTally& tally);

}  // namespace crema::test::fuzz
