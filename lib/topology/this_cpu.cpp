// SPDX-License-Identifier: BSD-3-Clause
#include "lib/topology/this_cpu.h"

#include <sched.h>

#include <rte_lcore.h>

namespace crema::topology {
namespace {

constexpr std::uint32_t kUnknown = ~0U;

std::uint32_t find_cpu() {
    const unsigned lcore = rte_lcore_id();
    if (lcore != LCORE_ID_ANY) {
        if (const int cpu = cpu_of_lcore(lcore); cpu >= 0) {
            return static_cast<std::uint32_t>(cpu);
        }
    }
    const int now = sched_getcpu();
    return now < 0 ? 0U : static_cast<std::uint32_t>(now);
}

}  // namespace

int cpu_of_lcore(unsigned lcore_id) {
    if (rte_lcore_is_enabled(lcore_id) == 0) {
        return -1;
    }
    const cpu_set_t cpus = rte_lcore_cpuset(lcore_id);
    if (CPU_COUNT(&cpus) != 1) {
        return -1;
    }
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (CPU_ISSET(cpu, &cpus)) {
            return cpu;
        }
    }
    return -1;
}

std::uint32_t cpu_of_this_thread() {
    thread_local std::uint32_t cpu = kUnknown;
    if (cpu == kUnknown) [[unlikely]] {
        cpu = find_cpu();
    }
    return cpu;
}

}  // namespace crema::topology
