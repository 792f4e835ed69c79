// SPDX-License-Identifier: BSD-3-Clause
//
// Cache maintenance and barriers around DMA, named for what they order. On a coherent device the
// sync calls cost one predictable branch; on a non-coherent arm64 device they clean and drop lines
// (user space has no pure invalidate: dc civac stands for it).
// Source: docs on the NETA block, "DMA and cache rules for user space on arm64".
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <rte_atomic.h>
#include <rte_io.h>

namespace crema::vfio {

inline constexpr std::size_t kDmaLineBytes = 64;

/// Before the device may read or overwrite [va, va+bytes): what the CPU wrote reaches memory.
/// Several calls need one publish_barrier() before the doorbell.
inline void sync_for_device([[maybe_unused]] const void* va,
                            [[maybe_unused]] std::size_t bytes,
                            bool coherent) {
    if (coherent) [[likely]] {
        return;
    }
#if defined(__aarch64__)
    const auto end = reinterpret_cast<std::uintptr_t>(va) + bytes;
    for (auto line = reinterpret_cast<std::uintptr_t>(va) & ~(kDmaLineBytes - 1); line < end;
         line += kDmaLineBytes) {
        asm volatile("dc civac, %0" ::"r"(line) : "memory");
    }
#endif
}

/// Before the CPU reads what the device wrote to [va, va+bytes): stale lines are dropped.
inline void sync_for_cpu(const void* va, std::size_t bytes, bool coherent) {
    if (coherent) [[likely]] {
        return;
    }
    sync_for_device(va, bytes, false);
#if defined(__aarch64__)
    asm volatile("dsb sy" ::: "memory");
#endif
}

/// Memory written before it (descriptors, frames, cleaned lines) is visible to the device before
/// any register written after it.
inline void publish_barrier() {
    rte_io_wmb();
}

/// A register read before it happens before any memory read after it.
inline void consume_barrier() {
    rte_io_rmb();
}

}  // namespace crema::vfio
