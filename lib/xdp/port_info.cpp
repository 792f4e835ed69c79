// SPDX-License-Identifier: BSD-3-Clause
#include "lib/xdp/port_info.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <fmt/format.h>

#include <rte_ethdev.h>

#include "lib/xdp/attach.h"
#include "lib/xdp/hook.h"

namespace crema::xdp {
namespace {

using ebpf::syscall::PortInfo;

constexpr std::uint32_t kFrameOverhead = RTE_ETHER_HDR_LEN + 4;  // header and one VLAN tag

void add_names(PortInfo& info, std::uint16_t port_id) {
    std::array<char, RTE_ETH_NAME_MAX_LEN> name{};
    const bool has_name = rte_eth_dev_get_name_by_port(port_id, name.data()) == 0;
    info.name = fmt::format("port{}", port_id);
    if (has_name && is_interface_name(name.data())) {
        info.name = name.data();
    } else if (has_name) {
        info.alias = name.data();
    }
}

void add_device(PortInfo& info, std::uint16_t port_id) {
    rte_ether_addr address{};
    if (rte_eth_macaddr_get(port_id, &address) == 0) {
        std::copy(std::begin(address.addr_bytes), std::end(address.addr_bytes),
                  info.address.begin());
    }
    rte_eth_link link{};
    info.has_carrier =
        rte_eth_link_get_nowait(port_id, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
    rte_eth_dev_info device{};
    if (rte_eth_dev_info_get(port_id, &device) == 0) {
        info.rx_queues = device.nb_rx_queues;
        info.tx_queues = device.nb_tx_queues;
    }
}

}  // namespace

bool is_interface_name(std::string_view name) {
    constexpr std::size_t kLettersMax = 15;
    return !name.empty() && name.size() <= kLettersMax && name != "." && name != ".." &&
           std::none_of(name.begin(), name.end(), [](char letter) {
               return letter == '/' || letter == ':' ||
                      std::isspace(static_cast<unsigned char>(letter)) != 0;
           });
}

std::uint32_t rx_queues_of(std::uint32_t ifindex) {
    rte_eth_dev_info device{};
    const auto port_id = static_cast<std::uint16_t>(port_id_of(ifindex));
    const bool is_device = rte_eth_dev_is_valid_port(port_id) != 0 &&  // asked first: no message
                           rte_eth_dev_info_get(port_id, &device) == 0;
    return is_device ? device.nb_rx_queues : kRxQueuesMax;
}

std::vector<PortInfo> list_ports() {
    std::vector<PortInfo> all;
    for (std::uint16_t port_id = 0; port_id < kPortsMax; ++port_id) {
        const Port* const port = port_by_ifindex(ifindex_of(port_id));
        if (port == nullptr || !has_programs(*port->ops)) {
            continue;
        }
        PortInfo info;
        info.ifindex = ifindex_of(port_id);
        info.mtu = port->ops->frame_bytes_max(port->port) - kFrameOverhead;
        info.is_up = port->ops->is_up(port->port);
        info.attachment = attachment(port_id);
        add_names(info, port_id);
        add_device(info, port_id);
        all.push_back(std::move(info));
    }
    return all;
}

}  // namespace crema::xdp
