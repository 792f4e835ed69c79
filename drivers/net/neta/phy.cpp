// SPDX-License-Identifier: BSD-3-Clause
//
// See phy.h.
#include "drivers/net/neta/phy.h"

#include <cerrno>

#include <rte_ethdev.h>

#include "lib/neta/smi.h"

namespace crema::neta_pmd {
namespace {

constexpr std::uint16_t kNothing = 0xffff;

enum : unsigned {
    control = 0,
    status = 1,
    id_high = 2,
    advertised = 4,
    partner = 5,
    gigabit_control = 9,
    gigabit_status = 10,
};

// Register 0.
constexpr std::uint16_t kSpeed100 = 0x2000;
constexpr std::uint16_t kNegotiate = 0x1000;
constexpr std::uint16_t kRestart = 0x0200;
constexpr std::uint16_t kFull = 0x0100;
constexpr std::uint16_t kSpeed1000 = 0x0040;
// Register 1.
constexpr std::uint16_t kLink = 0x0004;
constexpr std::uint16_t kComplete = 0x0020;
// Registers 4 and 5.
constexpr std::uint16_t kSelector = 0x0001;
constexpr std::uint16_t k10Half = 0x0020;
constexpr std::uint16_t k10Full = 0x0040;
constexpr std::uint16_t k100Half = 0x0080;
constexpr std::uint16_t k100Full = 0x0100;
constexpr std::uint16_t kPause = 0x0400;
// Register 9; register 10 has the partner's two places higher.
constexpr std::uint16_t k1000Half = 0x0100;
constexpr std::uint16_t k1000Full = 0x0200;
constexpr std::uint16_t kGigabitBits = k1000Half | k1000Full;

struct Ability {
    std::uint32_t speed;
    std::uint16_t bit;
};

constexpr Ability kAbilities[] = {{RTE_ETH_LINK_SPEED_10M_HD, k10Half},
                                  {RTE_ETH_LINK_SPEED_10M, k10Full},
                                  {RTE_ETH_LINK_SPEED_100M_HD, k100Half},
                                  {RTE_ETH_LINK_SPEED_100M, k100Full}};

/// Register 0 of a link that is not negotiated.
std::uint16_t told(std::uint32_t speeds) {
    const std::uint32_t fast = RTE_ETH_LINK_SPEED_100M | RTE_ETH_LINK_SPEED_100M_HD;
    const std::uint32_t full = RTE_ETH_LINK_SPEED_100M | RTE_ETH_LINK_SPEED_10M;
    return static_cast<std::uint16_t>(((speeds & fast) != 0 ? kSpeed100 : 0) |
                                      ((speeds & full) != 0 ? kFull : 0));
}

}  // namespace

std::uint16_t Phy::read(unsigned reg) const {
    return neta::smi_read(registers_, address_, reg).value_or(kNothing);
}

void Phy::write(unsigned reg, std::uint16_t value) const {
    neta::smi_write(registers_, address_, reg, value);
}

Status Phy::find() const {
    if (read(id_high) != kNothing) {
        return {};
    }
    return fail(ENODEV, "phy={}: no PHY answers there", address_);
}

void Phy::set_up(std::uint32_t speeds, bool pause) const {
    if ((speeds & RTE_ETH_LINK_SPEED_FIXED) != 0 && (speeds & RTE_ETH_LINK_SPEED_1G) == 0) {
        write(control, told(speeds));
        return;
    }
    // Gigabit over copper is negotiated, also when it is the only speed.
    std::uint16_t offered = kSelector | (pause ? kPause : 0);
    for (const Ability& ability : kAbilities) {
        const bool wanted = speeds == RTE_ETH_LINK_SPEED_AUTONEG || (speeds & ability.speed) != 0;
        offered = static_cast<std::uint16_t>(offered | (wanted ? ability.bit : 0));
    }
    const bool gigabit =
        speeds == RTE_ETH_LINK_SPEED_AUTONEG || (speeds & RTE_ETH_LINK_SPEED_1G) != 0;
    write(advertised, offered);
    const auto others = static_cast<std::uint16_t>(read(gigabit_control) & ~kGigabitBits);
    write(gigabit_control, static_cast<std::uint16_t>(others | (gigabit ? k1000Full : 0)));
    write(control, kNegotiate | kRestart | kFull | kSpeed1000);
}

LinkMode Phy::look() const {
    (void)read(status);  // a link that was lost meanwhile is remembered for one reading
    const std::uint16_t now = read(status);
    const std::uint16_t how = read(control);
    if (now == kNothing || how == kNothing || (now & kLink) == 0) {
        return {};
    }
    LinkMode mode{.up = true};
    if ((how & kNegotiate) == 0) {
        mode.mbps = (how & kSpeed100) != 0 ? 100 : 10;
        mode.full = (how & kFull) != 0;
        return mode;
    }
    if ((now & kComplete) == 0) {
        return {};
    }
    const auto both = static_cast<std::uint16_t>(read(advertised) & read(partner));
    const unsigned gigabit = read(gigabit_control) & (unsigned{read(gigabit_status)} >> 2U);
    if ((gigabit & kGigabitBits) != 0) {
        mode.full = (gigabit & k1000Full) != 0;
    } else {
        mode.mbps = (both & (k100Full | k100Half)) != 0 ? 100 : 10;
        mode.full = (both & (mode.mbps == 100 ? k100Full : k10Full)) != 0;
    }
    mode.pause = mode.full && (both & kPause) != 0;
    return mode;
}

}  // namespace crema::neta_pmd
