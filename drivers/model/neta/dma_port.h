// SPDX-License-Identifier: BSD-3-Clause
//
// The block's way to memory: six address windows, then the memory that the driver mapped for it.
// Every access of the engines goes through here; what misses is counted, latched in UNIT_CAUSE and
// refused. One instance per engine: it remembers the last mapped range. Source: hardware
// page 1.4, 2.3.12, 4.4 (errors).
#pragma once

#include <cstdint>

#include "drivers/model/neta/chip.h"
#include "lib/vfio/dma_reach.h"

namespace crema::neta::model {

class DmaPort {
  public:
    DmaPort(Chip& chip, const vfio::DmaReach& reach) : chip_(chip), reach_(reach) {}

    /// Looks at the windows and forgets ranges that were unmapped; before each burst.
    void refresh();

    /// Process address of [iova, iova+bytes), or null: then the causes are latched.
    [[nodiscard]] std::uint8_t* at(std::uint32_t iova,
                                   std::uint32_t bytes,
                                   vfio::DmaRights wanted) {
        const std::uint32_t offset = iova - last_.iova;
        if (offset < last_.bytes && bytes <= last_.bytes - offset && windows_open_ &&
            includes(last_.rights, wanted)) [[likely]] {
            return const_cast<std::uint8_t*>(last_.va) + offset;
        }
        return search(iova, bytes, wanted);
    }

  private:
    std::uint8_t* search(std::uint32_t iova, std::uint32_t bytes, vfio::DmaRights wanted);
    [[nodiscard]] bool leads_to_memory(unsigned w) const;
    [[nodiscard]] bool window_allows(std::uint32_t iova, std::uint32_t bytes, bool write) const;

    Chip& chip_;
    const vfio::DmaReach& reach_;
    vfio::DmaReach::Window last_;
    std::uint32_t generation_ = 0;
    bool windows_open_ = false;  // window 0 opens all 4 GiB for reading and writing
};

}  // namespace crema::neta::model
