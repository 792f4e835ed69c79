// SPDX-License-Identifier: BSD-3-Clause
//
// The PHY behind the SMI register: a gigabit transceiver of Marvell's whose partner, where there is
// a carrier, offers 10, 100 and 1000 Mb/s, half and full duplex, and symmetric pause. Registers of
// clause 22 have their meaning on the copper page, and the page's number is register 22; what else
// a driver writes is kept and has no effect. Used under the engine lock.
// Source: IEEE 802.3 clause 22, 28 and 40; for 17 and 22 what drivers of the 88E1510 do with them.
#pragma once

#include <array>
#include <cstdint>

namespace crema::neta::model {

/// What the two ends of the cable agreed on.
struct PhyLink {
    bool up = false;
    bool negotiated = false;  // else what this end was told to be
    unsigned mbps = 0;
    bool full = false;
    bool pause = false;
};

class Phy {
  public:
    Phy() { power_on(); }

    void power_on();

    [[nodiscard]] PhyLink link(bool carrier) const;
    [[nodiscard]] std::uint16_t read(std::uint32_t reg, bool carrier) const;
    void write(std::uint32_t reg, std::uint16_t value);

  private:
    static constexpr std::uint32_t kRegisters = 32;
    static constexpr std::uint32_t kPages = 32;

    [[nodiscard]] std::uint16_t read_copper(std::uint32_t reg, const PhyLink& link) const;

    std::uint16_t page_ = 0;
    std::array<std::array<std::uint16_t, kRegisters>, kPages> written_{};
};

}  // namespace crema::neta::model
