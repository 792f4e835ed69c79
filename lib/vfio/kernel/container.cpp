// SPDX-License-Identifier: BSD-3-Clause
#include "lib/vfio/kernel/container.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/ioctl.h>

#include <linux/vfio.h>

#include "lib/vfio/kernel/physical.h"

namespace crema::vfio::kernel {
namespace {

struct Descriptors {
    UniqueFd container;
    UniqueFd group;
};

class Type1 final : public Mapper {
  public:
    explicit Type1(Descriptors fds) : fds_(std::move(fds)) {}

    [[nodiscard]] Status ask_usable();
    [[nodiscard]] Status map(const void* va, std::uint64_t iova, std::uint64_t bytes) override;
    [[nodiscard]] Status unmap(std::uint64_t iova, std::uint64_t bytes) override;

    [[nodiscard]] const char* name() const override { return "type 1 IOMMU"; }

  private:
    Descriptors fds_;
};

class WithoutIommu final : public Mapper {
  public:
    explicit WithoutIommu(Descriptors fds) : fds_(std::move(fds)) {}

    [[nodiscard]] Status map(const void* /*va*/,
                             std::uint64_t /*iova*/,
                             std::uint64_t /*bytes*/) override {
        return {};
    }

    [[nodiscard]] Status unmap(std::uint64_t /*iova*/, std::uint64_t /*bytes*/) override {
        return {};
    }

    [[nodiscard]] Result<std::vector<DmaPiece>> places(void* va, std::size_t bytes) const override {
        return physical_pieces(va, bytes);
    }

    [[nodiscard]] bool protects() const override { return false; }

    [[nodiscard]] const char* name() const override { return "no IOMMU"; }

  private:
    Descriptors fds_;  // kept open: the device goes with them
};

Status Type1::ask_usable() {
    // The kernel says how much it has to say.
    vfio_iommu_type1_info info{};
    info.argsz = sizeof(info);
    if (::ioctl(fds_.container.get(), VFIO_IOMMU_GET_INFO, &info) != 0) {
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
    if (::ioctl(fds_.container.get(), VFIO_IOMMU_GET_INFO, all.data()) != 0) {
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

Status Type1::map(const void* va, std::uint64_t iova, std::uint64_t bytes) {
    vfio_iommu_type1_dma_map map{};
    map.argsz = sizeof(map);
    map.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;
    map.vaddr = reinterpret_cast<std::uintptr_t>(va);
    map.iova = iova;
    map.size = bytes;
    if (::ioctl(fds_.container.get(), VFIO_IOMMU_MAP_DMA, &map) != 0) {
        const int code = errno;
        return fail(code, "cannot map {} bytes for the device: {}{}", bytes, std::strerror(code),
                    code == ENOMEM ? "; may this process lock so much memory (ulimit -l)?" : "");
    }
    return {};
}

Status Type1::unmap(std::uint64_t iova, std::uint64_t bytes) {
    vfio_iommu_type1_dma_unmap unmap{};
    unmap.argsz = sizeof(unmap);
    unmap.iova = iova;
    unmap.size = bytes;
    if (::ioctl(fds_.container.get(), VFIO_IOMMU_UNMAP_DMA, &unmap) != 0) {
        return fail(errno, "cannot unmap {} bytes: {}", bytes, std::strerror(errno));
    }
    if (unmap.size != bytes) {
        return fail(EIO, "{} of {} bytes were unmapped", static_cast<std::uint64_t>(unmap.size),
                    bytes);
    }
    return {};
}

Result<Descriptors> join(const Place& place) {
    const int kind = place.iommu ? VFIO_TYPE1v2_IOMMU : VFIO_NOIOMMU_IOMMU;
    Descriptors fds{.container = UniqueFd(::open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC)),
                    .group = {}};
    const int container = fds.container.get();
    if (!fds.container.valid()) {
        return failed_at(place, "cannot open /dev/vfio/vfio");
    }
    if (::ioctl(container, VFIO_GET_API_VERSION) != VFIO_API_VERSION) {
        return fail(ENOTSUP, "device={}: this kernel's VFIO is of a version that is not known",
                    place.spec());
    }
    // The group comes first: without one in it, a container knows of no mode without IOMMU.
    fds.group = UniqueFd(::open(place.node.c_str(), O_RDWR | O_CLOEXEC));
    if (!fds.group.valid()) {
        return failed_at(place, "cannot open " + place.node);
    }
    vfio_group_status status{.argsz = sizeof(status), .flags = 0};
    if (::ioctl(fds.group.get(), VFIO_GROUP_GET_STATUS, &status) != 0) {
        return failed_at(place, "VFIO_GROUP_GET_STATUS");
    }
    if ((status.flags & VFIO_GROUP_FLAGS_VIABLE) == 0) {
        return fail(ENODEV,
                    "device={}: other devices of its IOMMU group {} have other drivers: bind them "
                    "to VFIO, too, or to none",
                    place.spec(), place.node);
    }
    if (::ioctl(fds.group.get(), VFIO_GROUP_SET_CONTAINER, &container) != 0) {
        return failed_at(place, "VFIO_GROUP_SET_CONTAINER");
    }
    if (::ioctl(container, VFIO_CHECK_EXTENSION, kind) != 1) {
        return fail(ENOTSUP, "device={}: this kernel's VFIO has no {}", place.spec(),
                    place.iommu ? "type 1 IOMMU: load vfio_iommu_type1" : "mode without IOMMU");
    }
    if (::ioctl(container, VFIO_SET_IOMMU, kind) != 0) {
        return failed_at(place, "VFIO_SET_IOMMU");
    }
    return fds;
}

}  // namespace

Result<Opened> open_in_group(const Place& place) {
    auto fds = join(place);
    if (!fds) {
        return forward_error(fds);
    }
    Opened opened{.mapper = {},
                  .device = UniqueFd(
                      ::ioctl(fds->group.get(), VFIO_GROUP_GET_DEVICE_FD, place.name.c_str()))};
    if (!opened.device.valid()) {
        return failed_at(place, "VFIO_GROUP_GET_DEVICE_FD");
    }
    if (!place.iommu) {
        opened.mapper = std::make_unique<WithoutIommu>(std::move(*fds));
        return opened;
    }
    auto type1 = std::make_unique<Type1>(std::move(*fds));
    if (auto asked = type1->ask_usable(); !asked) {
        return fail(asked.error().code, "device={}: {}", place.spec(), asked.error().message);
    }
    opened.mapper = std::move(type1);
    return opened;
}

}  // namespace crema::vfio::kernel
