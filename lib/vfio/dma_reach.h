// SPDX-License-Identifier: BSD-3-Clause
//
// Memory as a device sees it: windows of process memory at I/O virtual addresses (IOVAs), each with
// the rights that it was given. A device finds every address here at the time of its use, and what
// it keeps between two uses is good only as long as generation() stays the same.
// Implemented by the space of the own process (dma_space.h) and by a client's
// (user/guest_memory.h).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace crema::vfio {

/// What a device may do with memory; a mask.
enum class DmaRights : std::uint8_t { none = 0, read = 1, write = 2, both = 3 };

[[nodiscard]] constexpr bool includes(DmaRights given, DmaRights wanted) {
    return (static_cast<unsigned>(wanted) & ~static_cast<unsigned>(given)) == 0;
}

class DmaReach {
  public:
    /// One range, copied out.
    struct Window {
        const std::uint8_t* va = nullptr;
        std::size_t bytes = 0;
        std::uint32_t iova = 0;
        DmaRights rights = DmaRights::both;

        [[nodiscard]] bool holds(const void* address) const {
            return static_cast<std::size_t>(static_cast<const std::uint8_t*>(address) - va) < bytes;
        }

        [[nodiscard]] std::uint32_t iova_of(const void* address) const {
            return iova +
                   static_cast<std::uint32_t>(static_cast<const std::uint8_t*>(address) - va);
        }
    };

    DmaReach() = default;
    DmaReach(const DmaReach&) = delete;
    DmaReach& operator=(const DmaReach&) = delete;
    virtual ~DmaReach() = default;

    /// The window that holds `iova`; bytes == 0 when there is none.
    [[nodiscard]] virtual Window window_at(std::uint32_t iova) const = 0;

    /// Changes with each range that goes: whoever keeps a Window compares it before use.
    [[nodiscard]] std::uint32_t generation() const {
        return generation_.load(std::memory_order_acquire);
    }

  protected:
    std::atomic<std::uint32_t> generation_{0};
};

}  // namespace crema::vfio
