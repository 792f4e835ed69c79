// SPDX-License-Identifier: BSD-3-Clause
//
// Records to user space: bpf_ringbuf_* on records of fixed size, and bpf_perf_event_output, whose
// checks are the kernel's; no slot of a perf event array is ever filled (maps/bare_maps.h).
#include <cerrno>

#include "lib/ebpf/helpers/map_natives.h"
#include "lib/ebpf/maps/ringbuf.h"

namespace crema::ebpf::helpers {

namespace {

constexpr std::uint64_t kWakeupFlags = maps::RingBuffer::kNoWakeup | maps::RingBuffer::kForceWakeup;

}  // namespace

std::uint64_t ringbuf_output(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t r3, std::uint64_t r4, std::uint64_t) {
    if ((r4 & ~kWakeupFlags) != 0) [[unlikely]] {
        return error_result(EINVAL);
    }
    return result_of(writable_map_of<maps::RingBuffer>(r1).output(memory_at(r2), r3, r4));
}

std::uint64_t ringbuf_reserve(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t r3, std::uint64_t, std::uint64_t) {
    return r3 != 0 ? 0
                   : reinterpret_cast<std::uintptr_t>(
                         writable_map_of<maps::RingBuffer>(r1).reserve(r2));
}

std::uint64_t ringbuf_submit(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t, std::uint64_t, std::uint64_t) {
    maps::RingBuffer::commit(memory_at(r1), r2, false);
    return 0;
}

std::uint64_t ringbuf_discard(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t, std::uint64_t, std::uint64_t) {
    maps::RingBuffer::commit(memory_at(r1), r2, true);
    return 0;
}

std::uint64_t ringbuf_query(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t, std::uint64_t, std::uint64_t) {
    return map_of<maps::RingBuffer>(r1).query(r2);
}

std::uint64_t perf_event_output(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t r3, std::uint64_t, std::uint64_t) {
    constexpr std::uint64_t kIndexMask = 0xffffffff;
    constexpr std::uint64_t kFrameBytesMask = std::uint64_t{0xfffff} << 32U;
    const XdpBuff& buff = context_of(r1);
    if ((r3 & ~(kIndexMask | kFrameBytesMask)) != 0) {
        return error_result(EINVAL);
    }
    if ((r3 & kFrameBytesMask) >> 32U > static_cast<std::uint64_t>(buff.data_end - buff.data)) {
        return error_result(EFAULT);
    }
    const std::uint64_t index = (r3 & kIndexMask) == kIndexMask ? buff.cpu : r3 & kIndexMask;
    return error_result(index >= map_of(r2).spec().max_entries ? E2BIG : ENOENT);
}

}  // namespace crema::ebpf::helpers
