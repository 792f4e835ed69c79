// SPDX-License-Identifier: BSD-3-Clause
//
// A VFIO container with one group behind a type 1 IOMMU: where a device's memory is mapped, and
// where the device itself comes from. EAL's rte_vfio is not used: it maps all of its memory at
// addresses of 64 bits, which a NETA descriptor cannot hold, and pins it a second time.
//
// Mapped memory is pinned and counts against RLIMIT_MEMLOCK. With the last descriptor, so also when
// the process is killed, the kernel takes device and mappings apart: no DMA goes on into memory
// that others get. Control threads.
#pragma once

#include <cstdint>
#include <vector>

#include "lib/base/unique_fd.h"
#include "lib/vfio/kernel/sysfs.h"

namespace crema::vfio::kernel {

struct IovaRange {
    std::uint64_t first = 0;
    std::uint64_t last = 0;  // inclusive
};

class Container {
  public:
    /// Errors: what the kernel says; EBUSY another program has the group, EPERM rights, ENODEV a
    /// neighbour in the group is bound to another driver.
    [[nodiscard]] static Result<Container> open(const Place& place);

    /// The device of the place. Once.
    [[nodiscard]] Result<UniqueFd> device(const Place& place) const;

    /// Where memory may be mapped, ascending. Empty: the kernel does not say.
    [[nodiscard]] const std::vector<IovaRange>& usable() const { return usable_; }

    /// Whole pages. The device may read and write it.
    [[nodiscard]] Status map(const void* va, std::uint64_t iova, std::uint64_t bytes) const;
    /// Exactly what one map() has mapped.
    [[nodiscard]] Status unmap(std::uint64_t iova, std::uint64_t bytes) const;

  private:
    Container(UniqueFd container, UniqueFd group)
        : container_(std::move(container)), group_(std::move(group)) {}

    [[nodiscard]] Status ask_usable();

    UniqueFd container_;
    UniqueFd group_;
    std::vector<IovaRange> usable_;
};

}  // namespace crema::vfio::kernel
