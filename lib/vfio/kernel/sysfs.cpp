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

/// The device's own node in /dev; empty: this kernel has none.
std::string device_node(const fs::path& device, const fs::path& dev) {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(device / "vfio-dev", error)) {
        const fs::path node = dev / "vfio" / "devices" / entry.path().filename();
        if (is_there(node) && is_there(dev / "iommu")) {
            return node.string();
        }
    }
    return {};
}

/// False: there is no such node, and place.node says what was looked for.
Result<bool> find_group(const fs::path& device,
                        const Roots& roots,
                        bool allow_noiommu,
                        Place& place) {
    const std::string group = target_name(device / "iommu_group");
    if (group.empty()) {
        place.node.clear();
        return false;
    }
    const fs::path vfio = fs::path(roots.dev) / "vfio";
    if (const fs::path node = vfio / ("noiommu-" + group); is_there(node)) {
        if (!allow_noiommu) {
            return fail(ENOTSUP,
                        "device={}: group {} has no IOMMU, so the device would write wherever its "
                        "descriptors say, also after this process: allow-noiommu=1 takes that",
                        place.spec(), group);
        }
        place.node = node.string();
        place.iommu = false;
        return true;
    }
    place.node = (vfio / group).string();
    return is_there(place.node);
}

}  // namespace

Result<Place> find_device(Bus bus,
                          const std::string& name,
                          const KernelArgs& args,
                          const Roots& roots) {
    Place place{.bus = bus, .name = name, .node = {}};
    const std::string spec = place.spec();
    if (!is_name(name)) {
        return fail(EINVAL, "device={}: want {}:NAME with a name as in /sys/bus/{}/devices", spec,
                    name_of(bus), name_of(bus));
    }
    if (!args.interface.empty() && args.interface != "group" && args.interface != "iommufd") {
        return fail(EINVAL, "device={}: vfio={}: want group or iommufd", spec, args.interface);
    }
    const fs::path device = fs::path(roots.sys) / "bus" / name_of(bus) / "devices" / name;
    if (!is_there(device)) {
        return fail(ENODEV, "device={}: no such device ({} does not exist)", spec, device.string());
    }
    const fs::path vfio = fs::path(roots.dev) / "vfio";
    if (!is_there(vfio / "vfio") && !is_there(vfio / "devices")) {
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
    place.coherent = is_coherent(bus, device);
    if (args.interface != "iommufd") {
        const auto found = find_group(device, roots, args.allow_noiommu, place);
        if (!found) {
            return forward_error(found);
        }
        if (*found) {
            return place;
        }
    }
    if (args.interface != "group") {
        if (const std::string node = device_node(device, roots.dev); !node.empty()) {
            place.node = node;
            place.iommufd = true;
            return place;
        }
    }
    if (args.interface == "iommufd") {
        return fail(ENODEV,
                    "device={}: vfio=iommufd: this kernel gives it no node in {}, or has no {}: "
                    "vfio=group may do",
                    spec, (vfio / "devices").string(), (fs::path(roots.dev) / "iommu").string());
    }
    if (place.node.empty()) {
        return fail(ENODEV, "device={}: it has no IOMMU group: is an IOMMU on?", spec);
    }
    return fail(ENODEV, "device={}: {} does not exist", spec, place.node);
}

}  // namespace crema::vfio::kernel
