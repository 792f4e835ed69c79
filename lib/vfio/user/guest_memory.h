// SPDX-License-Identifier: BSD-3-Clause
//
// A client's memory in the server: each DMA_MAP is a piece of a file, mapped here with the rights
// that the client gave. Looked up by address at each use, unmapped before the client is told so.
//
// Whole pages below 4 GiB lie at their address in one stretch of address space that is kept for
// them. So neighbours of equal rights are neighbours here, too, and a device may use them as one:
// an IOMMU tells of scattered memory page by page, and a ring or a frame is longer than a page.
//
// Clients may lie: a file may shrink after it was mapped. Touching what is gone raises SIGBUS;
// while a Guard lives its thread survives that, the piece reads as zeros, and broken() says so. One
// thread does everything, so that a range cannot go while the device uses it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>

#include "lib/base/result.h"
#include "lib/base/unique_fd.h"
#include "lib/vfio/dma_reach.h"

namespace crema::vfio::user {

class GuestMemory final : public DmaReach {
  public:
    GuestMemory();
    GuestMemory(const GuestMemory&) = delete;
    GuestMemory& operator=(const GuestMemory&) = delete;
    ~GuestMemory() override;

    /// [address, address+size) is [offset, offset+size) of the file `fd`. Without a descriptor the
    /// range is known and cannot be reached. Nothing at or above 4 GiB is reached either.
    /// Errors: EINVAL (empty, beyond the address space or the file, no regular file), EEXIST
    /// (overlap), ENOSPC (too many), EACCES (the descriptor does not allow it), and what mmap says.
    [[nodiscard]] Status map(std::uint64_t address,
                             std::uint64_t size,
                             const UniqueFd& fd,
                             std::uint64_t offset,
                             DmaRights rights);

    /// Ranges inside of [address, address+size) go; none is fine. Returns the bytes that went.
    /// Errors: EINVAL when a range lies across an end.
    [[nodiscard]] Result<std::uint64_t> unmap(std::uint64_t address, std::uint64_t size);

    /// All ranges go; returns their bytes.
    std::uint64_t clear();

    /// Goes on through neighbours, as far as a device needs anything in one piece.
    [[nodiscard]] Window window_at(std::uint32_t iova) const override;

    [[nodiscard]] std::size_t ranges() const { return ranges_.size(); }

    /// A file of the client ended before a range of it did.
    [[nodiscard]] bool broken() const { return broken_.load(std::memory_order_relaxed); }

    /// While it lives, SIGBUS of this thread inside of `memory` is survived. One per thread.
    class Guard {
      public:
        explicit Guard(GuestMemory& memory);
        ~Guard();
        Guard(const Guard&) = delete;
        Guard& operator=(const Guard&) = delete;
    };

  private:
    struct Range {
        std::uint64_t size = 0;
        std::uint8_t* va = nullptr;    // of the first byte; null: cannot be reached
        std::uint8_t* base = nullptr;  // what was mapped: whole pages around it
        std::size_t mapped = 0;
        DmaRights rights = DmaRights::none;
    };

    [[nodiscard]] Status map_file(Range& range,
                                  std::uint64_t address,
                                  const UniqueFd& fd,
                                  std::uint64_t offset);
    [[nodiscard]] std::uint8_t* map_in_place(std::uint64_t address,
                                             std::size_t bytes,
                                             int protection,
                                             const UniqueFd& fd,
                                             std::uint64_t offset);
    [[nodiscard]] bool is_in_place(const Range& range) const;
    /// False: the stretch has a hole that may become somebody else's, and is not used any more.
    bool keep_free(std::uint8_t* start, std::size_t bytes);
    void release(Range& range);

    friend void replace_lost_page(GuestMemory& memory, const void* address, bool& replaced);

    std::map<std::uint64_t, Range> ranges_;  // by address
    std::uint8_t* stretch_ = nullptr;        // of 4 GiB; null: there is none
    bool places_ = false;                    // new ranges may lie in it
    std::atomic<bool> broken_{false};
};

}  // namespace crema::vfio::user
