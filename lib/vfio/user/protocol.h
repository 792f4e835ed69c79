// SPDX-License-Identifier: BSD-3-Clause
//
// vfio-user on the wire: numbers and layouts, shared by server and client. A message is a header,
// a fixed structure of its command, and data; host byte order.
// Source: the protocol's specification in QEMU's documentation (interop/vfio-user), and the numbers
// of <linux/vfio.h>, which it takes over.
#pragma once

#include <cstddef>
#include <cstdint>

namespace crema::vfio::user {

enum class Command : std::uint16_t {
    version = 1,
    dma_map = 2,
    dma_unmap = 3,
    device_info = 4,
    region_info = 5,
    region_io_fds = 6,
    irq_info = 7,
    set_irqs = 8,
    region_read = 9,
    region_write = 10,
    dma_read = 11,
    dma_write = 12,
    device_reset = 13,
    region_write_multi = 15,
    device_feature = 16,
    migration_read = 17,
    migration_write = 18,
};

inline constexpr std::uint32_t kTypeMask = 0xf;
inline constexpr std::uint32_t kTypeCommand = 0;
inline constexpr std::uint32_t kTypeReply = 1;
inline constexpr std::uint32_t kNoReply = 0x10;
inline constexpr std::uint32_t kError = 0x20;

struct Header {
    std::uint16_t id = 0;
    Command command{};
    std::uint32_t bytes = 0;  // of the whole message
    std::uint32_t flags = 0;
    std::uint32_t error = 0;
};

static_assert(sizeof(Header) == 16);

/// The longest data of a region access, and what one message may hold beside its header.
inline constexpr std::uint32_t kTransferMax = 65536;
inline constexpr std::uint32_t kPayloadMax = kTransferMax + 32;
/// Descriptors in one message.
inline constexpr std::uint32_t kFdsMax = 8;
/// Ranges of memory at a time.
inline constexpr std::uint32_t kRangesMax = 32768;

struct Version {
    std::uint16_t major = 0;
    std::uint16_t minor = 0;
};

inline constexpr std::uint32_t kVersionTextMax = 4096;

struct DmaMap {
    std::uint32_t argsz = 0;
    std::uint32_t flags = 0;
    std::uint64_t offset = 0;
    std::uint64_t address = 0;
    std::uint64_t size = 0;
};

static_assert(sizeof(DmaMap) == 32);
inline constexpr std::uint32_t kMapReadable = 1;
inline constexpr std::uint32_t kMapWritable = 2;

struct DmaUnmap {
    std::uint32_t argsz = 0;
    std::uint32_t flags = 0;
    std::uint64_t address = 0;
    std::uint64_t size = 0;
};

static_assert(sizeof(DmaUnmap) == 24);
inline constexpr std::uint32_t kUnmapAll = 2;

struct DeviceInfo {
    std::uint32_t argsz = 0;
    std::uint32_t flags = 0;
    std::uint32_t regions = 0;
    std::uint32_t irqs = 0;
};

static_assert(sizeof(DeviceInfo) == 16);
inline constexpr std::uint32_t kDeviceReset = 1;
inline constexpr std::uint32_t kDevicePci = 2;
inline constexpr std::uint32_t kDevicePlatform = 4;

struct RegionInfo {
    std::uint32_t argsz = 0;
    std::uint32_t flags = 0;
    std::uint32_t index = 0;
    std::uint32_t cap_offset = 0;
    std::uint64_t size = 0;
    std::uint64_t offset = 0;
};

static_assert(sizeof(RegionInfo) == 32);
inline constexpr std::uint32_t kRegionRead = 1;
inline constexpr std::uint32_t kRegionWrite = 2;

struct RegionIoFds {
    std::uint32_t argsz = 0;
    std::uint32_t flags = 0;
    std::uint32_t index = 0;
    std::uint32_t count = 0;
};

struct IrqInfo {
    std::uint32_t argsz = 0;
    std::uint32_t flags = 0;
    std::uint32_t index = 0;
    std::uint32_t count = 0;
};

static_assert(sizeof(IrqInfo) == 16);
inline constexpr std::uint32_t kIrqEventfd = 1;
inline constexpr std::uint32_t kIrqMaskable = 2;
inline constexpr std::uint32_t kIrqAutomasked = 4;

struct SetIrqs {
    std::uint32_t argsz = 0;
    std::uint32_t flags = 0;
    std::uint32_t index = 0;
    std::uint32_t start = 0;
    std::uint32_t count = 0;
};

static_assert(sizeof(SetIrqs) == 20);
inline constexpr std::uint32_t kIrqDataNone = 1;
inline constexpr std::uint32_t kIrqDataBool = 2;
inline constexpr std::uint32_t kIrqDataEventfd = 4;
inline constexpr std::uint32_t kIrqMask = 8;
inline constexpr std::uint32_t kIrqUnmask = 0x10;
inline constexpr std::uint32_t kIrqTrigger = 0x20;

struct RegionAccess {
    std::uint64_t offset = 0;
    std::uint32_t region = 0;
    std::uint32_t count = 0;
};

static_assert(sizeof(RegionAccess) == 16);

// What a PCI function has, by the numbers of VFIO.
inline constexpr std::uint32_t kPciRegions = 9;
inline constexpr std::uint32_t kPciConfigRegion = 7;
inline constexpr std::uint32_t kPciIrqs = 5;
/// The registers and the one interrupt line: first of their kind in both flavours.
inline constexpr std::uint32_t kRegisterRegion = 0;
inline constexpr std::uint32_t kLineIrq = 0;

}  // namespace crema::vfio::user
