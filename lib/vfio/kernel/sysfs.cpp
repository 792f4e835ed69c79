// SPDX-License-Identifier: BSD-3-Clause
#include "lib/vfio/kernel/sysfs.h"

#include <cerrno>
#include <filesystem>

namespace crema::vfio::kernel {
namespace {

namespace fs = std::filesystem;

/// Last part of what a link leads to; empty: no such link.
std::string target_name(const fs::path& link) {
    std::error_code error;
    const fs::path target = fs::read_symlink(link, error);
    return error ? std::string() : target.filename().string();
}

bool is_there(const fs::path& path) {
    std::error_code error;
    return fs::exists(path, error);
}

bool is_name(const std::string& name) {
    return !name.empty() && name.find('/') == std::string::npos && name != "." && name != "..";
}

/// The kernel says so for platform devices alone; PCI functions of the machines that we know are.
bool is_coherent(Bus bus, const fs::path& device) {
    return bus == Bus::pci || is_there(device / "of_node" / "dma-coherent") ||
           !is_there(device / "of_node");
}

}  // namespace

Result<Place> find_device(Bus bus, const std::string& name, const Roots& roots) {
    Place place{.bus = bus, .name = name, .group_node = {}};
    const std::string spec = place.spec();
    if (!is_name(name)) {
        return fail(EINVAL, "device={}: want {}:NAME with a name as in /sys/bus/{}/devices", spec,
                    name_of(bus), name_of(bus));
    }
    const fs::path device = fs::path(roots.sys) / "bus" / name_of(bus) / "devices" / name;
    if (!is_there(device)) {
        return fail(ENODEV, "device={}: no such device ({} does not exist)", spec, device.string());
    }
    const fs::path vfio = fs::path(roots.dev) / "vfio";
    if (!is_there(vfio / "vfio")) {
        return fail(ENODEV, "device={}: this kernel has no VFIO ({} does not exist): load vfio-{}",
                    spec, (vfio / "vfio").string(), name_of(bus));
    }
    const std::string wanted = std::string("vfio-") + name_of(bus);
    if (const std::string driver = target_name(device / "driver"); driver != wanted) {
        return fail(ENODEV,
                    "device={}: {} has it: write {} to {}/driver_override, unbind it and write its "
                    "name to /sys/bus/{}/drivers_probe",
                    spec, driver.empty() ? "no driver" : "driver " + driver, wanted,
                    device.string(), name_of(bus));
    }
    const std::string group = target_name(device / "iommu_group");
    if (group.empty()) {
        return fail(ENODEV, "device={}: it has no IOMMU group: is an IOMMU on?", spec);
    }
    if (is_there(vfio / ("noiommu-" + group))) {
        return fail(ENOTSUP,
                    "device={}: group {} has no IOMMU, which is not served: its memory addresses "
                    "would be physical ones",
                    spec, group);
    }
    place.group_node = (vfio / group).string();
    if (!is_there(place.group_node)) {
        return fail(ENODEV, "device={}: {} does not exist", spec, place.group_node);
    }
    place.coherent = is_coherent(bus, device);
    return place;
}

}  // namespace crema::vfio::kernel
