// SPDX-License-Identifier: BSD-3-Clause
//
// A PHY behind the port's SMI register, by clause 22 of IEEE 802.3 and nothing of any maker: reset
// is left to the board, what it offers and whether it negotiates follow the application's
// link_speeds. Control path only.
#pragma once

#include <cstdint>

#include "lib/base/result.h"
#include "lib/vfio/registers.h"

namespace crema::neta_pmd {

/// A link as the MAC has to have it.
struct LinkMode {
    bool up = false;
    std::uint32_t mbps = 1000;
    bool full = true;
    bool pause = false;

    [[nodiscard]] bool operator==(const LinkMode& other) const {
        return up == other.up && mbps == other.mbps && full == other.full && pause == other.pause;
    }
};

class Phy {
  public:
    Phy(const vfio::Registers& registers, unsigned address)
        : registers_(registers), address_(address) {}

    /// Errors: ENODEV nobody answers at the address.
    [[nodiscard]] Status find() const;

    /// Starts a negotiation of `speeds` (RTE_ETH_LINK_SPEED_*, 0: all), or with the FIXED bit sets
    /// the one speed. Only what check_speeds() let through.
    void set_up(std::uint32_t speeds, bool pause) const;

    /// What the two ends agreed on.
    [[nodiscard]] LinkMode look() const;

  private:
    /// 0xffff when the chip does not come to an end.
    [[nodiscard]] std::uint16_t read(unsigned reg) const;
    void write(unsigned reg, std::uint16_t value) const;

    const vfio::Registers& registers_;
    unsigned address_;
};

}  // namespace crema::neta_pmd
