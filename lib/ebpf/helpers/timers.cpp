// SPDX-License-Identifier: BSD-3-Clause
//
// bpf_timer_*: what programs do to the timer in a map value (maps/timers.h). The verifier has
// proved that r1 is the address of one; of maps in a map it does not know whether it is the same
// one that r2 says.
#include "lib/ebpf/maps/timers.h"

#include <cerrno>
#include <ctime>

#include "lib/ebpf/helpers/map_natives.h"

namespace crema::ebpf::helpers {

// r1 timer, r2 map, r3 flags: the clock.
std::uint64_t timer_init(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t r3, std::uint64_t, std::uint64_t) {
    if (r3 != CLOCK_REALTIME && r3 != CLOCK_MONOTONIC && r3 != CLOCK_BOOTTIME) {
        return error_result(EINVAL);
    }
    return result_of(map_of(r2).timers()->init(memory_at(r1), static_cast<std::int32_t>(r3)));
}

// r1 timer, r2 function.
std::uint64_t timer_set_callback(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t, std::uint64_t, std::uint64_t) {
    return result_of(maps::timers::set_callback(memory_at(r1), reinterpret_cast<Native>(r2)));
}

// r1 timer, r2 nanoseconds, r3 flags, r5 context.
std::uint64_t timer_start(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t r3, std::uint64_t, std::uint64_t r5) {
    return result_of(maps::timers::start(memory_at(r1), r2, r3, context_of(r5).cpu));
}

// r1 timer.
std::uint64_t timer_cancel(
    std::uint64_t r1, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t) {
    return result_of(maps::timers::cancel(memory_at(r1)));
}

}  // namespace crema::ebpf::helpers
