// SPDX-License-Identifier: BSD-3-Clause
//
// See gmac.h.
#include "drivers/model/neta/gmac.h"

namespace crema::neta::model {
namespace {

constexpr std::uint16_t kNoPhy = 0xffff;

// Clause 22 registers of a gigabit PHY that has negotiated 1000 full when the wire has carrier.
std::uint16_t phy_register(std::uint32_t reg, bool carrier) {
    switch (reg) {
        case 0:
            return 0x1140;  // autonegotiation on, 1000 full
        case 1:
            return carrier ? 0x796d : 0x7949;  // abilities; link and negotiation complete
        case 2:
            return 0x0141;  // identifier: Marvell ...
        case 3:
            return 0x0dd0;  // ... 88E1510
        case 4:
        case 5:
            return 0x01e1;
        case 9:
            return 0x0300;
        case 10:
            return carrier ? 0x3c00 : 0;
        case 15:
            return 0x3000;
        default:
            return 0;
    }
}

bool link_of(const Chip& chip, bool carrier) {
    const std::uint32_t autoneg = chip.reg(kGmacAutoneg);
    if ((autoneg & kGmacAutonegForceLinkPass) != 0 || loops_back(chip)) {
        return true;
    }
    if ((autoneg & kGmacAutonegForceLinkDown) != 0) {
        return false;
    }
    const bool followed = (autoneg & kGmacAutonegInbandAnEn) != 0 ||
                          (chip.reg(kUnitControl) & kUnitControlPhyPolling) != 0;
    return followed && carrier;
}

}  // namespace

std::uint32_t gmac_status(const Chip& chip, bool carrier) {
    const std::uint32_t autoneg = chip.reg(kGmacAutoneg);
    const bool up = link_of(chip, carrier);
    std::uint32_t status = up ? kGmacStatusLinkUp : 0;
    const bool negotiated =
        up && (autoneg & kGmacAutonegForceLinkPass) == 0 && (autoneg & kGmacAutonegInbandAnEn) != 0;
    if (negotiated) {
        status |= kGmacStatusAnComplete | kGmacStatusSync;
    }
    if ((autoneg & kGmacAutonegAnSpeedEn) != 0) {
        status |= up ? kGmacStatus1000 : 0;
    } else if ((autoneg & kGmacAutonegGmiiSpeed) != 0) {
        status |= kGmacStatus1000;
    } else if ((autoneg & kGmacAutonegMiiSpeed) != 0) {
        status |= kGmacStatus100;
    }
    if ((autoneg & kGmacAutonegAnDuplexEn) != 0 ? up : (autoneg & kGmacAutonegFullDuplex) != 0) {
        status |= kGmacStatusFullDuplex;
    }
    const bool pause =
        (autoneg & kGmacAutonegFlowCtrl) != 0 && (autoneg & kGmacAutonegAnFlowCtrlEn) == 0;
    return status | (pause ? kGmacStatusRxFlowCtrl | kGmacStatusTxFlowCtrl : 0);
}

void update_link(Chip& chip, bool carrier) {
    const bool up = link_of(chip, carrier);
    if (chip.link_up.load(std::memory_order_relaxed) != up) {
        chip.link_up.store(up, std::memory_order_relaxed);
        chip.latch(kIntrMiscCause, kIntrMiscLinkChange | kIntrMiscPhyStatus);
        chip.latch(kGmacCause, bit(1));
    }
}

void serve_smi(Chip& chip, std::uint32_t command, bool carrier) {
    std::uint32_t result = command & ~(kSmiReadValid | kSmiBusy);
    if ((command & kSmiOpRead) != 0) {
        const bool present = kSmiPhy.get(command) == (chip.reg(kPhyAddr) & 0x1fU);
        const auto value = present ? phy_register(kSmiReg.get(command), carrier) : kNoPhy;
        result = kSmiData.set(result, value) | kSmiReadValid;
    }
    chip.set_reg(kSmi, result);
    chip.latch(kUnitCause, kUnitCauseSmiDone);
}

}  // namespace crema::neta::model
