// SPDX-License-Identifier: BSD-3-Clause
//
// Which functions of the packet path serve a port, chosen at start by what the application asked
// for: who wants nothing but frames pays for nothing else. Packet types come with RX checksum
// offloads, as both are one look at the descriptor's status.
#include "drivers/net/neta/offloads.h"
#include "drivers/net/neta/port.h"

namespace crema::neta_pmd {
namespace {

std::uint64_t rx_offloads(const rte_eth_dev* ethdev) {
    return ethdev->data->dev_conf.rxmode.offloads;
}

bool wants_facts(const rte_eth_dev* ethdev) {
    return (rx_offloads(ethdev) & kRxSumOffloads) != 0;
}

bool wants_scatter(const rte_eth_dev* ethdev) {
    return (rx_offloads(ethdev) & RTE_ETH_RX_OFFLOAD_SCATTER) != 0;
}

bool wants_sums(const rte_eth_dev* ethdev) {
    return (ethdev->data->dev_conf.txmode.offloads & kTxSumOffloads) != 0;
}

const std::uint32_t* packet_types(rte_eth_dev* ethdev) {
    return wants_facts(ethdev) ? rx_packet_types() : nullptr;
}

void show_types(const Port& port) {
    const std::uint32_t mask = wants_facts(port.ethdev) ? port.type_mask : 0;
    for (const auto& queue : port.rx) {
        if (queue != nullptr) {
            queue->type_mask.store(mask, std::memory_order_relaxed);
        }
    }
}

int packet_types_set(rte_eth_dev* ethdev, std::uint32_t mask) {
    Port& port = port_of(ethdev);
    port.type_mask = mask;
    show_types(port);
    return 0;
}

eth_rx_burst_t receive_function(const rte_eth_dev* ethdev) {
    if (wants_scatter(ethdev)) {
        return receive_scattered;
    }
    return wants_facts(ethdev) ? receive_with_facts : receive;
}

}  // namespace

void path_choose(Port& port) {
    rte_eth_dev* ethdev = port.ethdev;
    ethdev->rx_pkt_burst = receive_function(ethdev);
    ethdev->tx_pkt_burst = wants_sums(ethdev) ? transmit_with_sums : transmit;
    ethdev->tx_pkt_prepare = prepare;
    const std::uint32_t sum_limit =
        wants_sums(ethdev) ? port.args.tx_csum_limit.value_or(kTxSumLimitDefault) : 0;
    for (auto& queue : port.rx) {
        if (queue != nullptr) {
            queue->flags_mask = rx_flags_of(rx_offloads(ethdev));
        }
    }
    show_types(port);
    for (auto& queue : port.tx) {
        if (queue != nullptr) {
            queue->sum_limit = sum_limit;
        }
    }
}

const char* path_rx_name(const Port& port) {
    const bool facts = wants_facts(port.ethdev);
    if (wants_scatter(port.ethdev)) {
        return facts ? "scalar, scattered, packet types and checksums" : "scalar, scattered";
    }
    return facts ? "scalar, packet types and checksums" : "scalar";
}

const char* path_tx_name(const Port& port) {
    return wants_sums(port.ethdev) ? "scalar, checksums" : "scalar";
}

void path_add_ops(eth_dev_ops& ops) {
    ops.dev_supported_ptypes_get = packet_types;
    ops.dev_ptypes_set = packet_types_set;
}

}  // namespace crema::neta_pmd
