// SPDX-License-Identifier: BSD-3-Clause
//
// Cache maintenance and barriers around DMA, named for what they order. On a coherent device each
// call costs one predictable branch; on a non-coherent arm64 device they clean and drop lines
// (user space has no pure invalidate: dc civac stands for it). Where a device of this process
// brings a cache in software (cache_model.h), that one is maintained instead. Source: docs on the
// NETA block, "DMA and cache rules for user space on arm64".
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <rte_atomic.h>
#include <rte_io.h>

namespace crema::vfio {

inline constexpr std::size_t kDmaLineBytes = 64;

class CacheModel;

namespace cache_model {

/// Null when this process has no cache in software.
extern std::atomic<CacheModel*> current;
void sync_for_device(CacheModel& model, const void* va, std::size_t bytes);
void sync_for_cpu(CacheModel& model, const void* va, std::size_t bytes);

}  // namespace cache_model

/// Writes the lines of [va, va+bytes) back and drops them; done after the next dsb.
inline void clean_and_drop([[maybe_unused]] const void* va, [[maybe_unused]] std::size_t bytes) {
#if defined(__aarch64__)
    constexpr std::size_t kAtOnce = 4;  // a page is dozens of lines
    const auto end = reinterpret_cast<std::uintptr_t>(va) + bytes;
    auto line = reinterpret_cast<std::uintptr_t>(va) & ~(kDmaLineBytes - 1);
    for (; line + kAtOnce * kDmaLineBytes <= end; line += kAtOnce * kDmaLineBytes) {
        asm volatile("dc civac, %0\n\tdc civac, %1\n\tdc civac, %2\n\tdc civac, %3" ::"r"(line),
                     "r"(line + kDmaLineBytes), "r"(line + 2 * kDmaLineBytes),
                     "r"(line + 3 * kDmaLineBytes)
                     : "memory");
    }
    for (; line < end; line += kDmaLineBytes) {
        asm volatile("dc civac, %0" ::"r"(line) : "memory");
    }
#endif
}

/// All accesses and all maintenance before it are done. A dmb orders no maintenance.
inline void maintenance_barrier() {
#if defined(__aarch64__)
    asm volatile("dsb sy" ::: "memory");
#endif
}

/// Before the device may read or overwrite [va, va+bytes): what the CPU wrote reaches memory.
/// Several calls need one publish_barrier() before the doorbell.
inline void sync_for_device(const void* va, std::size_t bytes, bool coherent) {
    if (coherent) [[likely]] {
        return;
    }
    CacheModel* const model = cache_model::current.load(std::memory_order_acquire);
    if (model != nullptr) [[unlikely]] {
        cache_model::sync_for_device(*model, va, bytes);
    } else {
        clean_and_drop(va, bytes);
    }
}

/// Before the CPU reads what the device wrote to [va, va+bytes): stale lines are dropped.
inline void sync_for_cpu(const void* va, std::size_t bytes, bool coherent) {
    if (coherent) [[likely]] {
        return;
    }
    CacheModel* const model = cache_model::current.load(std::memory_order_acquire);
    if (model != nullptr) [[unlikely]] {
        cache_model::sync_for_cpu(*model, va, bytes);
    } else {
        clean_and_drop(va, bytes);
        maintenance_barrier();
    }
}

/// Memory written before it (descriptors, frames, cleaned lines) is visible to the device before
/// any register written after it.
inline void publish_barrier(bool coherent) {
    rte_io_wmb();
    if (!coherent) [[unlikely]] {
        maintenance_barrier();
    }
}

/// A register read before it happens before any memory read, and any line dropped, after it.
inline void consume_barrier(bool coherent) {
    rte_io_rmb();
    if (!coherent) [[unlikely]] {
        maintenance_barrier();
    }
}

}  // namespace crema::vfio
