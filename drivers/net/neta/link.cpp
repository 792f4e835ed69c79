// SPDX-License-Identifier: BSD-3-Clause
//
// Link state. The link is forced by software, 1000 full, as a switch port or a fixed link wants it
// (hardware page 5.6); what is reported is what the MAC says. No interrupt reaches user space
// through every transport, so an application that asks for link interrupts gets them from a poll.
#include <cerrno>

#include <rte_alarm.h>
#include <rte_ethdev.h>

#include "drivers/net/neta/port.h"
#include "lib/base/log.h"
#include "lib/neta/sequences.h"

namespace crema::neta_pmd {
namespace {

constexpr std::uint64_t kWatchUs = 100000;

void watch(void* arg) {
    rte_eth_dev* ethdev = static_cast<Port*>(arg)->ethdev;
    if (link_update(ethdev, 0) == 0) {
        rte_eth_dev_callback_process(ethdev, RTE_ETH_EVENT_INTR_LSC, nullptr);
    }
    health_look(*static_cast<Port*>(arg));
    rte_eal_alarm_set(kWatchUs, watch, arg);
}

std::uint32_t speed_of(std::uint32_t status) {
    if ((status & neta::kGmacStatus1000) != 0) {
        return RTE_ETH_SPEED_NUM_1G;
    }
    return (status & neta::kGmacStatus100) != 0 ? RTE_ETH_SPEED_NUM_100M : RTE_ETH_SPEED_NUM_10M;
}

int flow_control_get(rte_eth_dev* ethdev, rte_eth_fc_conf* conf) {
    *conf = {};
    conf->mode = port_of(ethdev).pause ? RTE_ETH_FC_FULL : RTE_ETH_FC_NONE;
    return 0;
}

/// One bit of the MAC: pause frames are obeyed and sent, or neither. When they are sent and for how
/// long they hold is the chip's own; they never reach the application.
int flow_control_set(rte_eth_dev* ethdev, rte_eth_fc_conf* conf) {
    Port& port = port_of(ethdev);
    const bool full = conf->mode == RTE_ETH_FC_FULL;
    if (!full && conf->mode != RTE_ETH_FC_NONE) {
        log::error("{}: the chip obeys and sends pause frames, or neither", name_of(port));
        return -ENOTSUP;
    }
    if ((conf->high_water | conf->low_water | conf->pause_time | conf->send_xon |
         conf->mac_ctrl_frame_fwd | conf->autoneg) != 0) {
        log::error(
            "{}: water marks, times, negotiation and forwarding of pause frames cannot be set",
            name_of(port));
        return -ENOTSUP;
    }
    port.pause = full;
    if (port.started.load(std::memory_order_relaxed) && !port.link_forced_down) {
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

void link_force(Port& port, bool up) {
    neta::force_link(port.registers(), up, port.pause);
}

int link_update(rte_eth_dev* ethdev, int /*wait*/) {
    const Port& port = port_of(ethdev);
    rte_eth_link link{};
    link.link_autoneg = RTE_ETH_LINK_FIXED;
    if (port.started.load(std::memory_order_relaxed)) {
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
    if (port.ethdev->data->dev_conf.intr_conf.lsc != 0) {
        health_start(port);
        rte_eal_alarm_set(kWatchUs, watch, &port);
    }
}

void link_watch_stop(Port& port) {
    rte_eal_alarm_cancel(watch, &port);  // waits for a running one
}

}  // namespace crema::neta_pmd
