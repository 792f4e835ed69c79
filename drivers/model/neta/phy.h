// SPDX-License-Identifier: BSD-3-Clause
//
// The PHY behind the SMI register: a gigabit transceiver of Marvell's that negotiates 1000 full
// with whatever has a carrier. Registers of clause 22 have their meaning on the copper page, and
// the page's number is register 22; what else a driver writes is kept and has no effect. Used under
// the engine lock. Source: IEEE 802.3 clause 22 and 40; for 17 and 22 what drivers of the 88E1510
// do with them.
#pragma once

#include <array>
#include <cstdint>

namespace crema::neta::model {

class Phy {
  public:
    Phy() { power_on(); }

    void power_on();

    [[nodiscard]] std::uint16_t read(std::uint32_t reg, bool carrier) const;
    void write(std::uint32_t reg, std::uint16_t value);

  private:
    static constexpr std::uint32_t kRegisters = 32;
    static constexpr std::uint32_t kPages = 32;

    [[nodiscard]] bool linked(bool carrier) const;

    std::uint16_t page_ = 0;
    std::array<std::array<std::uint16_t, kRegisters>, kPages> written_{};
};

}  // namespace crema::neta::model
