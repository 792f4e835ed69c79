// SPDX-License-Identifier: BSD-3-Clause
//
// A table of slots. A reader pins a slot and looks again; whoever empties one first takes the size
// away and then waits until no pin is left. So a pinned slot that still has a size keeps it.
#include "lib/ebpf/maps/known_memory.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <sched.h>
#include <utility>

namespace crema::ebpf::maps {

namespace {

struct Slot {
    std::atomic<bool> is_taken{false};
    std::atomic<std::uint32_t> pins{0};
    std::atomic<std::uint64_t> begin{0};
    std::atomic<std::size_t> bytes{0};  // 0: nothing to read here
};

constinit std::array<Slot, kKnownMemoryMax> g_slots{};
constinit std::atomic<int> g_slots_used{0};  // slots from here on were never taken

int take_slot() {
    for (int i = 0; i < kKnownMemoryMax; ++i) {
        if (!g_slots[static_cast<std::size_t>(i)].is_taken.exchange(true)) {
            int used = g_slots_used.load();
            while (used <= i && !g_slots_used.compare_exchange_weak(used, i + 1)) {
            }
            return i;
        }
    }
    return -1;
}

/// Known bytes from `address` on.
std::size_t bytes_from(const Slot& slot, std::uint64_t address) {
    const std::size_t bytes = slot.bytes.load();
    const std::uint64_t offset = address - slot.begin.load();
    return offset < bytes ? bytes - offset : 0;
}

}  // namespace

KnownMemory::KnownMemory(const void* begin, std::size_t bytes) : slot_(take_slot()) {
    if (slot_ >= 0) {
        Slot& slot = g_slots[static_cast<std::size_t>(slot_)];
        slot.begin.store(reinterpret_cast<std::uintptr_t>(begin));
        slot.bytes.store(bytes);
    }
}

KnownMemory::KnownMemory(KnownMemory&& other) noexcept : slot_(std::exchange(other.slot_, -1)) {}

KnownMemory::~KnownMemory() {
    if (slot_ < 0) {
        return;
    }
    Slot& slot = g_slots[static_cast<std::size_t>(slot_)];
    slot.bytes.store(0);
    while (slot.pins.load() != 0) {
        sched_yield();
    }
    slot.is_taken.store(false);
}

std::size_t copy_known(void* to, std::uint64_t address, std::size_t bytes, bool until_nul) {
    const int used = g_slots_used.load(std::memory_order_acquire);
    for (int i = 0; i < used; ++i) {
        Slot& slot = g_slots[static_cast<std::size_t>(i)];
        if (bytes_from(slot, address) == 0) {
            continue;
        }
        slot.pins.fetch_add(1);
        std::size_t copied = std::min(bytes, bytes_from(slot, address));
        if (copied != 0) {
            const auto* const from = reinterpret_cast<const char*>(address);
            if (until_nul) {
                copied = std::min(copied, strnlen(from, copied) + 1);
            }
            std::memmove(to, from, copied);
        }
        slot.pins.fetch_sub(1);
        if (copied != 0) {
            return copied;
        }
    }
    return 0;
}

}  // namespace crema::ebpf::maps
