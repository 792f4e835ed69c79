// SPDX-License-Identifier: BSD-3-Clause
//
// What happened at each entry of a map that redirects, since the entry was set.
#pragma once

#include <cstdint>
#include <vector>

#include "lib/ebpf/maps/map.h"
#include "lib/redirect/cpu_poller.h"

namespace crema::redirect {

struct EntryStatistics {
    std::uint32_t key = 0;
    std::uint32_t to = 0;          // ifindex, of a cpumap the CPU
    std::uint32_t queue_size = 0;  // cpumap
    std::uint32_t program_id = 0;  // of the second program; 0: none
    std::uint64_t packets = 0;     // taken by the port or by the CPU's queue
    std::uint64_t drops = 0;       // meant for it and not taken, second program's included
    /// cpumap: what the CPU did with the packets. enqueue_drops is `drops`.
    CpumapCounters received;
};

/// Entries of a devmap, devmap_hash or cpumap, by key; none of another map. Control thread.
[[nodiscard]] std::vector<EntryStatistics> entries_of(const ebpf::maps::Map& map);

}  // namespace crema::redirect
