// SPDX-License-Identifier: BSD-3-Clause
//
// See gmac.h.
#include "drivers/model/neta/gmac.h"

namespace crema::neta::model {
namespace {

constexpr std::uint16_t kNoPhy = 0xffff;

bool has(const Chip& chip, std::uint32_t offset, std::uint32_t bits) {
    return (chip.reg(offset) & bits) != 0;
}

/// The link is what software says.
bool forced(const Chip& chip) {
    return loops_back(chip) ||
           has(chip, kGmacAutoneg, kGmacAutonegForceLinkPass | kGmacAutonegForceLinkDown);
}

bool in_band(const Chip& chip) {
    return !forced(chip) && has(chip, kGmacAutoneg, kGmacAutonegInbandAnEn);
}

/// What in-band negotiation or PHY polling found; nothing when nobody looks.
PhyLink negotiated_link(const Chip& chip, bool carrier) {
    const bool polled = has(chip, kUnitControl, kUnitControlPhyPolling);
    if (in_band(chip) && has(chip, kGmacCtrl0, kGmacCtrl0PortType)) {
        const bool pause = has(chip, kGmacAutoneg, kGmacAutonegAdvPause);
        return carrier ? PhyLink{true, true, 1000, true, pause} : PhyLink{};
    }
    return in_band(chip) || polled ? chip.phy.link(carrier) : PhyLink{};
}

std::uint32_t speed_bits(const Chip& chip, const PhyLink& found) {
    const std::uint32_t autoneg = chip.reg(kGmacAutoneg);
    unsigned mbps = (autoneg & kGmacAutonegMiiSpeed) != 0 ? 100 : 10;
    mbps = (autoneg & kGmacAutonegGmiiSpeed) != 0 ? 1000 : mbps;
    if ((autoneg & kGmacAutonegAnSpeedEn) != 0) {
        mbps = found.mbps;
    }
    return mbps == 1000 ? kGmacStatus1000 : mbps == 100 ? kGmacStatus100 : 0;
}

}  // namespace

std::uint32_t gmac_status(const Chip& chip, bool carrier) {
    const std::uint32_t autoneg = chip.reg(kGmacAutoneg);
    const PhyLink found = negotiated_link(chip, carrier);
    const bool pass = (autoneg & kGmacAutonegForceLinkPass) != 0 || loops_back(chip);
    const bool up = (pass || (!forced(chip) && found.up)) && !chip.faults.link_is_down();
    std::uint32_t status = (up ? kGmacStatusLinkUp : 0) | speed_bits(chip, found);
    if (in_band(chip)) {
        status |= found.negotiated ? kGmacStatusAnComplete | kGmacStatusSync : 0;
        status |= carrier ? 0 : kGmacStatusSyncFailed;
    }
    const bool full = (autoneg & kGmacAutonegAnDuplexEn) != 0
                          ? found.full
                          : (autoneg & kGmacAutonegFullDuplex) != 0;
    const bool pause = (autoneg & kGmacAutonegAnFlowCtrlEn) != 0
                           ? found.pause
                           : (autoneg & kGmacAutonegFlowCtrl) != 0;
    return status | (full ? kGmacStatusFullDuplex : 0) |
           (pause ? kGmacStatusRxFlowCtrl | kGmacStatusTxFlowCtrl : 0);
}

void update_link(Chip& chip, bool carrier) {
    const std::uint32_t now = gmac_status(chip, carrier);
    const std::uint32_t changed = now ^ chip.link_status.load(std::memory_order_relaxed);
    if (changed == 0) [[likely]] {
        return;
    }
    chip.link_status.store(now, std::memory_order_relaxed);
    if ((changed & kGmacStatusLinkUp) != 0) {
        chip.paused_until_ns.store(0, std::memory_order_relaxed);
        chip.pausing_until_ns.store(0, std::memory_order_relaxed);
        const bool followed = !forced(chip);
        chip.latch(kIntrMiscCause, kIntrMiscLinkChange | (followed ? kIntrMiscPhyStatus : 0));
        chip.latch(kGmacCause, kGmacCauseLinkChange);
    }
    if ((changed & kGmacStatusSync) != 0) {
        chip.latch(kIntrMiscCause, kIntrMiscPcsSync);
        chip.latch(kGmacCause, kGmacCauseSyncChange);
    }
    if ((changed & now & kGmacStatusAnComplete) != 0) {
        chip.latch(kGmacCause, kGmacCauseAnCompleted);
    }
}

void write_autoneg(Chip& chip, std::uint32_t value, bool carrier) {
    const bool restarts = (value & ~chip.reg(kGmacAutoneg) & kGmacAutonegRestart) != 0;
    chip.set_reg(kGmacAutoneg, value);
    if (restarts && in_band(chip) && (gmac_status(chip, carrier) & kGmacStatusAnComplete) != 0) {
        chip.latch(kGmacCause, kGmacCauseAnCompleted);  // and is complete again at once
    }
}

void check_mode_change(Chip& chip, std::uint32_t offset, std::uint32_t value) {
    std::uint32_t bits = 0;
    switch (offset) {
        case kGmacCtrl0:
            bits = kGmacCtrl0PortType;
            break;
        case kGmacCtrl2:
            bits = kGmacCtrl2InbandAn;
            break;
        case kGmacAutoneg:
            bits = kGmacAutonegInbandAnEn;
            break;
        default:
            return;
    }
    const bool down = has(chip, kGmacAutoneg, kGmacAutonegForceLinkDown) &&
                      !has(chip, kGmacAutoneg, kGmacAutonegForceLinkPass);
    if (((value ^ chip.reg(offset)) & bits) != 0 && !down) {
        chip.diagnostics.report(Diagnostic::mode_with_link, offset);
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
