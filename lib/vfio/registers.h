// SPDX-License-Identifier: BSD-3-Clause
//
// The register region of a device: memory-mapped where the transport can map it, otherwise two
// plain functions (an in-process model, posted messages). One predictable branch per access; the
// driver makes a few accesses per burst, none per packet.
#pragma once

#include <cstdint>

namespace crema::vfio {

struct Registers {
    volatile std::uint32_t* mapped = nullptr;  // region base, or null
    void* device = nullptr;
    std::uint32_t (*read_fn)(void* device, std::uint32_t offset) = nullptr;
    void (*write_fn)(void* device, std::uint32_t offset, std::uint32_t value) = nullptr;

    /// offset: bytes, multiple of 4, inside the region.
    [[nodiscard]] std::uint32_t read(std::uint32_t offset) const {
        return mapped != nullptr ? mapped[offset / 4] : read_fn(device, offset);
    }

    void write(std::uint32_t offset, std::uint32_t value) const {
        if (mapped != nullptr) {
            mapped[offset / 4] = value;
        } else {
            write_fn(device, offset, value);
        }
    }
};

}  // namespace crema::vfio
