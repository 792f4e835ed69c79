// SPDX-License-Identifier: BSD-3-Clause
//
// bpf_user_ringbuf_drain: calls a function of the program as callback(sample, context) for each
// sample that user space has written, until it returns 1. The sample is a dynptr of its bytes in
// the ring, which the producer may still change.
#include "lib/ebpf/maps/user_ringbuf.h"

#include <cerrno>

#include "lib/ebpf/helpers/dynptr.h"
#include "lib/ebpf/helpers/map_natives.h"

namespace crema::ebpf::helpers {

// r1 map, r2 function, r3 its context, r4 flags. Result: samples taken, or a negative errno.
std::uint64_t user_ringbuf_drain(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t r3, std::uint64_t r4, std::uint64_t) {
    using maps::UserRingBuffer;
    constexpr std::uint64_t kFlags = UserRingBuffer::kNoWakeup | UserRingBuffer::kForceWakeup;
    constexpr std::uint32_t kSamplesMax = 128 * 1024;  // of one call, those passed included
    if ((r4 & ~kFlags) != 0) {
        return error_result(EINVAL);
    }
    auto& ring = writable_map_of<UserRingBuffer>(r1);
    if (!ring.begin_drain()) {
        return error_result(EBUSY);
    }
    auto* const function = reinterpret_cast<NativeFunction*>(r2);
    std::uint64_t passed = 0;
    std::uint64_t taken = 0;
    std::uint64_t result = 0;
    while (passed < kSamplesMax) {
        UserRingBuffer::Sample sample;
        const int code = ring.peek(sample);
        if (code == -EAGAIN) {
            passed++;
            continue;
        }
        if (code != 0) {
            result = code == -ENODATA ? 0 : result_of(code);
            break;
        }
        Dynptr dynptr{};
        set_memory(dynptr, reinterpret_cast<std::uintptr_t>(sample.data), sample.bytes);
        const bool stops = function(reinterpret_cast<std::uintptr_t>(&dynptr), r3, 0, 0, 0) != 0;
        ring.release(sample);
        passed++;
        taken++;
        if (stops) {
            break;
        }
    }
    ring.end_drain(passed, r4);
    return result != 0 ? result : taken;
}

}  // namespace crema::ebpf::helpers
