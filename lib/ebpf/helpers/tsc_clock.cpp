// SPDX-License-Identifier: BSD-3-Clause
//
// See tsc_clock.h.
#include "lib/ebpf/helpers/tsc_clock.h"

#include <array>
#include <cstdio>
#include <cstring>
#include <ctime>

#include "lib/ebpf/helpers/os_clock.h"

namespace crema::ebpf::helpers {

#if defined(__x86_64__)

namespace {

constexpr std::uint64_t kFirstSpanNs = 1'000'000;       // shortest span that gives a rate
constexpr std::uint64_t kSteadySpanNs = 10'000'000;     // shortest span that changes a rate
constexpr std::uint64_t kAnchorSpanNs = 1'000'000'000;  // after this an anchor is replaced
constexpr std::uint64_t kLongestSpanNs = 2'000'000'000;
constexpr std::uint64_t kPairTicksMax = 4000;  // readings further apart were interrupted

/// Whether the kernel keeps time by the counter, so that it is steady and equal on all CPUs.
bool kernel_trusts_tsc() {
    std::FILE* const file =
        std::fopen("/sys/devices/system/clocksource/clocksource0/current_clocksource", "re");
    if (file == nullptr) {
        return false;
    }
    std::array<char, 16> name{};
    const bool is_tsc = std::fgets(name.data(), name.size(), file) != nullptr &&
                        std::strcmp(name.data(), "tsc\n") == 0;
    (void)std::fclose(file);
    return is_tsc;
}

const bool g_is_trusted = kernel_trusts_tsc();

}  // namespace

void TscClock::adopt_rate(std::uint64_t ticks, std::uint64_t ns) {
    // ns < 2^31: the shift loses nothing
    ns_per_tick_ = (ns << kFractionBits) / ticks;
    window_ticks_ = static_cast<std::uint64_t>(
        static_cast<double>(ticks) * static_cast<double>(kWindowNs) / static_cast<double>(ns));
}

std::uint64_t TscClock::synchronize() {
    const std::uint64_t before = __builtin_ia32_rdtsc();
    const std::uint64_t ns = os_clock_ns(CLOCK_MONOTONIC);
    const std::uint64_t after = __builtin_ia32_rdtsc();
    if (!g_is_trusted || after - before > kPairTicksMax) {
        window_ticks_ = 0;
        return not_before_last(ns);
    }
    base_ticks_ = before + (after - before) / 2;
    base_ns_ = ns;
    const std::uint64_t span_ticks = base_ticks_ - anchor_ticks_;
    const std::uint64_t span_ns = base_ns_ - anchor_ns_;
    if (anchor_ns_ == 0 || span_ns > kLongestSpanNs || span_ticks > (std::uint64_t{1} << 40)) {
        // The first reading, or the thread slept for long (the machine, too, perhaps, and one of
        // the clocks with it): begin anew.
        window_ticks_ = 0;
        anchor_ticks_ = base_ticks_;
        anchor_ns_ = base_ns_;
        return not_before_last(ns);
    }
    if (span_ns >= (window_ticks_ == 0 ? kFirstSpanNs : kSteadySpanNs) && span_ticks != 0) {
        adopt_rate(span_ticks, span_ns);
        if (span_ns >= kAnchorSpanNs) {
            anchor_ticks_ = base_ticks_;
            anchor_ns_ = base_ns_;
        }
    }
    return not_before_last(ns);
}

#else

std::uint64_t TscClock::synchronize() {
    return not_before_last(os_clock_ns(CLOCK_MONOTONIC));
}

#endif

}  // namespace crema::ebpf::helpers
