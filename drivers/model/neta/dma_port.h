// SPDX-License-Identifier: BSD-3-Clause
//
// The block's way to memory: six address windows, then the DMA space of the process. Every access
// of the engines goes through here; what misses is counted, latched in UNIT_CAUSE and refused.
// One instance per engine: it remembers the last mapped range.
// Source: hardware page 1.4, 2.3.12, 4.4 (errors).
#pragma once

#include <cstdint>

#include "drivers/model/neta/chip.h"
#include "lib/vfio/dma_space.h"

namespace crema::neta::model {

class DmaPort {
  public:
    DmaPort(Chip& chip, const vfio::DmaSpace& space) : chip_(chip), space_(space) {}

    /// Looks at the windows and forgets ranges that were unmapped; before each burst.
    void refresh();

    /// Process address of [iova, iova+bytes), or null: then the causes are latched.
    [[nodiscard]] std::uint8_t* at(std::uint32_t iova, std::uint32_t bytes, bool write) {
        const std::uint32_t offset = iova - last_.iova;
        if (offset < last_.bytes && bytes <= last_.bytes - offset && windows_open_) [[likely]] {
            return const_cast<std::uint8_t*>(last_.va) + offset;
        }
        return search(iova, bytes, write);
    }

  private:
    std::uint8_t* search(std::uint32_t iova, std::uint32_t bytes, bool write);
    [[nodiscard]] bool window_allows(std::uint32_t iova, std::uint32_t bytes, bool write) const;

    Chip& chip_;
    const vfio::DmaSpace& space_;
    vfio::DmaSpace::Window last_;
    std::uint32_t generation_ = 0;
    bool windows_open_ = false;  // window 0 opens all 4 GiB for reading and writing
};

}  // namespace crema::neta::model
