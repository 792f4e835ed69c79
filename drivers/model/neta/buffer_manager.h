// SPDX-License-Identifier: BSD-3-Clause
//
// The buffer manager of Armada XP and 38x: four pools of buffer addresses, each a ring in memory.
// Ports take buffers for what they receive and give back what they have sent; CPUs do both through
// the pointer window. Here every port has a unit of its own: pools that ports share are not
// modelled, nor the pointers that the chip keeps inside (those in memory are all there are). While
// EMPTY_LIMIT is not set, a CPU cannot take the last burst of a pool: the chip would keep it. Used
// under the engine lock of its port. Source: hardware page 6.
#pragma once

#include <array>
#include <cstdint>

#include "drivers/model/neta/diagnostics.h"
#include "lib/neta/bm_registers.h"
#include "lib/vfio/dma_reach.h"

namespace crema::neta::model {

class BufferManager {
  public:
    BufferManager(const vfio::DmaReach& reach, Diagnostics& diagnostics)
        : reach_(reach), diagnostics_(diagnostics) {}

    void power_on() {
        regs_ = {};
        pools_ = {};
        state_ = kBmIdle;
    }

    [[nodiscard]] std::uint32_t read(std::uint32_t offset) const;
    void write(std::uint32_t offset, std::uint32_t value);

    // The pointer window; 0: there is none.
    [[nodiscard]] std::uint32_t read_pointer(std::uint32_t offset);
    void write_pointer(std::uint32_t offset, std::uint32_t value);

    /// Address of a buffer, which is the caller's now; 0: none.
    [[nodiscard]] std::uint32_t take(unsigned pool);
    void put(unsigned pool, std::uint32_t address);

    [[nodiscard]] bool interrupt_level() const { return (reg(kBmCause) & reg(kBmMask)) != 0; }

  private:
    // Entries, not bytes.
    struct Pool {
        std::uint32_t next_out = 0;
        std::uint32_t next_in = 0;
        std::uint32_t count = 0;
    };

    [[nodiscard]] std::uint32_t reg(std::uint32_t offset) const { return regs_[offset / 4]; }

    [[nodiscard]] std::uint32_t entries(unsigned pool) const {
        return kBmPoolEntries.get(reg(bm_pool_size(pool)));
    }

    [[nodiscard]] bool runs(unsigned pool) const;
    [[nodiscard]] std::uint8_t* entry(unsigned pool, std::uint32_t index, vfio::DmaRights wanted);
    void command(std::uint32_t value);
    void write_pool(std::uint32_t offset, std::uint32_t value);

    const vfio::DmaReach& reach_;
    Diagnostics& diagnostics_;
    std::array<std::uint32_t, kBmRegionBytes / 4> regs_{};
    std::array<Pool, kBmPools> pools_{};
    std::uint32_t state_ = kBmIdle;
};

}  // namespace crema::neta::model
