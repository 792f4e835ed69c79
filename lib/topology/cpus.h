// SPDX-License-Identifier: BSD-3-Clause
//
// The machine as a data path needs to see it: which CPUs exist, which share a core, which memory is
// near. Numbers are the kernel's (hwloc's OS indices). Decides which worker polls which queue; does
// not pin anything, EAL's lcores do that. Control side only.
// Sources: hwloc for cores and nodes, libnuma for distances, sysfs for isolated CPUs.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/result.h"

namespace crema::topology {

struct Cpu {
    std::uint32_t number = 0;   // kernel CPU number
    int node = 0;               // NUMA node with its memory
    std::uint32_t core = 0;     // physical core, unique in the machine
    std::uint32_t sibling = 0;  // 0 for the first hardware thread of the core
    bool isolated = false;      // isolcpus=: the scheduler leaves it alone
};

/// All CPUs that are online and allowed, by number. Of hwloc's machine: HWLOC_XMLFILE and
/// HWLOC_SYNTHETIC put another one in its place. isolated: which CPUs count as isolated; none: as
/// this machine's kernel says, and none of another machine.
[[nodiscard]] Result<std::vector<Cpu>> cpus(
    const std::optional<std::vector<std::uint32_t>>& isolated = std::nullopt);

/// False: cpus() told of another machine than this one.
[[nodiscard]] bool is_this_machine();

/// Of two nodes of a machine of which nothing is known but that nodes differ.
[[nodiscard]] inline int plain_distance(int from, int to) {
    return from == to ? 10 : 20;
}

/// Reads a kernel CPU list such as "0-2,5,8-9"; what is no number ends the reading.
[[nodiscard]] std::vector<std::uint32_t> parse_cpu_list(std::string_view text);

/// Something that polls: an EAL lcore on a CPU.
struct Worker {
    unsigned lcore = 0;
    Cpu cpu;
};

/// Sorts workers by how well they serve: isolated CPUs first, then one per physical core before
/// siblings, then by CPU number.
void sort_best_first(std::vector<Worker>& workers);

/// Distance between two nodes as the firmware tells it (10 = the same).
using Distance = int (*)(int from, int to);
[[nodiscard]] int firmware_distance(int from, int to);

/// Chooses a worker for each queue: nearest node, then fewest queues, then the order of `workers`.
/// queue_nodes: node of each queue's device, -1 when it has none. workers: not empty.
/// Returns one index into `workers` per queue.
[[nodiscard]] std::vector<std::size_t> assign_queues(std::span<const int> queue_nodes,
                                                     std::span<const Worker> workers,
                                                     Distance distance = firmware_distance);

/// One line per CPU, for people.
[[nodiscard]] std::string describe(std::span<const Cpu> cpus);

}  // namespace crema::topology
