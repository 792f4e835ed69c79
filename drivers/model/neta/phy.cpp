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
    extended_status = 15,
    copper_status = 17,
    page_number = 22,
};

constexpr std::uint16_t kReset = 0x8000;
constexpr std::uint16_t kPowerDown = 0x0800;
constexpr std::uint16_t kRestart = 0x0200;
constexpr std::uint16_t kControlPowerOn = 0x1140;     // negotiation on, 1000 full
constexpr std::uint16_t kStatusAbilities = 0x7949;    // 10 and 100, more in register 15
constexpr std::uint16_t kStatusLinked = 0x0024;       // link, negotiation complete
constexpr std::uint16_t kAbilities = 0x01e1;          // 10 and 100, half and full
constexpr std::uint16_t kGigabitAbilities = 0x0300;   // 1000 half and full
constexpr std::uint16_t kGigabitPartner = 0x3c00;     // both receivers fine, 1000 half and full
constexpr std::uint16_t kExtendedAbilities = 0x3000;  // 1000BASE-T half and full
constexpr std::uint16_t kCopperLinked = 0xac00;       // 1000, full, resolved, link

}  // namespace

void Phy::power_on() {
    page_ = 0;
    written_ = {};
    written_[0][control] = kControlPowerOn;
    written_[0][advertised] = kAbilities;
    written_[0][gigabit_control] = kGigabitAbilities;
}

bool Phy::linked(bool carrier) const {
    return carrier && (written_[0][control] & kPowerDown) == 0;
}

std::uint16_t Phy::read(std::uint32_t reg, bool carrier) const {
    const bool link = linked(carrier);
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
    if (page_ >= kPages) {
        return 0;
    }
    if (page_ == 0) {
        switch (reg) {
            case status:
                return kStatusAbilities | (link ? kStatusLinked : 0);
            case partner:
                return link ? kAbilities : 0;
            case gigabit_status:
                return link ? kGigabitPartner : 0;
            case extended_status:
                return kExtendedAbilities;
            case copper_status:
                return link ? kCopperLinked : 0;
            default:
                break;
        }
    }
    return written_[page_][reg % kRegisters];
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
