// SPDX-License-Identifier: BSD-3-Clause
//
// The operating system's clocks in nanoseconds. The C library answers without a system call.
#pragma once

#include <cstdint>
#include <ctime>

namespace crema::ebpf::helpers {

inline constexpr std::uint64_t kNsPerSecond = 1'000'000'000;

[[nodiscard]] inline std::uint64_t os_clock_ns(clockid_t clock) {
    timespec now{};
    clock_gettime(clock, &now);  // cannot fail for the clocks used here
    return static_cast<std::uint64_t>(now.tv_sec) * kNsPerSecond +
           static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace crema::ebpf::helpers
