// SPDX-License-Identifier: BSD-3-Clause
//
// The structures are spelled out here: the headers of Debian 12 are older than the interface.
// Source: the kernel's documentation of iommufd and of VFIO's device nodes. Each structure starts
// with its own length, and a kernel that knows a longer one takes the rest as zero.
#include "lib/vfio/kernel/iommufd.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/ioctl.h>

#include <linux/vfio.h>

namespace crema::vfio::kernel {
namespace {

constexpr unsigned kIommufd = ';';
constexpr unsigned long kIoasAlloc = _IO(kIommufd, 0x81);
constexpr unsigned long kIoasIovaRanges = _IO(kIommufd, 0x84);
constexpr unsigned long kIoasMap = _IO(kIommufd, 0x85);
constexpr unsigned long kIoasUnmap = _IO(kIommufd, 0x86);
constexpr unsigned long kDeviceBind = _IO(VFIO_TYPE, VFIO_BASE + 18);
constexpr unsigned long kDeviceAttach = _IO(VFIO_TYPE, VFIO_BASE + 19);

constexpr std::uint32_t kMapFixed = 1;
constexpr std::uint32_t kMapWriteable = 2;
constexpr std::uint32_t kMapReadable = 4;

struct IoasAlloc {
    std::uint32_t size = sizeof(IoasAlloc);
    std::uint32_t flags = 0;
    std::uint32_t id = 0;  // out
};

struct IoasIovaRanges {
    std::uint32_t size = sizeof(IoasIovaRanges);
    std::uint32_t ioas = 0;
    std::uint32_t count = 0;  // room, then how many there are
    std::uint32_t reserved = 0;
    std::uint64_t ranges = 0;     // where
    std::uint64_t alignment = 0;  // out
};

struct IoasMap {
    std::uint32_t size = sizeof(IoasMap);
    std::uint32_t flags = kMapFixed | kMapWriteable | kMapReadable;
    std::uint32_t ioas = 0;
    std::uint32_t reserved = 0;
    std::uint64_t va = 0;
    std::uint64_t bytes = 0;
    std::uint64_t iova = 0;
};

struct IoasUnmap {
    std::uint32_t size = sizeof(IoasUnmap);
    std::uint32_t ioas = 0;
    std::uint64_t iova = 0;
    std::uint64_t bytes = 0;  // out: how many were
};

struct DeviceBind {
    std::uint32_t size = sizeof(DeviceBind);
    std::uint32_t flags = 0;
    std::int32_t iommufd = -1;
    std::uint32_t id = 0;  // out
};

struct DeviceAttach {
    std::uint32_t size = sizeof(DeviceAttach);
    std::uint32_t flags = 0;
    std::uint32_t ioas = 0;
};

static_assert(sizeof(IoasAlloc) == 12 && sizeof(IoasIovaRanges) == 32 && sizeof(IoasMap) == 40 &&
              sizeof(IoasUnmap) == 24 && sizeof(DeviceBind) == 16 && sizeof(DeviceAttach) == 12 &&
              sizeof(IovaRange) == 16);

class AddressSpace final : public Mapper {
  public:
    AddressSpace(UniqueFd iommu, std::uint32_t id) : iommu_(std::move(iommu)), id_(id) {}

    /// What the devices that are attached leave. Errors: what the kernel says.
    [[nodiscard]] Status ask_usable();

    [[nodiscard]] Status map(const void* va, std::uint64_t iova, std::uint64_t bytes) override {
        IoasMap map{
            .ioas = id_, .va = reinterpret_cast<std::uintptr_t>(va), .bytes = bytes, .iova = iova};
        if (::ioctl(iommu_.get(), kIoasMap, &map) != 0) {
            const int code = errno;
            return fail(
                code, "cannot map {} bytes for the device: {}{}", bytes, std::strerror(code),
                code == ENOMEM ? "; may this process lock so much memory (ulimit -l)?" : "");
        }
        return {};
    }

    [[nodiscard]] Status unmap(std::uint64_t iova, std::uint64_t bytes) override {
        IoasUnmap unmap{.ioas = id_, .iova = iova, .bytes = bytes};
        if (::ioctl(iommu_.get(), kIoasUnmap, &unmap) != 0) {
            return fail(errno, "cannot unmap {} bytes: {}", bytes, std::strerror(errno));
        }
        return {};
    }

    [[nodiscard]] const char* name() const override { return "iommufd"; }

  private:
    UniqueFd iommu_;
    std::uint32_t id_;
};

Status AddressSpace::ask_usable() {
    constexpr std::uint32_t kRangesMax = 4096;
    IoasIovaRanges ask{.ioas = id_};
    if (::ioctl(iommu_.get(), kIoasIovaRanges, &ask) != 0 && errno != EMSGSIZE) {
        return fail(errno, "IOMMU_IOAS_IOVA_RANGES: {}", std::strerror(errno));
    }
    if (ask.count > kRangesMax) {
        return fail(E2BIG, "IOMMU_IOAS_IOVA_RANGES: {} ranges", ask.count);
    }
    usable_.resize(ask.count);
    ask.ranges = reinterpret_cast<std::uintptr_t>(usable_.data());
    if (::ioctl(iommu_.get(), kIoasIovaRanges, &ask) != 0) {
        return fail(errno, "IOMMU_IOAS_IOVA_RANGES: {}", std::strerror(errno));
    }
    return {};
}

}  // namespace

Result<Opened> open_by_iommufd(const Place& place) {
    UniqueFd iommu(::open("/dev/iommu", O_RDWR | O_CLOEXEC));
    if (!iommu.valid()) {
        return failed_at(place, "cannot open /dev/iommu");
    }
    UniqueFd device(::open(place.node.c_str(), O_RDWR | O_CLOEXEC));
    if (!device.valid()) {
        return failed_at(place, "cannot open " + place.node);
    }
    DeviceBind bind{.iommufd = iommu.get()};
    if (::ioctl(device.get(), kDeviceBind, &bind) != 0) {
        return failed_at(place, "VFIO_DEVICE_BIND_IOMMUFD");
    }
    IoasAlloc space;
    if (::ioctl(iommu.get(), kIoasAlloc, &space) != 0) {
        return failed_at(place, "IOMMU_IOAS_ALLOC");
    }
    DeviceAttach attach{.ioas = space.id};
    if (::ioctl(device.get(), kDeviceAttach, &attach) != 0) {
        return failed_at(place, "VFIO_DEVICE_ATTACH_IOMMUFD_PT");
    }
    auto mapper = std::make_unique<AddressSpace>(std::move(iommu), space.id);
    if (auto asked = mapper->ask_usable(); !asked) {
        return fail(asked.error().code, "device={}: {}", place.spec(), asked.error().message);
    }
    return Opened{.mapper = std::move(mapper), .device = std::move(device)};
}

}  // namespace crema::vfio::kernel
