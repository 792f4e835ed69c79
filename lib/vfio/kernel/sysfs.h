// SPDX-License-Identifier: BSD-3-Clause
//
// What sysfs says of a device that is to be driven through the kernel's VFIO: whether it is there,
// bound to VFIO's driver, and where its /dev node is. Source: the kernel's VFIO documentation.
#pragma once

#include <cstdint>
#include <string>

#include "lib/base/result.h"
#include "lib/vfio/device.h"

namespace crema::vfio::kernel {

enum class Bus : std::uint8_t { platform, pci };

[[nodiscard]] constexpr const char* name_of(Bus bus) {
    return bus == Bus::pci ? "pci" : "platform";
}

/// The roots of what is asked; others in tests.
struct Roots {
    std::string sys = "/sys";
    std::string dev = "/dev";
};

struct Place {
    Bus bus = Bus::platform;
    std::string name;      // as in /sys/bus/BUS/devices
    std::string node;      // /dev/vfio/N, /dev/vfio/noiommu-N; with iommufd /dev/vfio/devices/vfioN
    bool iommufd = false;  // the device's own node, else its group's
    bool iommu = true;
    bool coherent = true;  // caches need no maintenance around DMA

    [[nodiscard]] std::string spec() const { return std::string(name_of(bus)) + ":" + name; }
};

/// By its group where the kernel has groups, else by iommufd, unless `args` says which.
/// Errors, each with what to do: EINVAL no such name or interface, ENODEV no such device, none of
/// VFIO's driver, no IOMMU group, no VFIO in this kernel; ENOTSUP a group without IOMMU that is not
/// allowed.
[[nodiscard]] Result<Place> find_device(Bus bus,
                                        const std::string& name,
                                        const KernelArgs& args = {},
                                        const Roots& roots = {});

}  // namespace crema::vfio::kernel
