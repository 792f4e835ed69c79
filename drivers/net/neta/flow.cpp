// SPDX-License-Identifier: BSD-3-Clause
//
// rte_flow: the rules of a port, and steering as the chip is told of it (hardware page 2.3.4). What
// a rule may say: flow_rule.h.
//
// Without rules VLAN priorities are spread over the RX queues, as the chip has nothing better. The
// first rule ends that: then frames go where rules say, and all others to queue 0.
// Rules stay when the port stops, starts or is configured anew (with fewer queues than they name it
// is not), and go with a reset. Everything is written anew on each change, in registers and in the
// address tables (filters.cpp); both may change under traffic.
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>

#include <rte_flow_driver.h>

#include "drivers/net/neta/port.h"
#include "lib/base/log.h"

namespace crema::neta_pmd {
namespace {

const char* name_of(FlowUse use) {
    switch (use) {
        case FlowUse::drop_arp:
        case FlowUse::arp:
            return "ARP broadcasts";
        case FlowUse::drop_ipv4:
            return "IPv4 broadcasts";
        case FlowUse::drop_group:
        case FlowUse::group:
            return "group 01:00:5e:00:00, last byte";
        case FlowUse::bpdu:
            return "BPDUs";
        case FlowUse::ether_type:
            return "ether type";
        case FlowUse::tcp:
            return "TCP over IPv4";
        case FlowUse::udp:
            return "UDP over IPv4";
        case FlowUse::unicast:
            return "unicast address, last bits";
        case FlowUse::hashed:
            return "groups, hash";
        case FlowUse::vlan:
            return "VLAN priority";
        case FlowUse::dscp:
            return "DSCP";
    }
    return "?";
}

const FlowRule* find(const Port& port, FlowUse use) {
    for (const auto& flow : port.flows) {
        if (flow->rule.use == use) {
            return &flow->rule;
        }
    }
    return nullptr;
}

unsigned queues_of(const rte_eth_dev* ethdev) {
    return ethdev->data->nb_rx_queues;
}

/// A rule that fits, or nothing and `error`.
std::optional<FlowRule> check(const rte_eth_dev* ethdev,
                              const rte_flow_attr* attr,
                              const rte_flow_item* pattern,
                              const rte_flow_action* actions,
                              rte_flow_error* error) {
    const Port& port = port_of(ethdev);
    auto rule = read_flow_rule(attr, pattern, actions, queues_of(ethdev), error);
    if (!rule) {
        return rule;
    }
    if (rule->use == FlowUse::unicast && !filters_check_address(port, rule->address)) {
        rte_flow_error_set(error, ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM_SPEC, pattern,
                           "the chip knows addresses that differ from the port's in their last 4 "
                           "bits only");
        return std::nullopt;
    }
    for (const auto& flow : port.flows) {
        const FlowRule& other = flow->rule;
        if (rule->collides(other)) {
            rte_flow_error_set(error, EEXIST, RTE_FLOW_ERROR_TYPE_HANDLE, flow.get(),
                               "another rule has this place in the chip");
            return std::nullopt;
        }
        const bool first = rule->priority < other.priority;
        const bool ordered = rule->priority == other.priority || !rule->overlaps(other) ||
                             (first ? rule->beats(other) : other.beats(*rule));
        if (!ordered) {
            rte_flow_error_set(error, ENOTSUP, RTE_FLOW_ERROR_TYPE_ATTR_PRIORITY, attr,
                               "of frames that match this and another rule, the chip decides the "
                               "other way");
            return std::nullopt;
        }
    }
    return rule;
}

int validate(rte_eth_dev* ethdev,
             const rte_flow_attr* attr,
             const rte_flow_item* pattern,
             const rte_flow_action* actions,
             rte_flow_error* error) {
    return check(ethdev, attr, pattern, actions, error) ? 0 : -rte_errno;
}

rte_flow* create(rte_eth_dev* ethdev,
                 const rte_flow_attr* attr,
                 const rte_flow_item* pattern,
                 const rte_flow_action* actions,
                 rte_flow_error* error) {
    Port& port = port_of(ethdev);
    const auto rule = check(ethdev, attr, pattern, actions, error);
    if (!rule) {
        return nullptr;
    }
    port.flows.push_back(std::make_unique<rte_flow>(rte_flow{*rule}));
    flow_program(port);
    return port.flows.back().get();
}

int destroy(rte_eth_dev* ethdev, rte_flow* flow, rte_flow_error* error) {
    Port& port = port_of(ethdev);
    const auto found = std::find_if(port.flows.begin(), port.flows.end(),
                                    [&](const auto& own) { return own.get() == flow; });
    if (found == port.flows.end()) {
        return rte_flow_error_set(error, EINVAL, RTE_FLOW_ERROR_TYPE_HANDLE, flow,
                                  "not a rule of this port");
    }
    port.flows.erase(found);
    flow_program(port);
    return 0;
}

int flush(rte_eth_dev* ethdev, rte_flow_error* /*error*/) {
    Port& port = port_of(ethdev);
    port.flows.clear();
    flow_program(port);
    return 0;
}

int query(rte_eth_dev* /*ethdev*/,
          rte_flow* /*flow*/,
          const rte_flow_action* action,
          void* /*data*/,
          rte_flow_error* error) {
    return rte_flow_error_set(error, ENOTSUP, RTE_FLOW_ERROR_TYPE_ACTION, action,
                              "the chip counts nothing by rule");
}

int isolate(rte_eth_dev* /*ethdev*/, int /*set*/, rte_flow_error* error) {
    return rte_flow_error_set(error, ENOTSUP, RTE_FLOW_ERROR_TYPE_UNSPECIFIED, nullptr,
                              "the chip's address filter cannot be left out");
}

int dump(rte_eth_dev* ethdev, rte_flow* wanted, FILE* file, rte_flow_error* error) {
    bool found = wanted == nullptr;
    for (const auto& flow : port_of(ethdev).flows) {
        if (wanted != nullptr && flow.get() != wanted) {
            continue;
        }
        found = true;
        const FlowRule& rule = flow->rule;
        const std::string line =
            rule.drops()
                ? fmt::format("{} {:#x}: drop\n", name_of(rule.use), rule.key)
                : fmt::format("{} {:#x}: queue {}\n", name_of(rule.use), rule.key, rule.queue);
        if (std::fputs(line.c_str(), file) < 0) {
            return rte_flow_error_set(error, EIO, RTE_FLOW_ERROR_TYPE_UNSPECIFIED, nullptr,
                                      "cannot write");
        }
    }
    return found ? 0
                 : rte_flow_error_set(error, EINVAL, RTE_FLOW_ERROR_TYPE_HANDLE, wanted,
                                      "not a rule of this port");
}

const rte_flow_ops& flow_ops() {
    static const rte_flow_ops ops_table = [] {
        rte_flow_ops ops{};
        ops.validate = validate;
        ops.create = create;
        ops.destroy = destroy;
        ops.flush = flush;
        ops.query = query;
        ops.isolate = isolate;
        ops.dev_dump = dump;
        return ops;
    }();
    return ops_table;
}

int get_ops(rte_eth_dev* /*ethdev*/, const rte_flow_ops** ops) {
    *ops = &flow_ops();
    return 0;
}

/// PORT_CONFIG but for what filters.cpp keeps there.
void program_classes(const Port& port) {
    const vfio::Registers& registers = port.registers();
    std::uint32_t config =
        neta::port_config_default(0) | (registers.read(neta::kPortConfig) & neta::kPortConfigUpm);
    const auto queue_of = [&](FlowUse use, const neta::Field& field, std::uint32_t enable) {
        if (const FlowRule* rule = find(port, use); rule != nullptr) {
            config = field.set(config, rule->queue) | enable;
        }
    };
    queue_of(FlowUse::arp, neta::kPortConfigRxqArp, 0);
    queue_of(FlowUse::tcp, neta::kPortConfigRxqTcp, neta::kPortConfigTcpCapture);
    queue_of(FlowUse::udp, neta::kPortConfigRxqUdp, neta::kPortConfigUdpCapture);
    queue_of(FlowUse::bpdu, neta::kPortConfigRxqBpdu, 0);
    config |= find(port, FlowUse::drop_arp) != nullptr ? neta::kPortConfigRejectBcastArp : 0;
    config |= find(port, FlowUse::drop_ipv4) != nullptr ? neta::kPortConfigRejectBcastIp : 0;
    registers.write(neta::kPortConfig, config);
    registers.write(neta::kPortConfigExt,
                    find(port, FlowUse::bpdu) != nullptr ? neta::kPortConfigExtSpan : 0);
    std::uint32_t type = registers.read(neta::kTypePrio) & neta::kTypePrioForceUni;
    if (const FlowRule* rule = find(port, FlowUse::ether_type); rule != nullptr) {
        type |= neta::kTypePrioEn | neta::kTypePrioFirst | neta::kTypePrioRxq.of(rule->queue) |
                neta::kTypePrioEthertype.of(rule->key);
    }
    registers.write(neta::kTypePrio, type);
}

void program_maps(const Port& port) {
    const vfio::Registers& registers = port.registers();
    std::array<std::uint32_t, neta::kDscpRegisters> dscp{};
    std::uint32_t vlan = 0;
    if (port.flows.empty()) {
        const unsigned queues = std::max(queues_of(port.ethdev), 1U);
        for (unsigned priority = 0; priority < 8; ++priority) {
            vlan |= (priority * queues / 8) << (3 * priority);
        }
    }
    for (const auto& flow : port.flows) {
        const FlowRule& rule = flow->rule;
        if (rule.use == FlowUse::vlan) {
            vlan |= std::uint32_t{rule.queue} << (3U * rule.key);
        } else if (rule.use == FlowUse::dscp) {
            dscp.at(rule.key / 10U) |= std::uint32_t{rule.queue} << (3U * (rule.key % 10U));
        }
    }
    registers.write(neta::kVlanPrioToRxq, vlan);
    for (unsigned n = 0; n < dscp.size(); ++n) {
        registers.write(neta::dscp_to_rxq(n), dscp.at(n));
    }
}

}  // namespace

void flow_program(Port& port) {
    filters_program(port);
    program_classes(port);
    program_maps(port);
}

Status flow_check_queues(const Port& port, unsigned queues) {
    for (const auto& flow : port.flows) {
        if (flow->rule.queue >= queues) {
            return fail(EBUSY, "{}: {} RX queues: a flow rule names queue {}: destroy it first",
                        name_of(port), queues, flow->rule.queue);
        }
    }
    return {};
}

void flow_add_ops(eth_dev_ops& ops) {
    ops.flow_ops_get = get_ops;
}

}  // namespace crema::neta_pmd
