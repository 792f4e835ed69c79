// SPDX-License-Identifier: BSD-3-Clause
//
// Clocks: bpf_ktime_get_ns and its kin, bpf_jiffies64. They are the kernel's own clocks, so times
// that programs store compare with those of user space and of programs in the kernel.
#include <ctime>

#include "lib/ebpf/helpers/natives.h"
#include "lib/ebpf/helpers/os_clock.h"
#include "lib/ebpf/helpers/tsc_clock.h"

namespace crema::ebpf::helpers {

namespace {

[[gnu::tls_model("initial-exec")]] constinit thread_local TscClock t_clock;

/// Ticks per second of the running kernel: the coarse clock advances once per tick.
std::uint64_t find_hz() {
    timespec tick{};
    if (clock_getres(CLOCK_MONOTONIC_COARSE, &tick) != 0 || tick.tv_nsec <= 0) {
        return 100;
    }
    const auto ns = static_cast<std::uint64_t>(tick.tv_nsec);
    return (kNsPerSecond + ns / 2) / ns;
}

const std::uint64_t g_hz = find_hz();

}  // namespace

std::uint64_t ktime_get_ns(
    std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t) {
    return t_clock.now();
}

std::uint64_t ktime_get_boot_ns(
    std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t) {
    return os_clock_ns(CLOCK_BOOTTIME);
}

std::uint64_t ktime_get_coarse_ns(
    std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t) {
    return os_clock_ns(CLOCK_MONOTONIC_COARSE);
}

std::uint64_t ktime_get_tai_ns(
    std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t) {
    return os_clock_ns(CLOCK_TAI);
}

// The kernel's count starts five minutes before its low half overflows, and some time after its
// clock starts (a quarter of a second where this was measured); that time is not readable. So ours
// is ahead by a number of ticks that does not change: differences are the kernel's.
std::uint64_t jiffies64(std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t) {
    const std::uint64_t start = (std::uint64_t{1} << 32) - 300 * g_hz;
    const std::uint64_t ns = os_clock_ns(CLOCK_MONOTONIC_COARSE);
    return start + ns / kNsPerSecond * g_hz + ns % kNsPerSecond * g_hz / kNsPerSecond;
}

}  // namespace crema::ebpf::helpers
