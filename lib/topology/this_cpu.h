// SPDX-License-Identifier: BSD-3-Clause
//
// The kernel CPU number of a worker. Per-CPU maps, cpumap keys and bpf_get_smp_processor_id use
// it. One worker = one CPU number: an lcore that may run on one CPU only has that number; for any
// other thread the CPU of its first call counts and stays (a thread that floats should be pinned).
#pragma once

#include <cstdint>

namespace crema::topology {

/// Kernel CPU number of the calling thread; looked up once per thread, a load afterwards.
[[nodiscard]] std::uint32_t cpu_of_this_thread();

/// Kernel CPU number of an EAL lcore, or -1 when it is not enabled or may run on several CPUs.
/// (rte_lcore_to_cpu_id() gives the number of the physical core, which is another thing.)
[[nodiscard]] int cpu_of_lcore(unsigned lcore_id);

}  // namespace crema::topology
