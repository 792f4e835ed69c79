// SPDX-License-Identifier: BSD-3-Clause
//
// Which destination addresses the port accepts (hardware page 2.3.4, 5.8). The chip holds one
// address and a table indexed by its last four bits, so further unicast addresses must agree with
// it in the upper 44 bits; others need promiscuous mode and are refused here. Multicast goes
// through two tables. All three are written anew from what the application asked for on each
// change: 132 registers, and no use counts to get wrong. Filters may change under traffic. An entry
// also names the queue: 0, or what a flow rule says (flow.cpp).
#include <array>
#include <cerrno>
#include <cstring>

#include "drivers/net/neta/port.h"
#include "lib/base/log.h"
#include "lib/neta/crc8.h"

namespace crema::neta_pmd {
namespace {

constexpr std::uint8_t kPass = 1;  // to queue 0
constexpr std::size_t kLast = RTE_ETHER_ADDR_LEN - 1;

struct Tables {
    std::array<std::uint8_t, neta::kDaUnicastEntries> unicast{};
    std::array<std::uint8_t, neta::kDaMcastEntries> special{};
    std::array<std::uint8_t, neta::kDaMcastEntries> other{};
};

void accept(Tables& tables, const rte_ether_addr& address) {
    if (rte_is_multicast_ether_addr(&address) == 0) {
        tables.unicast.at(address.addr_bytes[kLast] & 0xf) = kPass;
    } else if (neta::da_is_special(address.addr_bytes)) {
        tables.special.at(address.addr_bytes[kLast]) = kPass;
    } else {
        tables.other.at(neta::da_crc8(address.addr_bytes)) = kPass;
    }
}

/// Queues and drops of flow rules. True: unicast addresses have rules.
bool steer(const Port& port, Tables& tables) {
    bool by_address = false;
    for (const auto& flow : port.flows) {
        const FlowRule& rule = flow->rule;
        const auto queue = static_cast<std::uint8_t>(neta::kDaEntryRxq.of(rule.queue));
        switch (rule.use) {
            case FlowUse::unicast:
                // The port may have another address since.
                if (filters_check_address(port, rule.address)) {
                    tables.unicast.at(rule.key) |= queue;
                    by_address = true;
                }
                break;
            case FlowUse::group:
                tables.special.at(rule.key) |= queue;
                break;
            case FlowUse::drop_group:
                tables.special.at(rule.key) = 0;
                break;
            case FlowUse::hashed:
                tables.other.at(rule.key) |= queue;
                break;
            default:
                break;
        }
    }
    return by_address;
}

template <std::size_t N>
void write_table(const vfio::Registers& registers,
                 std::uint32_t base,
                 const std::array<std::uint8_t, N>& entries) {
    for (unsigned first = 0; first < N; first += 4) {
        std::uint32_t word = 0;
        for (unsigned i = 0; i < 4; ++i) {
            word |= std::uint32_t{entries.at(first + i)} << neta::da_entry_shift(first + i);
        }
        registers.write(neta::da_entry_register(base, first), word);
    }
}

void write_address(const vfio::Registers& registers, const rte_ether_addr& address) {
    const std::uint8_t* a = address.addr_bytes;
    registers.write(neta::kMacHigh, std::uint32_t{a[0]} << 24U | std::uint32_t{a[1]} << 16U |
                                        std::uint32_t{a[2]} << 8U | a[3]);
    registers.write(neta::kMacLow, std::uint32_t{a[4]} << 8U | a[5]);
}

void set_bit(const vfio::Registers& registers, std::uint32_t offset, std::uint32_t bit, bool on) {
    const std::uint32_t old = registers.read(offset);
    registers.write(offset, on ? old | bit : old & ~bit);
}

int refuse(const Status& status) {
    log::error("{}", status.error().message);
    return -status.error().code;
}

int change_mode(rte_eth_dev* ethdev) {
    // ethdev has set promiscuous and all_multicast only after the callback returned.
    filters_program(port_of(ethdev));
    return 0;
}

int promiscuous_enable(rte_eth_dev* ethdev) {
    ethdev->data->promiscuous = 1;
    return change_mode(ethdev);
}

int promiscuous_disable(rte_eth_dev* ethdev) {
    ethdev->data->promiscuous = 0;
    return change_mode(ethdev);
}

int allmulticast_enable(rte_eth_dev* ethdev) {
    ethdev->data->all_multicast = 1;
    return change_mode(ethdev);
}

int allmulticast_disable(rte_eth_dev* ethdev) {
    ethdev->data->all_multicast = 0;
    return change_mode(ethdev);
}

int address_set(rte_eth_dev* ethdev, rte_ether_addr* address) {
    Port& port = port_of(ethdev);
    const rte_ether_addr old = port.address;
    port.address = *address;
    for (const rte_ether_addr& more : port.more_addresses) {
        if (rte_is_zero_ether_addr(&more) != 0) {
            continue;
        }
        if (auto fits = filters_check_address(port, more); !fits) {
            port.address = old;
            return refuse(fits);
        }
    }
    filters_program(port);
    return 0;
}

int address_add(rte_eth_dev* ethdev,
                rte_ether_addr* address,
                std::uint32_t index,
                std::uint32_t /*pool*/) {
    Port& port = port_of(ethdev);
    if (auto fits = filters_check_address(port, *address); !fits) {
        return refuse(fits);
    }
    port.more_addresses.at(index) = *address;
    filters_program(port);
    return 0;
}

void address_remove(rte_eth_dev* ethdev, std::uint32_t index) {
    Port& port = port_of(ethdev);
    port.more_addresses.at(index) = {};
    filters_program(port);
}

int multicast_set(rte_eth_dev* ethdev, rte_ether_addr* addresses, std::uint32_t n) {
    Port& port = port_of(ethdev);
    port.multicast.assign(addresses, addresses + n);
    filters_program(port);
    return 0;
}

}  // namespace

Status filters_check_address(const Port& port, const rte_ether_addr& address) {
    const std::uint8_t* own = port.address.addr_bytes;
    const std::uint8_t* a = address.addr_bytes;
    if (rte_is_multicast_ether_addr(&address) != 0 ||
        (std::memcmp(own, a, kLast) == 0 && ((own[kLast] ^ a[kLast]) & 0xf0) == 0)) {
        return {};
    }
    return fail(
        ENOTSUP,
        "{}: cannot filter {:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}: the chip accepts only "
        "addresses that differ from the port's in their last 4 bits; use promiscuous mode",
        name_of(port), a[0], a[1], a[2], a[3], a[4], a[5]);
}

void filters_program(Port& port) {
    const rte_eth_dev_data& data = *port.ethdev->data;
    const bool promiscuous = data.promiscuous != 0;
    Tables tables;
    accept(tables, port.address);
    for (const rte_ether_addr& address : port.more_addresses) {
        if (rte_is_zero_ether_addr(&address) == 0) {
            accept(tables, address);
        }
    }
    for (const rte_ether_addr& address : port.multicast) {
        accept(tables, address);
    }
    if (promiscuous) {
        tables.unicast.fill(kPass);
    }
    if (promiscuous || data.all_multicast != 0) {
        tables.special.fill(kPass);
        tables.other.fill(kPass);
    }
    const bool by_address = steer(port, tables);
    const vfio::Registers& registers = port.registers();
    write_address(registers, port.address);
    write_table(registers, neta::kDaUnicast, tables.unicast);
    write_table(registers, neta::kDaSpecialMcast, tables.special);
    write_table(registers, neta::kDaOtherMcast, tables.other);
    set_bit(registers, neta::kPortConfig, neta::kPortConfigUpm, promiscuous);
    // With it, foreign addresses would go where the own one with the same last bits goes.
    set_bit(registers, neta::kTypePrio, neta::kTypePrioForceUni, promiscuous && !by_address);
}

void filters_add_ops(eth_dev_ops& ops) {
    ops.promiscuous_enable = promiscuous_enable;
    ops.promiscuous_disable = promiscuous_disable;
    ops.allmulticast_enable = allmulticast_enable;
    ops.allmulticast_disable = allmulticast_disable;
    ops.mac_addr_set = address_set;
    ops.mac_addr_add = address_add;
    ops.mac_addr_remove = address_remove;
    ops.set_mc_addr_list = multicast_set;
}

}  // namespace crema::neta_pmd
