// SPDX-License-Identifier: BSD-3-Clause
//
// What devices may reach: ranges of process memory, each at an I/O virtual address (IOVA) below
// 4 GiB, because NETA descriptors hold 32-bit addresses. One space per process, shared by all
// devices (as one VFIO container holds them), so a page of one port is known to all others.
//
// Threads: map and unmap on the control path (one lock inside); lookups from any thread, lock-free.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>

#include "lib/base/result.h"

namespace crema::vfio {

class DmaSpace {
  public:
    static constexpr std::uint32_t kNoIova = 0;  // never handed out

    /// Makes [va, va+bytes) reachable. va and bytes: multiples of 64. Returns its IOVA, which
    /// keeps the offset of `va` in its 4 KiB page (an IOMMU could map it).
    /// Errors: EINVAL (misaligned or empty), ENOSPC (4 GiB or range table full), EEXIST (overlaps
    /// a mapped range).
    [[nodiscard]] Result<std::uint32_t> map(void* va, std::size_t bytes);

    /// Undoes map() of exactly this range; no device may use it any more. Errors: ENOENT.
    [[nodiscard]] Status unmap(void* va);

    /// IOVA of `va`, or kNoIova when it is not mapped. Searches; hot paths keep a Window.
    [[nodiscard]] std::uint32_t iova_of(const void* va) const;

    /// Device side: process address of [iova, iova+bytes), or null when any byte is unmapped.
    [[nodiscard]] std::uint8_t* va_of(std::uint32_t iova, std::uint32_t bytes) const;

    /// One mapped range, copied out: lets a queue translate without a search.
    struct Window {
        const std::uint8_t* va = nullptr;
        std::size_t bytes = 0;
        std::uint32_t iova = 0;

        [[nodiscard]] bool holds(const void* address) const {
            return static_cast<std::size_t>(static_cast<const std::uint8_t*>(address) - va) < bytes;
        }

        [[nodiscard]] std::uint32_t iova_of(const void* address) const {
            return iova +
                   static_cast<std::uint32_t>(static_cast<const std::uint8_t*>(address) - va);
        }
    };

    /// The window that holds `va`; bytes == 0 when there is none.
    [[nodiscard]] Window window_of(const void* va) const;

    /// Device side: the window that holds `iova`; bytes == 0 when there is none. A copy is good
    /// as long as generation() stays the same.
    [[nodiscard]] Window window_at(std::uint32_t iova) const;

    /// Changes with each unmap: whoever keeps a Window compares it before use.
    [[nodiscard]] std::uint32_t generation() const {
        return generation_.load(std::memory_order_acquire);
    }

    /// Number of mapped ranges; 0 after every user is gone.
    [[nodiscard]] std::uint32_t ranges() const;

  private:
    static constexpr std::uint32_t kRangesMax = 256;

    // Slots are reused while other ports look up their own ranges, so each has a sequence number
    // (odd = being written) that a reader compares before and after. Readers scan up to `used_`.
    struct Slot {
        std::atomic<std::uint32_t> sequence{0};
        std::atomic<std::uint32_t> iova{0};
        std::atomic<std::uint8_t*> va{nullptr};
        std::atomic<std::size_t> bytes{0};  // 0 = free
    };

    static Window read(const Slot& slot);
    static void write(Slot& slot, std::uint8_t* va, std::size_t bytes, std::uint32_t iova);
    [[nodiscard]] std::uint32_t free_iova(std::uint32_t page_offset, std::size_t bytes) const;

    std::array<Slot, kRangesMax> slots_;
    std::atomic<std::uint32_t> used_{0};
    std::atomic<std::uint32_t> generation_{0};
    std::mutex control_;
};

/// The one space of this process.
[[nodiscard]] DmaSpace& process_dma_space();

}  // namespace crema::vfio
