// SPDX-License-Identifier: BSD-3-Clause
//
// The MAC's idea of the link, and the SMI register (the PHY behind it: phy.h). A forced link wins.
// Otherwise in-band negotiation or PHY polling decide; neither means no link. In 1000BASE-X the
// partner of the negotiation is the wire, which offers pause; in all other modes it is the PHY.
// Source: hardware page 2.3.3 (SMI), 2.3.6, 10.7, 10.8, 10.42.
#pragma once

#include <cstdint>

#include "drivers/model/neta/chip.h"

namespace crema::neta::model {

/// GMAC_STATUS for the registers as they are and this carrier, but for pauses (flow_control.h).
[[nodiscard]] std::uint32_t gmac_status(const Chip& chip, bool carrier);

/// Brings Chip::link_status in line and latches what changed.
void update_link(Chip& chip, bool carrier);

/// A write of GMAC_AUTONEG, which may start a negotiation anew.
void write_autoneg(Chip& chip, std::uint32_t value, bool carrier);

/// Mode bits that may only change while the link is forced down.
void check_mode_change(Chip& chip, std::uint32_t offset, std::uint32_t value);

/// True when a loopback bit joins the port's TX and RX paths inside the MAC.
[[nodiscard]] inline bool loops_back(const Chip& chip) {
    return (chip.reg(kGmacCtrl1) & (kGmacCtrl1GmiiLoopback | kGmacCtrl1PcsLoopback)) != 0;
}

/// Serves one SMI command; the transaction ends at once.
void serve_smi(Chip& chip, std::uint32_t command, bool carrier);

}  // namespace crema::neta::model
