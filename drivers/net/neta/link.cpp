// SPDX-License-Identifier: BSD-3-Clause
//
// Link state. The MAC's link is always forced by software (hardware page 5.6): to what the
// application wants where a switch port or a fixed link is at the other end, or, with phy=, to what
// a PHY says that is asked over SMI every 100 ms. What is reported is what the MAC says. Changes
// that the MAC notices itself come by interrupt where the device has one; the looks go on beside,
// because a PHY says nothing by itself, and neither do a transmitter that hangs and
// a device that vanished (health.cpp).
#include <bit>
#include <cerrno>

#include <rte_alarm.h>
#include <rte_ethdev.h>

#include "drivers/net/neta/port.h"
#include "lib/base/log.h"
#include "lib/neta/sequences.h"

namespace crema::neta_pmd {
namespace {

constexpr std::uint64_t kWatchUs = 100000;
constexpr std::uint32_t kSlowSpeeds = RTE_ETH_LINK_SPEED_10M_HD | RTE_ETH_LINK_SPEED_10M |
                                      RTE_ETH_LINK_SPEED_100M_HD | RTE_ETH_LINK_SPEED_100M;

void watch(void* arg) {
    Port& port = *static_cast<Port*>(arg);
    link_look(port);
    if (!port.device->alive()) {
        health_look_for_return(port);
    } else if (port.ethdev->data->dev_conf.intr_conf.lsc != 0) {
        health_look(port);
    }
    rte_eal_alarm_set(kWatchUs, watch, arg);
}

std::uint32_t speed_of(std::uint32_t status) {
    if ((status & neta::kGmacStatus1000) != 0) {
        return RTE_ETH_SPEED_NUM_1G;
    }
    return (status & neta::kGmacStatus100) != 0 ? RTE_ETH_SPEED_NUM_100M : RTE_ETH_SPEED_NUM_10M;
}

bool is_base_x(const Port& port) {
    return (port.registers().read(neta::kGmacCtrl0) & neta::kGmacCtrl0PortType) != 0;
}

/// The link that is wanted, were it not down.
LinkMode mode_of_speeds(std::uint32_t speeds, bool pause) {
    LinkMode mode{.up = true, .mbps = 1000, .full = true, .pause = pause};
    if ((speeds & RTE_ETH_LINK_SPEED_FIXED) != 0 && (speeds & kSlowSpeeds) != 0) {
        constexpr std::uint32_t kFast = RTE_ETH_LINK_SPEED_100M | RTE_ETH_LINK_SPEED_100M_HD;
        constexpr std::uint32_t kHalf = RTE_ETH_LINK_SPEED_10M_HD | RTE_ETH_LINK_SPEED_100M_HD;
        mode.mbps = (speeds & kFast) != 0 ? 100 : 10;
        mode.full = (speeds & kHalf) == 0;
        mode.pause = pause && mode.full;
    }
    return mode;
}

/// With the lock held.
void force(Port& port, const LinkMode& mode) {
    port.link_mode = mode;
    neta::force_link(port.registers(), mode.up, mode.pause, mode.mbps, mode.full);
}

/// The MAC follows the PHY.
void follow_phy(Port& port) {
    const std::scoped_lock lock(port.link_lock);
    const Phy phy(port.registers(), *port.args.phy);
    if (const LinkMode found = phy.look(); found != port.link_mode) {
        force(port, found);
    }
}

int flow_control_get(rte_eth_dev* ethdev, rte_eth_fc_conf* conf) {
    const Port& port = port_of(ethdev);
    *conf = {};
    conf->autoneg = port.args.phy.has_value() ? 1 : 0;
    conf->mode = port.pause ? RTE_ETH_FC_FULL : RTE_ETH_FC_NONE;
    return 0;
}

/// One bit of the MAC: pause frames are obeyed and sent, or neither. When they are sent and for how
/// long they hold is the chip's own; they never reach the application. With a PHY it is negotiated.
int flow_control_set(rte_eth_dev* ethdev, rte_eth_fc_conf* conf) {
    Port& port = port_of(ethdev);
    const bool full = conf->mode == RTE_ETH_FC_FULL;
    if (!full && conf->mode != RTE_ETH_FC_NONE) {
        log::error("{}: the chip obeys and sends pause frames, or neither", name_of(port));
        return -ENOTSUP;
    }
    const bool negotiates = conf->autoneg != 0 && !port.args.phy;
    if ((conf->high_water | conf->low_water | conf->pause_time | conf->send_xon |
         conf->mac_ctrl_frame_fwd) != 0 ||
        negotiates) {
        log::error(
            "{}: water marks, times and forwarding of pause frames cannot be set, negotiation only "
            "with phy=",
            name_of(port));
        return -ENOTSUP;
    }
    port.pause = full;
    if (port.started.load(std::memory_order_relaxed) && !port.link_forced_down) {
        link_set_up_phy(port);
        link_force(port, true);
    }
    return 0;
}

int link_set_up(rte_eth_dev* ethdev) {
    Port& port = port_of(ethdev);
    port.link_forced_down = false;
    if (port.started.load(std::memory_order_relaxed)) {
        link_force(port, true);
        link_update(ethdev, 0);
    }
    return 0;
}

int link_set_down(rte_eth_dev* ethdev) {
    Port& port = port_of(ethdev);
    port.link_forced_down = true;
    if (port.started.load(std::memory_order_relaxed)) {
        link_force(port, false);
        link_update(ethdev, 0);
    }
    return 0;
}

}  // namespace

void link_set_up_phy(Port& port) {
    if (port.args.phy) {
        const std::scoped_lock lock(port.link_lock);
        Phy(port.registers(), *port.args.phy)
            .set_up(port.ethdev->data->dev_conf.link_speeds, port.pause);
    }
}

void link_force(Port& port, bool up) {
    const std::scoped_lock lock(port.link_lock);
    if (up && port.args.phy) {
        force(port, Phy(port.registers(), *port.args.phy).look());
        return;
    }
    LinkMode mode = mode_of_speeds(port.ethdev->data->dev_conf.link_speeds, port.pause);
    mode.up = up;
    force(port, mode);
}

Status link_find_phy(const Port& port) {
    if (!port.args.phy) {
        return {};
    }
    if (auto found = Phy(port.registers(), *port.args.phy).find(); !found) {
        return fail(found.error().code, "{}: {}", name_of(port), found.error().message);
    }
    return {};
}

void link_look(Port& port) {
    if (link_update(port.ethdev, 0) == 0 && port.ethdev->data->dev_conf.intr_conf.lsc != 0) {
        rte_eth_dev_callback_process(port.ethdev, RTE_ETH_EVENT_INTR_LSC, nullptr);
    }
}

std::uint32_t link_speeds(const Port& port) {
    if (is_base_x(port)) {
        return RTE_ETH_LINK_SPEED_FIXED | RTE_ETH_LINK_SPEED_1G;
    }
    return (port.args.phy ? 0 : RTE_ETH_LINK_SPEED_FIXED) | kSlowSpeeds | RTE_ETH_LINK_SPEED_1G;
}

Status link_check_speeds(const Port& port, std::uint32_t speeds) {
    if (speeds == RTE_ETH_LINK_SPEED_AUTONEG) {
        return {};
    }
    const std::uint32_t wanted = speeds & ~RTE_ETH_LINK_SPEED_FIXED;
    if ((wanted & ~link_speeds(port)) != 0) {
        return fail(EINVAL, "{}: link_speeds={:#x}: want 10, 100 or 1000 Mb/s{}", name_of(port),
                    speeds, is_base_x(port) ? ", and in 1000BASE-X only the last" : "");
    }
    const bool fixed = (speeds & RTE_ETH_LINK_SPEED_FIXED) != 0;
    if (fixed ? std::popcount(wanted) != 1 : !port.args.phy) {
        return fail(EINVAL, "{}: link_speeds={:#x}: {}", name_of(port), speeds,
                    fixed ? "a fixed link has one speed"
                          : "without phy= nothing is negotiated: say RTE_ETH_LINK_SPEED_FIXED");
    }
    return {};
}

int link_update(rte_eth_dev* ethdev, int /*wait*/) {
    Port& port = port_of(ethdev);
    rte_eth_link link{};
    const bool fixed = (ethdev->data->dev_conf.link_speeds & RTE_ETH_LINK_SPEED_FIXED) != 0;
    link.link_autoneg = port.args.phy && !fixed ? RTE_ETH_LINK_AUTONEG : RTE_ETH_LINK_FIXED;
    if (port.started.load(std::memory_order_relaxed)) {
        if (port.args.phy && !port.link_forced_down) {
            follow_phy(port);
        }
        const std::uint32_t status = port.registers().read(neta::kGmacStatus);
        link.link_status =
            (status & neta::kGmacStatusLinkUp) != 0 ? RTE_ETH_LINK_UP : RTE_ETH_LINK_DOWN;
        if (link.link_status == RTE_ETH_LINK_UP) {
            link.link_speed = speed_of(status);
            link.link_duplex = (status & neta::kGmacStatusFullDuplex) != 0
                                   ? RTE_ETH_LINK_FULL_DUPLEX
                                   : RTE_ETH_LINK_HALF_DUPLEX;
        }
    }
    return rte_eth_linkstatus_set(ethdev, &link);
}

void link_add_ops(eth_dev_ops& ops) {
    ops.link_update = link_update;
    ops.dev_set_link_up = link_set_up;
    ops.dev_set_link_down = link_set_down;
    ops.flow_ctrl_get = flow_control_get;
    ops.flow_ctrl_set = flow_control_set;
}

void link_watch_start(Port& port) {
    health_start(port);
    if (port.ethdev->data->dev_conf.intr_conf.lsc != 0 || port.args.phy ||
        port.device->can_vanish()) {
        rte_eal_alarm_set(kWatchUs, watch, &port);
    }
}

void link_watch_stop(Port& port) {
    rte_eal_alarm_cancel(watch, &port);  // waits for a running one
}

}  // namespace crema::neta_pmd
