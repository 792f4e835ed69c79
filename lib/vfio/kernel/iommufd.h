// SPDX-License-Identifier: BSD-3-Clause
//
// The newer of VFIO's two interfaces (Linux 6.6): the device has a node of its own, and memory is
// mapped in an address space of /dev/iommu. There is none without IOMMU.
#pragma once

#include "lib/vfio/kernel/mapper.h"

namespace crema::vfio::kernel {

/// Errors: what the kernel says; EBUSY another program has the device, EPERM rights.
[[nodiscard]] Result<Opened> open_by_iommufd(const Place& place);

}  // namespace crema::vfio::kernel
