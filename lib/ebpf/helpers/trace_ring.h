// SPDX-License-Identifier: BSD-3-Clause
//
// Where lines of trace_printk go: a ring of the process, written by any number of workers without
// lock or system call, read by one control thread. A full ring loses the new line and counts it.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

namespace crema::ebpf::helpers {

struct TraceLine {
    std::uint64_t time_ns;  // CLOCK_MONOTONIC
    std::uint32_t thread;   // small number of the writing thread, in order of first lines
    std::int32_t cpu;       // -1: not in a run
    std::string_view text;  // as printed; mostly ends with a newline
};

inline constexpr std::size_t kTraceTextMax = 1023;
inline constexpr std::size_t kTraceLinesMax = 512;

/// Any thread.
void trace(std::string_view text);

/// Gives the lines that are there, oldest first, to `take`; returns how many. One caller at a time
/// (others wait).
std::size_t drain_trace(const std::function<void(const TraceLine&)>& take);

/// Lines that found the ring full, since the start.
[[nodiscard]] std::uint64_t trace_lines_lost();

}  // namespace crema::ebpf::helpers
