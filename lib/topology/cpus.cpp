// SPDX-License-Identifier: BSD-3-Clause
#include "lib/topology/cpus.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <hwloc.h>
#include <limits>
#include <memory>
#include <numa.h>
#include <tuple>

#include "lib/base/check.h"

namespace crema::topology {
namespace {

std::string read_line(const char* path) {
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path, "re"), std::fclose);
    std::string line;
    if (file != nullptr) {
        char buffer[4096];
        if (std::fgets(buffer, sizeof(buffer), file.get()) != nullptr) {
            line = buffer;
        }
    }
    return line;
}

struct TopologyDeleter {
    void operator()(hwloc_topology_t topology) const { hwloc_topology_destroy(topology); }
};

using Topology = std::unique_ptr<hwloc_topology, TopologyDeleter>;

Result<Topology> load() {
    hwloc_topology_t raw = nullptr;
    if (hwloc_topology_init(&raw) != 0) {
        return fail(errno, "topology: hwloc cannot start");
    }
    Topology topology(raw);
    if (hwloc_topology_load(raw) != 0) {
        return fail(errno, "topology: hwloc cannot read the machine");
    }
    return topology;
}

Cpu describe_cpu(hwloc_topology_t topology, hwloc_obj_t pu) {
    Cpu cpu;
    cpu.number = pu->os_index;
    const int node = hwloc_bitmap_first(pu->nodeset);
    cpu.node = node < 0 ? 0 : node;
    const hwloc_obj_t core = hwloc_get_ancestor_obj_by_type(topology, HWLOC_OBJ_CORE, pu);
    cpu.core = core == nullptr ? pu->logical_index : core->logical_index;
    // hwloc lists the hardware threads of a core side by side
    cpu.sibling = core == nullptr ? 0 : pu->sibling_rank;
    return cpu;
}

}  // namespace

std::vector<std::uint32_t> parse_cpu_list(std::string_view text) {
    std::vector<std::uint32_t> numbers;
    const char* at = text.data();
    const char* const end = at + text.size();
    while (at < end) {
        std::uint32_t first = 0;
        auto parsed = std::from_chars(at, end, first);
        if (parsed.ec != std::errc{}) {
            break;
        }
        std::uint32_t last = first;
        at = parsed.ptr;
        if (at < end && *at == '-') {
            parsed = std::from_chars(at + 1, end, last);
            if (parsed.ec != std::errc{}) {
                break;
            }
            at = parsed.ptr;
        }
        for (std::uint32_t number = first; number <= last; ++number) {
            numbers.push_back(number);
        }
        if (at >= end || *at != ',') {
            break;
        }
        ++at;
    }
    return numbers;
}

Result<std::vector<Cpu>> cpus(const std::optional<std::vector<std::uint32_t>>& told) {
    const auto topology = load();
    if (!topology) {
        return forward_error(topology);
    }
    hwloc_topology_t const raw = topology->get();
    std::vector<std::uint32_t> isolated;
    if (told) {
        isolated = *told;
    } else if (hwloc_topology_is_thissystem(raw) != 0) {
        isolated = parse_cpu_list(read_line("/sys/devices/system/cpu/isolated"));
    }
    std::vector<Cpu> found;
    for (hwloc_obj_t pu = nullptr;
         (pu = hwloc_get_next_obj_by_type(raw, HWLOC_OBJ_PU, pu)) != nullptr;) {
        Cpu cpu = describe_cpu(raw, pu);
        cpu.isolated = std::find(isolated.begin(), isolated.end(), cpu.number) != isolated.end();
        found.push_back(cpu);
    }
    std::sort(found.begin(), found.end(),
              [](const Cpu& a, const Cpu& b) { return a.number < b.number; });
    if (found.empty()) {
        return fail(ENODEV, "topology: hwloc found no CPU");
    }
    return found;
}

bool is_this_machine() {
    const auto topology = load();
    return !topology || hwloc_topology_is_thissystem(topology->get()) != 0;
}

void sort_best_first(std::vector<Worker>& workers) {
    std::stable_sort(workers.begin(), workers.end(), [](const Worker& a, const Worker& b) {
        return std::tuple(!a.cpu.isolated, a.cpu.sibling, a.cpu.number) <
               std::tuple(!b.cpu.isolated, b.cpu.sibling, b.cpu.number);
    });
}

int firmware_distance(int from, int to) {
    if (from == to) {
        return 10;
    }
    const int told = numa_available() < 0 ? 0 : numa_distance(from, to);
    return told == 0 ? 20 : told;  // 0: libnuma does not know
}

std::vector<std::size_t> assign_queues(std::span<const int> queue_nodes,
                                       std::span<const Worker> workers,
                                       Distance distance) {
    CREMA_CHECK(!workers.empty());
    std::vector<std::size_t> load(workers.size(), 0);
    std::vector<std::size_t> chosen;
    chosen.reserve(queue_nodes.size());
    for (const int node : queue_nodes) {
        std::size_t best = 0;
        auto best_rank =
            std::tuple(std::numeric_limits<int>::max(), std::numeric_limits<std::size_t>::max());
        for (std::size_t i = 0; i < workers.size(); ++i) {
            const int away = node < 0 ? 0 : distance(node, workers[i].cpu.node);
            const auto rank = std::tuple(away, load[i]);
            if (rank < best_rank) {
                best = i;
                best_rank = rank;
            }
        }
        ++load[best];
        chosen.push_back(best);
    }
    return chosen;
}

std::string describe(std::span<const Cpu> cpus) {
    std::string text;
    for (const Cpu& cpu : cpus) {
        fmt::format_to(std::back_inserter(text), "CPU {}: node {}, core {}, thread {}{}\n",
                       cpu.number, cpu.node, cpu.core, cpu.sibling,
                       cpu.isolated ? ", isolated" : "");
    }
    return text;
}

}  // namespace crema::topology
