// SPDX-License-Identifier: BSD-3-Clause
//
// The older of VFIO's two interfaces: a container with one group, behind a type 1 IOMMU or without
// any. EAL's rte_vfio is not used: it maps all of its memory at addresses of 64 bits, which a NETA
// descriptor cannot hold, and pins it a second time.
//
// Without IOMMU nothing is mapped and nothing is protected: the device is told physical addresses
// (physical.h), and what it was told it may do as long as it runs.
#pragma once

#include "lib/vfio/kernel/mapper.h"

namespace crema::vfio::kernel {

/// Errors: what the kernel says; EBUSY another program has the group, EPERM rights, ENODEV a
/// neighbour in the group is bound to another driver, ENOTSUP no such kind of container.
[[nodiscard]] Result<Opened> open_in_group(const Place& place);

}  // namespace crema::vfio::kernel
