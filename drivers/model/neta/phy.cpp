// SPDX-License-Identifier: BSD-3-Clause
//
// See phy.h.
#include "drivers/model/neta/phy.h"

namespace crema::neta::model {
namespace {

enum : std::uint32_t {
    control = 0,
    status = 1,
    id_high = 2,
    id_low = 3,
    advertised = 4,
    partner = 5,
    gigabit_control = 9,
    gigabit_status = 10,
    mmd_control = 13,
    mmd_data = 14,
    extended_status = 15,
    copper_status = 17,
    page_number = 22,
};

// Register 0.
constexpr std::uint16_t kReset = 0x8000;
constexpr std::uint16_t kSpeedLow = 0x2000;
constexpr std::uint16_t kNegotiate = 0x1000;
constexpr std::uint16_t kPowerDown = 0x0800;
constexpr std::uint16_t kRestart = 0x0200;
constexpr std::uint16_t kFull = 0x0100;
constexpr std::uint16_t kSpeedHigh = 0x0040;
constexpr std::uint16_t kControlPowerOn = 0x1140;  // negotiation on, 1000 full
// Register 1.
constexpr std::uint16_t kStatusAbilities = 0x7949;  // 10 and 100, more in register 15
constexpr std::uint16_t kStatusLink = 0x0004;
constexpr std::uint16_t kStatusComplete = 0x0020;
// Registers 4 and 5, and 9.
constexpr std::uint16_t k10Half = 0x0020;
constexpr std::uint16_t k10Full = 0x0040;
constexpr std::uint16_t k100Half = 0x0080;
constexpr std::uint16_t k100Full = 0x0100;
constexpr std::uint16_t kPause = 0x0400;
constexpr std::uint16_t kAcknowledge = 0x4000;
constexpr std::uint16_t kAbilities = 0x0001 | k10Half | k10Full | k100Half | k100Full;
constexpr std::uint16_t k1000Half = 0x0100;
constexpr std::uint16_t k1000Full = 0x0200;
constexpr std::uint16_t kGigabitPartner = 0x3c00;     // both receivers fine, 1000 half and full
constexpr std::uint16_t kExtendedAbilities = 0x3000;  // 1000BASE-T half and full
// Registers 13 and 14: a way to registers of clause 45, of which none are modelled (EEE and its
// counter of errors): they read as 0.
constexpr std::uint16_t kMmdFunction = 0xc000;  // 0: the next word is an address
// Register 17.
constexpr std::uint16_t kCopper1000 = 0x8000;
constexpr std::uint16_t kCopper100 = 0x4000;
constexpr std::uint16_t kCopperFull = 0x2000;
constexpr std::uint16_t kCopperResolved = 0x0800;
constexpr std::uint16_t kCopperLink = 0x0400;
constexpr std::uint16_t kCopperPause = 0x000c;  // both ways

/// The best of what both can; the partner can all of it.
PhyLink best_of(std::uint16_t own, std::uint16_t own_gigabit) {
    PhyLink link{.up = true, .negotiated = true, .mbps = 10, .full = true};
    link.pause = (own & kPause) != 0;
    if ((own_gigabit & (k1000Full | k1000Half)) != 0) {
        link.mbps = 1000;
        link.full = (own_gigabit & k1000Full) != 0;
    } else if ((own & (k100Full | k100Half)) != 0) {
        link.mbps = 100;
        link.full = (own & k100Full) != 0;
    } else {
        link.full = (own & k10Full) != 0;
        link.up = (own & (k10Full | k10Half)) != 0;
    }
    link.pause = link.pause && link.full;
    return link;
}

std::uint16_t copper_status_of(const PhyLink& link) {
    if (!link.up) {
        return 0;
    }
    const int speed = link.mbps == 1000 ? kCopper1000 : link.mbps == 100 ? kCopper100 : 0;
    return static_cast<std::uint16_t>(speed | kCopperResolved | kCopperLink |
                                      (link.full ? kCopperFull : 0) |
                                      (link.pause ? kCopperPause : 0));
}

}  // namespace

void Phy::power_on() {
    page_ = 0;
    written_ = {};
    written_[0][control] = kControlPowerOn;
    written_[0][advertised] = kAbilities;
    written_[0][gigabit_control] = k1000Half | k1000Full;
}

// Gigabit over copper cannot be forced (clause 40): without negotiation there is no such link.
PhyLink Phy::link(bool carrier) const {
    const std::uint16_t how = written_[0][control];
    if (!carrier || (how & kPowerDown) != 0) {
        return {};
    }
    if ((how & kNegotiate) != 0) {
        const PhyLink best = best_of(written_[0][advertised], written_[0][gigabit_control]);
        return best.up ? best : PhyLink{};
    }
    if ((how & kSpeedHigh) != 0) {
        return {};
    }
    return {.up = true,
            .negotiated = false,
            .mbps = (how & kSpeedLow) != 0 ? 100U : 10U,
            .full = (how & kFull) != 0,
            .pause = false};
}

std::uint16_t Phy::read_copper(std::uint32_t reg, const PhyLink& link) const {
    switch (reg) {
        case status:
            return static_cast<std::uint16_t>(kStatusAbilities | (link.up ? kStatusLink : 0) |
                                              (link.negotiated ? kStatusComplete : 0));
        case partner:
            return link.negotiated ? kAbilities | kPause | kAcknowledge : 0;
        case gigabit_status:
            return link.negotiated ? kGigabitPartner : 0;
        case extended_status:
            return kExtendedAbilities;
        case mmd_data:
            return (written_[0][mmd_control] & kMmdFunction) != 0 ? 0 : written_[0][mmd_data];
        case copper_status:
            return copper_status_of(link);
        default:
            return written_[0][reg % kRegisters];
    }
}

std::uint16_t Phy::read(std::uint32_t reg, bool carrier) const {
    switch (reg) {
        case id_high:
            return 0x0141;  // Marvell ...
        case id_low:
            return 0x0dd0;  // ... 88E1510
        case page_number:
            return page_;
        default:
            break;
    }
    if (page_ == 0) {
        return read_copper(reg, link(carrier));
    }
    return page_ < kPages ? written_[page_][reg % kRegisters] : 0;
}

void Phy::write(std::uint32_t reg, std::uint16_t value) {
    if (reg == page_number) {
        page_ = value & 0xffU;
    } else if (page_ >= kPages) {
        return;
    } else if (page_ == 0 && reg == control) {
        // Reset and a new negotiation are over at once.
        const auto kept = static_cast<std::uint16_t>(value & ~(kReset | kRestart));
        written_[0][control] = (value & kReset) != 0 ? kControlPowerOn : kept;
    } else {
        written_[page_][reg % kRegisters] = value;
    }
}

}  // namespace crema::neta::model
