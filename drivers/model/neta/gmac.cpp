// SPDX-License-Identifier: BSD-3-Clause
//
// See gmac.h.
#include "drivers/model/neta/gmac.h"

namespace crema::neta::model {
namespace {

constexpr std::uint16_t kNoPhy = 0xffff;

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
    const bool present = kSmiPhy.get(command) == (chip.reg(kPhyAddr) & 0x1fU);
    const std::uint32_t reg = kSmiReg.get(command);
    if ((command & kSmiOpRead) != 0) {
        const auto value = present ? chip.phy.read(reg, carrier) : kNoPhy;
        result = kSmiData.set(result, value) | kSmiReadValid;
    } else if (present) {
        chip.phy.write(reg, static_cast<std::uint16_t>(kSmiData.get(command)));
    }
    chip.set_reg(kSmi, result);
    chip.latch(kUnitCause, kUnitCauseSmiDone);
}

}  // namespace crema::neta::model
