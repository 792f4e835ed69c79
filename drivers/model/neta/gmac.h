// SPDX-License-Identifier: BSD-3-Clause
//
// The MAC's idea of the link, and the SMI register (the PHY behind it: phy.h). Forced link wins;
// otherwise in-band negotiation or PHY polling follow the wire's carrier, and neither means no
// link. Source: hardware page 2.3.3 (SMI), 2.3.6, 10.7, 10.8, 10.42.
#pragma once

#include <cstdint>

#include "drivers/model/neta/chip.h"

namespace crema::neta::model {

/// GMAC_STATUS for the registers as they are and this carrier.
[[nodiscard]] std::uint32_t gmac_status(const Chip& chip, bool carrier);

/// Brings Chip::link_up in line and latches the link causes when it changed.
void update_link(Chip& chip, bool carrier);

/// True when a loopback bit joins the port's TX and RX paths inside the MAC.
[[nodiscard]] inline bool loops_back(const Chip& chip) {
    return (chip.reg(kGmacCtrl1) & (kGmacCtrl1GmiiLoopback | kGmacCtrl1PcsLoopback)) != 0;
}

/// Serves one SMI command; the transaction ends at once.
void serve_smi(Chip& chip, std::uint32_t command, bool carrier);

}  // namespace crema::neta::model
