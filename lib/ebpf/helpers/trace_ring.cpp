// SPDX-License-Identifier: BSD-3-Clause
//
// A bounded queue with a sequence number per slot: a slot whose number equals the position is free
// for the writer that gets that position, position + 1 says that its line may be read.
#include "lib/ebpf/helpers/trace_ring.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <ctime>
#include <mutex>

#include "lib/ebpf/abi/run_scope.h"
#include "lib/ebpf/helpers/os_clock.h"

namespace crema::ebpf::helpers {

namespace {

struct Slot {
    // Counted from the slot's first position, so that all zeros is a ring of free slots.
    std::atomic<std::uint64_t> turn{0};
    std::uint64_t time_ns = 0;
    std::uint32_t thread = 0;
    std::int32_t cpu = 0;
    std::uint32_t length = 0;
    std::array<char, kTraceTextMax> text{};
};

constinit std::array<Slot, kTraceLinesMax> g_slots{};
alignas(64) constinit std::atomic<std::uint64_t> g_written{0};
alignas(64) constinit std::atomic<std::uint64_t> g_lost{0};
constinit std::atomic<std::uint32_t> g_threads{0};
constinit std::uint64_t g_read = 0;  // under the mutex
constinit std::mutex g_reader;

std::uint32_t number_of_this_thread() {
    thread_local const std::uint32_t number = g_threads.fetch_add(1) + 1;
    return number;
}

/// The slot's turn at which `position` may write; it may be read one later.
std::uint64_t turn_of(std::uint64_t position) {
    return position / kTraceLinesMax * 2;
}

Slot& slot_of(std::uint64_t position) {
    return g_slots[position % kTraceLinesMax];
}

}  // namespace

void trace(std::string_view text) {
    std::uint64_t position = g_written.load(std::memory_order_relaxed);
    for (;;) {
        const std::uint64_t turn = slot_of(position).turn.load(std::memory_order_acquire);
        if (turn < turn_of(position)) {
            g_lost.fetch_add(1, std::memory_order_relaxed);
            return;
        }
        if (turn == turn_of(position)) {
            if (g_written.compare_exchange_weak(position, position + 1,
                                                std::memory_order_relaxed)) {
                break;
            }
        } else {
            position = g_written.load(std::memory_order_relaxed);
        }
    }
    Slot& slot = slot_of(position);
    const XdpBuff* const buff = RunScope::current();
    slot.time_ns = os_clock_ns(CLOCK_MONOTONIC);
    slot.thread = number_of_this_thread();
    slot.cpu = buff != nullptr ? static_cast<std::int32_t>(buff->cpu) : -1;
    slot.length = static_cast<std::uint32_t>(std::min(text.size(), kTraceTextMax));
    std::memcpy(slot.text.data(), text.data(), slot.length);
    slot.turn.store(turn_of(position) + 1, std::memory_order_release);
}

std::size_t drain_trace(const std::function<void(const TraceLine&)>& take) {
    const std::lock_guard lock(g_reader);
    std::size_t lines = 0;
    for (; lines < kTraceLinesMax; ++lines) {
        Slot& slot = slot_of(g_read);
        if (slot.turn.load(std::memory_order_acquire) != turn_of(g_read) + 1) {
            break;
        }
        take({.time_ns = slot.time_ns,
              .thread = slot.thread,
              .cpu = slot.cpu,
              .text = {slot.text.data(), slot.length}});
        slot.turn.store(turn_of(g_read) + 2, std::memory_order_release);
        ++g_read;
    }
    return lines;
}

std::uint64_t trace_lines_lost() {
    return g_lost.load(std::memory_order_relaxed);
}

}  // namespace crema::ebpf::helpers
