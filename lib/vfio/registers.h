// SPDX-License-Identifier: BSD-3-Clause
//
// The register region of a device: memory-mapped where the transport can map it, otherwise two
// plain functions (an in-process model, posted messages). One predictable branch per access; the
// driver makes a few accesses per burst, none per packet.
#pragma once

#include <cstdint>

namespace crema::vfio {

/// One word for one register.
struct RegisterWrite {
    std::uint32_t offset = 0;
    std::uint32_t value = 0;
};

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

/// Registers whose accesses are calls of device.read(offset) and device.write(offset, value).
template <typename D>
[[nodiscard]] Registers registers_by_calls(D& device) {
    return {.mapped = nullptr,
            .device = &device,
            .read_fn = [](void* self,
                          std::uint32_t offset) { return static_cast<D*>(self)->read(offset); },
            .write_fn = [](void* self, std::uint32_t offset,
                           std::uint32_t value) { static_cast<D*>(self)->write(offset, value); }};
}

}  // namespace crema::vfio
