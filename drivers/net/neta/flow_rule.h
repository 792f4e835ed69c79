// SPDX-License-Identifier: BSD-3-Clause
//
// A flow rule as the chip can have it: which of its few steering mechanisms, for which key, to
// which queue (hardware page 2.3.4). Reading of patterns and actions, with the errors that rte_flow
// defines. What a port does with its rules: flow.cpp.
//
// The chip looks behind one VLAN tag and takes tagged and untagged frames alike; a DSCP means the
// same in IPv4 and IPv6; other multicast groups are found by an 8-bit hash.
#pragma once

#include <cstdint>
#include <optional>

#include <rte_ether.h>
#include <rte_flow.h>

namespace crema::neta_pmd {

/// In the order in which the chip asks them: what drops comes first, the first that matches
/// decides. From `unicast` on they are asked together, and the highest queue wins.
enum class FlowUse : std::uint8_t {
    drop_arp,    // broadcasts that carry ARP
    drop_ipv4,   // broadcasts that carry IPv4
    drop_group,  // key: last byte of 01:00:5e:00:00:xx
    bpdu,        // 01:80:c2:00:00:00
    ether_type,  // key: the type
    arp,         // broadcasts that carry ARP
    tcp,         // over IPv4
    udp,         // over IPv4
    unicast,     // key: last four bits of the address
    group,       // key: last byte of 01:00:5e:00:00:xx
    hashed,      // key: hash of another group's address
    vlan,        // key: priority of the tag
    dscp,        // key: the code point
};

struct FlowRule {
    FlowUse use = FlowUse::ether_type;
    std::uint16_t key = 0;
    std::uint16_t queue = 0;
    std::uint32_t priority = 0;  // 0 is the most important
    rte_ether_addr address{};    // of unicast, group, hashed

    [[nodiscard]] bool drops() const { return use <= FlowUse::drop_group; }

    /// Two rules that need the same place in the chip.
    [[nodiscard]] bool collides(const FlowRule& other) const;

    /// A frame may match both.
    [[nodiscard]] bool overlaps(const FlowRule& other) const;

    /// Of a frame that matches both, the chip does what this one says.
    [[nodiscard]] bool beats(const FlowRule& other) const;
};

/// The rule, or nothing and `error` filled in and rte_errno set. queues: that the port has.
[[nodiscard]] std::optional<FlowRule> read_flow_rule(const rte_flow_attr* attr,
                                                     const rte_flow_item* pattern,
                                                     const rte_flow_action* actions,
                                                     unsigned queues,
                                                     rte_flow_error* error);

}  // namespace crema::neta_pmd
