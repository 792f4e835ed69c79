// SPDX-License-Identifier: BSD-3-Clause
//
// A device behind the kernel's VFIO: "pci:BDF", "platform:NAME". Registers are its first region,
// mapped where the kernel allows it (a page size of 64 KiB does not for a NETA port), else read and
// written by system calls. The interrupt is the first one of the device, masked by the kernel after
// each event until it is rearmed.
// A device that can be reset is, when it is opened and when it goes; the others (platform devices
// without a reset module) must be brought to rest by their driver.
#pragma once

#include <memory>
#include <string>

#include "lib/vfio/device.h"
#include "lib/vfio/kernel/sysfs.h"

namespace crema::vfio::kernel {

/// Opens it, and lets it reach the memory of `space` from now on. Errors: those of find_device(),
/// open_in_group() and open_by_iommufd(); ENOTSUP a device without registers to be read and
/// written; ENOSPC memory that is mapped already where this device's IOMMU cannot have any, or at
/// other than physical addresses for a device that sees those.
[[nodiscard]] Result<std::unique_ptr<Device>> open(Bus bus,
                                                   const std::string& name,
                                                   const KernelArgs& args,
                                                   DmaSpace& space);

}  // namespace crema::vfio::kernel
