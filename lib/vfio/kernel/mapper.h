// SPDX-License-Identifier: BSD-3-Clause
//
// How memory reaches a device of the kernel's VFIO. Three kinds: a container with a type 1 IOMMU, a
// container without IOMMU (container.h), and an address space of iommufd (iommufd.h).
//
// Mapped memory is pinned and counts against RLIMIT_MEMLOCK. With the last descriptor, so also when
// the process is killed, the kernel takes device and mappings apart: behind an IOMMU no DMA goes on
// into memory that others get. Control threads.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "lib/base/result.h"
#include "lib/base/unique_fd.h"
#include "lib/vfio/dma_space.h"
#include "lib/vfio/kernel/sysfs.h"

namespace crema::vfio::kernel {

struct IovaRange {
    std::uint64_t first = 0;
    std::uint64_t last = 0;  // inclusive
};

/// Addresses of 32 bits that no range covers. No ranges: nobody says, so none.
[[nodiscard]] std::vector<DmaHole> holes_between(const std::vector<IovaRange>& usable);

class Mapper {
  public:
    Mapper() = default;
    Mapper(const Mapper&) = delete;
    Mapper& operator=(const Mapper&) = delete;
    virtual ~Mapper() = default;

    /// Where memory may be mapped, ascending. Empty: the kernel does not say.
    [[nodiscard]] const std::vector<IovaRange>& usable() const { return usable_; }

    /// Whole pages. The device may read and write it.
    [[nodiscard]] virtual Status map(const void* va, std::uint64_t iova, std::uint64_t bytes) = 0;
    /// Exactly what one map() has mapped.
    [[nodiscard]] virtual Status unmap(std::uint64_t iova, std::uint64_t bytes) = 0;

    /// As DmaListener::places().
    [[nodiscard]] virtual Result<std::vector<DmaPiece>> places(void* /*va*/,
                                                               std::size_t /*bytes*/) const {
        return std::vector<DmaPiece>{};
    }

    /// False: only the device's own restraint keeps it from memory.
    [[nodiscard]] virtual bool protects() const { return true; }

    /// For people.
    [[nodiscard]] virtual const char* name() const = 0;

  protected:
    std::vector<IovaRange> usable_;
};

/// A device, and how memory gets to it. The device goes first.
struct Opened {
    std::unique_ptr<Mapper> mapper;
    UniqueFd device;
};

/// `what` failed with errno; with a hint for what users meet.
[[nodiscard]] tl::unexpected<Error> failed_at(const Place& place, const std::string& what);

}  // namespace crema::vfio::kernel
