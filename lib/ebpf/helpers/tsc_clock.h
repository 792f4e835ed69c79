// SPDX-License-Identifier: BSD-3-Clause
//
// CLOCK_MONOTONIC from the CPU's time-stamp counter. Reading the clock through the C library costs
// several times one counter read (44 against 12 ns where this was measured), and programs that
// measure or rate-limit read it for every packet.
//
// One object per thread. The real clock is read again at least once per kWindow, and the counter's
// rate comes from those readings: a wrong rate cannot add up, and slewing by NTP (at most 500 ppm)
// moves an answer by less than a microsecond. Never goes backwards within a thread. Where the
// kernel itself does not trust the counter, and on other CPUs, every answer is the real clock's.
// No system call while the C library has the clock in the vDSO.
#pragma once

#include <cstdint>

namespace crema::ebpf::helpers {

class TscClock {
  public:
    /// Nanoseconds of CLOCK_MONOTONIC.
    [[nodiscard]] std::uint64_t now() {
#if defined(__x86_64__)
        const std::uint64_t passed = __builtin_ia32_rdtsc() - base_ticks_;
        if (passed < window_ticks_) [[likely]] {
            return not_before_last(base_ns_ + ((passed * ns_per_tick_) >> kFractionBits));
        }
#endif
        return synchronize();
    }

    static constexpr std::uint64_t kWindowNs = 1'000'000;  // longest time without the real clock

  private:
    static constexpr unsigned kFractionBits = 32;

    std::uint64_t not_before_last(std::uint64_t ns) {
        last_ns_ = ns > last_ns_ ? ns : last_ns_;
        return last_ns_;
    }

    std::uint64_t synchronize();
    void adopt_rate(std::uint64_t ticks, std::uint64_t ns);

    std::uint64_t base_ticks_ = 0;
    std::uint64_t window_ticks_ = 0;  // 0: the counter's rate is not known (yet)
    std::uint64_t base_ns_ = 0;
    std::uint64_t ns_per_tick_ = 0;  // fixed point, kFractionBits
    std::uint64_t last_ns_ = 0;
    // An earlier reading of both clocks, to take the rate from.
    std::uint64_t anchor_ticks_ = 0;
    std::uint64_t anchor_ns_ = 0;
};

}  // namespace crema::ebpf::helpers
