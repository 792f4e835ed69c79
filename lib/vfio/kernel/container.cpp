// SPDX-License-Identifier: BSD-3-Clause
#include "lib/vfio/kernel/container.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/ioctl.h>

#include <linux/vfio.h>

namespace crema::vfio::kernel {
namespace {

tl::unexpected<Error> failed(const Place& place, const char* what) {
    const int code = errno;
    const char* hint = "";
    if (code == EBUSY) {
        hint = ": another program has it";
    } else if (code == EPERM || code == EACCES) {
        hint =
            ": root may, and whoever owns the node; on some machines VFIO also wants "
            "allow_unsafe_interrupts=1";
    }
    return fail(code, "device={}: {}: {}{}", place.spec(), what, std::strerror(code), hint);
}

}  // namespace

Result<Container> Container::open(const Place& place) {
    UniqueFd container(::open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC));
    if (!container.valid()) {
        return failed(place, "cannot open /dev/vfio/vfio");
    }
    if (::ioctl(container.get(), VFIO_GET_API_VERSION) != VFIO_API_VERSION ||
        ::ioctl(container.get(), VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU) != 1) {
        return fail(ENOTSUP,
                    "device={}: this kernel's VFIO has no type 1 IOMMU: load "
                    "vfio_iommu_type1",
                    place.spec());
    }
    UniqueFd group(::open(place.group_node.c_str(), O_RDWR | O_CLOEXEC));
    if (!group.valid()) {
        return failed(place, ("cannot open " + place.group_node).c_str());
    }
    vfio_group_status status{.argsz = sizeof(status), .flags = 0};
    if (::ioctl(group.get(), VFIO_GROUP_GET_STATUS, &status) != 0) {
        return failed(place, "VFIO_GROUP_GET_STATUS");
    }
    if ((status.flags & VFIO_GROUP_FLAGS_VIABLE) == 0) {
        return fail(ENODEV,
                    "device={}: other devices of its IOMMU group {} have other drivers: bind them "
                    "to VFIO, too, or to none",
                    place.spec(), place.group_node);
    }
    const int fd = container.get();
    if (::ioctl(group.get(), VFIO_GROUP_SET_CONTAINER, &fd) != 0) {
        return failed(place, "VFIO_GROUP_SET_CONTAINER");
    }
    if (::ioctl(container.get(), VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) != 0) {
        return failed(place, "VFIO_SET_IOMMU");
    }
    Container made(std::move(container), std::move(group));
    if (auto asked = made.ask_usable(); !asked) {
        return fail(asked.error().code, "device={}: {}", place.spec(), asked.error().message);
    }
    return made;
}

Result<UniqueFd> Container::device(const Place& place) const {
    UniqueFd device(::ioctl(group_.get(), VFIO_GROUP_GET_DEVICE_FD, place.name.c_str()));
    if (!device.valid()) {
        return failed(place, "VFIO_GROUP_GET_DEVICE_FD");
    }
    return device;
}

Status Container::ask_usable() {
    // The kernel says how much it has to say.
    vfio_iommu_type1_info info{};
    info.argsz = sizeof(info);
    if (::ioctl(container_.get(), VFIO_IOMMU_GET_INFO, &info) != 0) {
        return fail(errno, "VFIO_IOMMU_GET_INFO: {}", std::strerror(errno));
    }
    constexpr std::uint32_t kInfoMax = 1U << 20U;
    if ((info.flags & VFIO_IOMMU_INFO_CAPS) == 0 || info.argsz < sizeof(info) ||
        info.argsz > kInfoMax) {
        return {};
    }
    std::vector<std::uint8_t> all(info.argsz);
    info.cap_offset = 0;
    std::memcpy(all.data(), &info, sizeof(info));
    if (::ioctl(container_.get(), VFIO_IOMMU_GET_INFO, all.data()) != 0) {
        return fail(errno, "VFIO_IOMMU_GET_INFO: {}", std::strerror(errno));
    }
    std::memcpy(&info, all.data(), sizeof(info));
    vfio_info_cap_header header{};
    for (std::uint32_t at = info.cap_offset; at != 0 && at + sizeof(header) <= all.size();
         at = header.next) {
        std::memcpy(&header, all.data() + at, sizeof(header));
        vfio_iommu_type1_info_cap_iova_range cap{};
        if (header.id == VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE && at + sizeof(cap) <= all.size()) {
            std::memcpy(&cap, all.data() + at, sizeof(cap));
            std::size_t from = at + sizeof(cap);
            for (std::uint32_t n = 0;
                 n < cap.nr_iovas && from + sizeof(vfio_iova_range) <= all.size();
                 ++n, from += sizeof(vfio_iova_range)) {
                vfio_iova_range range{};
                std::memcpy(&range, all.data() + from, sizeof(range));
                usable_.push_back({range.start, range.end});
            }
        }
        if (header.next <= at) {
            break;
        }
    }
    return {};
}

Status Container::map(const void* va, std::uint64_t iova, std::uint64_t bytes) const {
    vfio_iommu_type1_dma_map map{};
    map.argsz = sizeof(map);
    map.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;
    map.vaddr = reinterpret_cast<std::uintptr_t>(va);
    map.iova = iova;
    map.size = bytes;
    if (::ioctl(container_.get(), VFIO_IOMMU_MAP_DMA, &map) != 0) {
        const int code = errno;
        return fail(code, "cannot map {} bytes for the device: {}{}", bytes, std::strerror(code),
                    code == ENOMEM ? "; may this process lock so much memory (ulimit -l)?" : "");
    }
    return {};
}

Status Container::unmap(std::uint64_t iova, std::uint64_t bytes) const {
    vfio_iommu_type1_dma_unmap unmap{};
    unmap.argsz = sizeof(unmap);
    unmap.iova = iova;
    unmap.size = bytes;
    if (::ioctl(container_.get(), VFIO_IOMMU_UNMAP_DMA, &unmap) != 0) {
        return fail(errno, "cannot unmap {} bytes: {}", bytes, std::strerror(errno));
    }
    if (unmap.size != bytes) {
        return fail(EIO, "{} of {} bytes were unmapped", static_cast<std::uint64_t>(unmap.size),
                    bytes);
    }
    return {};
}

}  // namespace crema::vfio::kernel
