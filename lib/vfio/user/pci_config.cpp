// SPDX-License-Identifier: BSD-3-Clause
//
// See pci_config.h. Offsets and bits of a type 0 header, PCI Local Bus Specification 3.0, 6.1
// and 6.2.
#include "lib/vfio/user/pci_config.h"

#include <algorithm>

namespace crema::vfio::user {
namespace {

constexpr std::uint32_t kCommand = 0x04;
constexpr std::uint32_t kStatus = 0x06;
constexpr std::uint8_t kStatusInterrupt = 1U << 3U;
constexpr std::uint8_t kCommandHighInterruptOff = 1U << 2U;  // bit 10 of the word

using Space = std::array<std::uint8_t, PciConfig::kBytes>;

constexpr Space kPowerOn = [] {
    Space space{};
    space[0x00] = 0xab;  // vendor: Marvell
    space[0x01] = 0x11;
    space[0x02] = 0x00;  // device: none that Marvell ever used, nothing binds to it by itself
    space[0x03] = 0xff;
    space[0x08] = 0x01;  // revision
    space[0x0b] = 0x02;  // class: network, Ethernet
    space[0x2c] = 0xab;  // subsystem: the same
    space[0x2d] = 0x11;
    space[0x2f] = 0xff;
    space[0x3d] = 0x01;  // interrupt pin A
    return space;
}();

// A mask per byte.
constexpr Space kWritable = [] {
    Space mask{};
    mask[kCommand] = 0x46;      // memory, bus master, parity response
    mask[kCommand + 1] = 0x05;  // SERR, interrupt disable
    mask[0x0c] = 0xff;          // cache line size
    mask[0x0d] = 0xff;          // latency timer
    // BAR 0: all but the type bits, which say 32-bit memory.
    mask[0x10] = 0xf0;
    mask[0x11] = mask[0x12] = mask[0x13] = 0xff;
    mask[0x3c] = 0xff;  // interrupt line
    return mask;
}();

}  // namespace

void PciConfig::reset() {
    space_ = kPowerOn;
}

void PciConfig::read(std::uint32_t offset, std::span<std::uint8_t> out) const {
    std::copy_n(space_.begin() + offset, out.size(), out.begin());
}

void PciConfig::write(std::uint32_t offset, std::span<const std::uint8_t> in) {
    for (const std::uint8_t byte : in) {
        const std::uint8_t mask = kWritable[offset];
        space_[offset] = static_cast<std::uint8_t>((space_[offset] & ~mask) | (byte & mask));
        ++offset;
    }
}

void PciConfig::show_interrupt(bool level) {
    const auto rest = static_cast<std::uint8_t>(space_[kStatus] & ~kStatusInterrupt);
    space_[kStatus] = level ? static_cast<std::uint8_t>(rest | kStatusInterrupt) : rest;
}

bool PciConfig::interrupt_disabled() const {
    return (space_[kCommand + 1] & kCommandHighInterruptOff) != 0;
}

}  // namespace crema::vfio::user
