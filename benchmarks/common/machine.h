// SPDX-License-Identifier: BSD-3-Clause
//
// What makes numbers of a shared machine readable: the clock of the core and the distance of two
// cores, probed before and after a run and put into the report's context. A result is only worth
// something beside its twin of the same process run; these probes say whether even that is fair.
// Source: docs/architecture.md on benchmarks; both probes were found to explain most of the spread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lib/base/result.h"

namespace crema::bench {

/// Core cycles per TSC cycle, from a chain of dependent inversions. 1.0 .. 1.5 on machines with
/// boost; half or less when another process shares the core.
[[nodiscard]] double clock_ratio();

/// TSC cycles for one cache line to travel to `other_cpu` and back, median. About 100-150: two
/// threads of one core, 200-400: same last-level cache, above 1000: different ones. 0: one CPU.
[[nodiscard]] double line_round_trip(std::uint32_t other_cpu);

/// CPUs this process may use, ascending.
[[nodiscard]] std::vector<std::uint32_t> allowed_cpus();

/// Time this thread has spent on a core, in user space and in the kernel: what other processes take
/// of the core is not in it.
[[nodiscard]] std::uint64_t cpu_time_ns();

[[nodiscard]] Status pin_this_thread(std::uint32_t cpu);

/// What EAL's memory is made of: small needs no privileges, huge pages must be reserved before
/// (sysctl vm.nr_hugepages).
enum class Pages { small, huge };

/// Initialises EAL: no PCI, `cpus` as lcores 0, 1, ...; `more`: further EAL arguments. Exits with a
/// message when it cannot.
void start_eal(const std::vector<std::uint32_t>& cpus,
               const std::vector<std::string>& more = {},
               Pages pages = Pages::small);

/// Runs the benchmarks named on the command line between two probes, which go into the context.
/// Ten repetitions in random order, aggregates only, unless the command line says otherwise; with
/// --smoke everything once and briefly, to notice rot. Returns the exit code.
/// `about`: one line on what the numbers are of; goes into the context.
int run_benchmarks(int argc, char** argv, const std::string& about);

}  // namespace crema::bench
