// SPDX-License-Identifier: BSD-3-Clause
//
// Records to user space: bpf_ringbuf_* on records of fixed size, bpf_perf_event_output, and what
// programs may ask of perf events.
#include <array>
#include <cerrno>
#include <cstring>
#include <span>

#include "lib/ebpf/helpers/frame_pieces.h"
#include "lib/ebpf/helpers/map_natives.h"
#include "lib/ebpf/maps/perf_event_array.h"
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

namespace {

constexpr std::uint64_t kIndexMask = 0xffffffff;  // of flags; all ones: the running CPU's

struct Slot {
    maps::PerfEvent* event = nullptr;
    std::uint64_t error = 0;  // when there is none
};

Slot slot_of(std::uint64_t map, std::uint64_t flags, std::uint32_t cpu) {
    const auto& array = map_of<maps::PerfEventArray>(map);
    const std::uint64_t asked = flags & kIndexMask;
    const auto index = static_cast<std::uint32_t>(asked == kIndexMask ? cpu : asked);
    if (index >= array.spec().max_entries) {
        return {.error = error_result(E2BIG)};
    }
    maps::PerfEvent* const event = array.event(index);
    return {.event = event, .error = event == nullptr ? error_result(ENOENT) : 0};
}

}  // namespace

std::uint64_t perf_event_output(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t r3, std::uint64_t r4, std::uint64_t r5) {
    constexpr std::uint64_t kFrameBytesMask = std::uint64_t{0xfffff} << 32U;
    const XdpBuff& buff = context_of(r1);
    if ((r3 & ~(kIndexMask | kFrameBytesMask)) != 0) {
        return error_result(EINVAL);
    }
    const auto wanted = static_cast<std::uint32_t>((r3 & kFrameBytesMask) >> 32U);
    if (wanted > frame_bytes(buff)) {
        return error_result(EFAULT);
    }
    const Slot slot = slot_of(r2, r3, buff.cpu);
    if (slot.event == nullptr) {
        return slot.error;
    }
    std::array<std::span<const std::uint8_t>, 1 + kFragmentsMax> pieces;
    std::size_t n = 0;
    for_each_piece(buff, 0, wanted, [&](const std::uint8_t* piece, std::uint32_t bytes) {
        pieces[n++] = {piece, bytes};
    });
    return result_of(slot.event->output_pieces(buff.cpu, {memory_at(r4), r5}, {pieces.data(), n}));
}

// An event that programs write to counts nothing; what can be read is how long it was enabled.
std::uint64_t perf_event_read(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t, std::uint64_t, std::uint64_t r5) {
    const std::uint32_t cpu = context_of(r5).cpu;
    if ((r2 & ~kIndexMask) != 0) {
        return error_result(EINVAL);
    }
    const Slot slot = slot_of(r1, r2, cpu);
    if (slot.event == nullptr) {
        return slot.error;
    }
    return slot.event->spec().cpu == cpu ? 0 : error_result(EINVAL);
}

std::uint64_t perf_event_read_value(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t r3, std::uint64_t r4, std::uint64_t r5) {
    constexpr std::uint64_t kWords = 3;  // struct bpf_perf_event_value: counter, enabled, running
    const std::uint32_t cpu = context_of(r5).cpu;
    std::uint64_t value[kWords] = {};
    const std::uint64_t result =
        r4 == sizeof value ? perf_event_read(r1, r2, 0, 0, r5) : error_result(EINVAL);
    if (result != 0) {
        std::memset(memory_at(r3), 0, r4);
        return result;
    }
    // Not gone since: the slot is looked at again by the same rule, its event lives until the run
    // ends.
    const Slot slot = slot_of(r1, r2, cpu);
    value[1] = slot.event != nullptr ? slot.event->enabled_ns() : 0;
    value[2] = value[1];
    std::memcpy(memory_at(r3), value, sizeof value);
    return 0;
}

}  // namespace crema::ebpf::helpers
