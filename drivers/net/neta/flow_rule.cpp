// SPDX-License-Identifier: BSD-3-Clause
//
// See flow_rule.h. A pattern is read item by item into what it asks of a frame (Match); then there
// is either a mechanism of the chip that asks exactly that, or the rule is refused.
#include "drivers/net/neta/flow_rule.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <span>

#include <rte_byteorder.h>

#include "lib/neta/crc8.h"

namespace crema::neta_pmd {
namespace {

constexpr rte_ether_addr kBroadcast{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
constexpr rte_ether_addr kBpdu{{0x01, 0x80, 0xc2, 0, 0, 0}};
constexpr std::size_t kLast = RTE_ETHER_ADDR_LEN - 1;
constexpr std::uint16_t kPriorityBits = 0xe000;  // of a tag's TCI
constexpr std::uint8_t kDscpBits = 0xfc;         // of a TOS byte
constexpr unsigned kTrafficClassShift = 20;      // in IPv6's first word
constexpr unsigned kEcnBits = 2;

/// What a pattern asks of a frame.
struct Match {
    std::optional<rte_ether_addr> to;
    std::optional<std::uint16_t> type;
    std::optional<std::uint8_t> vlan_priority;
    std::optional<std::uint8_t> dscp;
    std::optional<FlowUse> l4;
    bool tagged = false;
    const rte_flow_item* last = nullptr;  // blamed when all of it together is too much

    [[nodiscard]] unsigned fields() const {
        return unsigned{to.has_value()} + unsigned{vlan_priority.has_value()} +
               unsigned{dscp.has_value()} + unsigned{l4.has_value()};
    }
};

class Reader {
  public:
    explicit Reader(rte_flow_error* error) : error_(error) {}

    /// False, always.
    bool refuse(int code, rte_flow_error_type type, const void* cause, const char* message) {
        rte_flow_error_set(error_, code, type, cause, message);
        return false;
    }

    [[nodiscard]] bool read_attr(const rte_flow_attr* attr);
    [[nodiscard]] bool read_pattern(const rte_flow_item* pattern, Match& match);
    [[nodiscard]] bool read_actions(const rte_flow_action* actions,
                                    unsigned queues,
                                    std::optional<std::uint16_t>& queue);

  private:
    bool read_item(const rte_flow_item& item, Match& match);
    bool read_eth(const rte_flow_item& item, Match& match);
    bool read_vlan(const rte_flow_item& item, Match& match);
    bool read_ipv4(const rte_flow_item& item, Match& match);
    bool read_ipv6(const rte_flow_item& item, Match& match);
    bool read_bare(const rte_flow_item& item);
    bool set_type(const rte_flow_item& item, Match& match, std::uint16_t type);
    bool has_form(const rte_flow_item& item);

    /// The item's spec and mask, the given default where there is none. False: it has none and
    /// matches everything.
    template <typename T>
    bool values_of(const rte_flow_item& item, const T& usual, T& spec, T& mask) const {
        if (item.spec == nullptr) {
            return false;
        }
        spec = *static_cast<const T*>(item.spec);
        mask = item.mask == nullptr ? usual : *static_cast<const T*>(item.mask);
        return true;
    }

    rte_flow_error* error_;
};

/// Any bit of the mask but those of `known`, an object of the same type?
template <typename T>
bool asks_more(const T& mask, const T& known) {
    std::array<std::uint8_t, sizeof(T)> asked{};
    std::array<std::uint8_t, sizeof(T)> allowed{};
    std::memcpy(asked.data(), &mask, sizeof(T));
    std::memcpy(allowed.data(), &known, sizeof(T));
    for (std::size_t i = 0; i < sizeof(T); ++i) {
        if ((asked.at(i) & ~allowed.at(i)) != 0) {
            return true;
        }
    }
    return false;
}

bool Reader::read_attr(const rte_flow_attr* attr) {
    if (attr->group != 0) {
        return refuse(ENOTSUP, RTE_FLOW_ERROR_TYPE_ATTR_GROUP, attr, "there is one group, 0");
    }
    if (attr->egress != 0) {
        return refuse(ENOTSUP, RTE_FLOW_ERROR_TYPE_ATTR_EGRESS, attr,
                      "the chip looks at received frames only");
    }
    if (attr->transfer != 0) {
        return refuse(ENOTSUP, RTE_FLOW_ERROR_TYPE_ATTR_TRANSFER, attr,
                      "the chip forwards nothing");
    }
    if (attr->ingress == 0) {
        return refuse(EINVAL, RTE_FLOW_ERROR_TYPE_ATTR_INGRESS, attr, "want ingress");
    }
    return true;
}

bool Reader::has_form(const rte_flow_item& item) {
    if (item.last != nullptr) {
        return refuse(ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM_LAST, &item, "the chip knows no ranges");
    }
    if (item.spec == nullptr && item.mask != nullptr) {
        return refuse(EINVAL, RTE_FLOW_ERROR_TYPE_ITEM_SPEC, &item, "a mask without spec");
    }
    return true;
}

/// Items that say what a frame is, and no more.
bool Reader::read_bare(const rte_flow_item& item) {
    return item.spec == nullptr || refuse(ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM_SPEC, &item,
                                          "the chip knows no field of this header");
}

bool Reader::set_type(const rte_flow_item& item, Match& match, std::uint16_t type) {
    if (match.type.has_value() && *match.type != type) {
        return refuse(EINVAL, RTE_FLOW_ERROR_TYPE_ITEM, &item,
                      "not the ether type that was given before");
    }
    match.type = type;
    return true;
}

bool Reader::read_eth(const rte_flow_item& item, Match& match) {
    rte_flow_item_eth usual{};
    usual.hdr.dst_addr = usual.hdr.src_addr = kBroadcast;
    rte_flow_item_eth spec{};
    rte_flow_item_eth mask{};
    if (!values_of(item, usual, spec, mask)) {
        return true;
    }
    rte_flow_item_eth known{};
    known.hdr.dst_addr = kBroadcast;
    known.hdr.ether_type = 0xffff;
    if (asks_more(mask, known)) {
        return refuse(ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM_MASK, &item,
                      "the chip matches destination and type only");
    }
    if (rte_is_broadcast_ether_addr(&mask.hdr.dst_addr) != 0) {
        match.to = spec.hdr.dst_addr;
    } else if (rte_is_zero_ether_addr(&mask.hdr.dst_addr) == 0) {
        return refuse(ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM_MASK, &item,
                      "the chip matches whole destination addresses");
    }
    const std::uint16_t type = rte_be_to_cpu_16(spec.hdr.ether_type);
    if (mask.hdr.ether_type == 0xffff && type == RTE_ETHER_TYPE_VLAN) {
        match.tagged = true;
    } else if (mask.hdr.ether_type == 0xffff) {
        match.type = type;
    } else if (mask.hdr.ether_type != 0) {
        return refuse(ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM_MASK, &item,
                      "the chip matches whole ether types");
    }
    return true;
}

bool Reader::read_vlan(const rte_flow_item& item, Match& match) {
    match.tagged = true;
    rte_flow_item_vlan usual{};
    usual.hdr.vlan_tci = rte_cpu_to_be_16(0x0fff);
    rte_flow_item_vlan spec{};
    rte_flow_item_vlan mask{};
    if (!values_of(item, usual, spec, mask)) {
        return true;
    }
    rte_flow_item_vlan known{};
    known.hdr.vlan_tci = rte_cpu_to_be_16(kPriorityBits);
    if (asks_more(mask, known) || asks_more(known, mask)) {
        return refuse(ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM_MASK, &item,
                      "the chip matches the three bits of a tag's priority");
    }
    match.vlan_priority = static_cast<std::uint8_t>(rte_be_to_cpu_16(spec.hdr.vlan_tci) >> 13U);
    return true;
}

bool Reader::read_ipv4(const rte_flow_item& item, Match& match) {
    rte_flow_item_ipv4 usual{};
    usual.hdr.src_addr = usual.hdr.dst_addr = UINT32_MAX;
    rte_flow_item_ipv4 spec{};
    rte_flow_item_ipv4 mask{};
    if (values_of(item, usual, spec, mask)) {
        rte_flow_item_ipv4 known{};
        known.hdr.type_of_service = kDscpBits;
        if (asks_more(mask, known) || asks_more(known, mask)) {
            return refuse(ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM_MASK, &item,
                          "the chip matches the six bits of the DSCP");
        }
        match.dscp = static_cast<std::uint8_t>(spec.hdr.type_of_service >> kEcnBits);
    }
    return set_type(item, match, RTE_ETHER_TYPE_IPV4);
}

bool Reader::read_ipv6(const rte_flow_item& item, Match& match) {
    constexpr std::uint32_t kBits = std::uint32_t{kDscpBits} << kTrafficClassShift;
    rte_flow_item_ipv6 usual{};
    std::fill(std::begin(usual.hdr.src_addr), std::end(usual.hdr.src_addr), 0xff);
    std::fill(std::begin(usual.hdr.dst_addr), std::end(usual.hdr.dst_addr), 0xff);
    rte_flow_item_ipv6 spec{};
    rte_flow_item_ipv6 mask{};
    if (values_of(item, usual, spec, mask)) {
        rte_flow_item_ipv6 known{};
        known.hdr.vtc_flow = rte_cpu_to_be_32(kBits);
        if (asks_more(mask, known) || asks_more(known, mask)) {
            return refuse(ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM_MASK, &item,
                          "the chip matches the six bits of the DSCP");
        }
        const std::uint32_t word = rte_be_to_cpu_32(spec.hdr.vtc_flow);
        match.dscp = static_cast<std::uint8_t>(word >> (kTrafficClassShift + kEcnBits)) & 0x3f;
    }
    return set_type(item, match, RTE_ETHER_TYPE_IPV6);
}

bool Reader::read_item(const rte_flow_item& item, Match& match) {
    switch (item.type) {
        case RTE_FLOW_ITEM_TYPE_ETH:
            return read_eth(item, match);
        case RTE_FLOW_ITEM_TYPE_VLAN:
            return read_vlan(item, match);
        case RTE_FLOW_ITEM_TYPE_ARP_ETH_IPV4:
            return read_bare(item) && set_type(item, match, RTE_ETHER_TYPE_ARP);
        case RTE_FLOW_ITEM_TYPE_IPV4:
            return read_ipv4(item, match);
        case RTE_FLOW_ITEM_TYPE_IPV6:
            return read_ipv6(item, match);
        case RTE_FLOW_ITEM_TYPE_TCP:
        case RTE_FLOW_ITEM_TYPE_UDP:
            match.l4 = item.type == RTE_FLOW_ITEM_TYPE_TCP ? FlowUse::tcp : FlowUse::udp;
            return read_bare(item);
        default:
            return refuse(ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM, &item, "not in the chip");
    }
}

/// Headers in the order in which they are in a frame; 0: none of ours.
unsigned layer_of(rte_flow_item_type type) {
    switch (type) {
        case RTE_FLOW_ITEM_TYPE_ETH:
            return 1;
        case RTE_FLOW_ITEM_TYPE_VLAN:
            return 2;
        case RTE_FLOW_ITEM_TYPE_ARP_ETH_IPV4:
            return 5;  // nothing follows
        case RTE_FLOW_ITEM_TYPE_IPV4:
        case RTE_FLOW_ITEM_TYPE_IPV6:
            return 3;
        case RTE_FLOW_ITEM_TYPE_TCP:
        case RTE_FLOW_ITEM_TYPE_UDP:
            return 4;
        default:
            return 0;
    }
}

bool Reader::read_pattern(const rte_flow_item* pattern, Match& match) {
    unsigned layer = 0;
    for (const rte_flow_item* item = pattern; item->type != RTE_FLOW_ITEM_TYPE_END; ++item) {
        if (item->type == RTE_FLOW_ITEM_TYPE_VOID) {
            continue;
        }
        match.last = item;
        if (!has_form(*item)) {
            return false;
        }
        const unsigned own = layer_of(item->type);
        if (own != 0 && own <= layer) {
            return refuse(EINVAL, RTE_FLOW_ERROR_TYPE_ITEM, item,
                          "headers are not in the order of a frame");
        }
        layer = std::max(layer, own);
        if (!read_item(*item, match)) {
            return false;
        }
    }
    return match.last != nullptr ||
           refuse(ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM_NUM, pattern, "the pattern is empty");
}

bool Reader::read_actions(const rte_flow_action* actions,
                          unsigned queues,
                          std::optional<std::uint16_t>& queue) {
    const rte_flow_action* found = nullptr;
    for (const rte_flow_action* action = actions; action->type != RTE_FLOW_ACTION_TYPE_END;
         ++action) {
        if (action->type == RTE_FLOW_ACTION_TYPE_VOID) {
            continue;
        }
        if (action->type != RTE_FLOW_ACTION_TYPE_QUEUE &&
            action->type != RTE_FLOW_ACTION_TYPE_DROP) {
            return refuse(ENOTSUP, RTE_FLOW_ERROR_TYPE_ACTION, action,
                          "the chip chooses a queue or drops");
        }
        if (found != nullptr) {
            return refuse(ENOTSUP, RTE_FLOW_ERROR_TYPE_ACTION_NUM, action, "want one action");
        }
        found = action;
    }
    if (found == nullptr) {
        return refuse(EINVAL, RTE_FLOW_ERROR_TYPE_ACTION_NUM, actions, "want one action");
    }
    if (found->type == RTE_FLOW_ACTION_TYPE_DROP) {
        return true;
    }
    const auto* conf = static_cast<const rte_flow_action_queue*>(found->conf);
    if (conf == nullptr || conf->index >= queues) {
        return refuse(EINVAL, RTE_FLOW_ERROR_TYPE_ACTION_CONF, found,
                      "the port has no such RX queue");
    }
    queue = conf->index;
    return true;
}

/// The filters that drop whatever mode the port is in.
std::optional<FlowUse> use_to_drop(const Match& match) {
    if (match.fields() != 1 || match.tagged || !match.to) {
        return std::nullopt;
    }
    if (rte_is_broadcast_ether_addr(&*match.to) != 0) {
        return match.type == RTE_ETHER_TYPE_ARP    ? std::optional(FlowUse::drop_arp)
               : match.type == RTE_ETHER_TYPE_IPV4 ? std::optional(FlowUse::drop_ipv4)
                                                   : std::nullopt;
    }
    return !match.type && neta::da_is_special(match.to->addr_bytes)
               ? std::optional(FlowUse::drop_group)
               : std::nullopt;
}

std::optional<FlowUse> use_of_address(const Match& match) {
    const rte_ether_addr& to = *match.to;
    if (rte_is_broadcast_ether_addr(&to) != 0) {
        return match.type == RTE_ETHER_TYPE_ARP ? std::optional(FlowUse::arp) : std::nullopt;
    }
    if (match.type) {
        return std::nullopt;
    }
    if (rte_is_same_ether_addr(&to, &kBpdu) != 0) {
        return FlowUse::bpdu;
    }
    if (rte_is_multicast_ether_addr(&to) == 0) {
        return FlowUse::unicast;
    }
    return neta::da_is_special(to.addr_bytes) ? FlowUse::group : FlowUse::hashed;
}

std::optional<FlowUse> use_to_steer(const Match& match) {
    if (match.fields() > 1 || match.tagged != match.vlan_priority.has_value()) {
        return std::nullopt;
    }
    if (match.to) {
        return use_of_address(match);
    }
    if (match.vlan_priority) {
        return match.type ? std::nullopt : std::optional(FlowUse::vlan);
    }
    if (match.dscp) {
        return FlowUse::dscp;
    }
    if (match.l4) {
        return match.type == RTE_ETHER_TYPE_IPV4 ? match.l4 : std::nullopt;
    }
    return match.type ? std::optional(FlowUse::ether_type) : std::nullopt;
}

std::uint16_t key_of(FlowUse use, const Match& match) {
    switch (use) {
        case FlowUse::ether_type:
            return *match.type;
        case FlowUse::unicast:
            return match.to->addr_bytes[kLast] & 0xf;
        case FlowUse::drop_group:
        case FlowUse::group:
            return match.to->addr_bytes[kLast];
        case FlowUse::hashed:
            return neta::da_crc8(match.to->addr_bytes);
        case FlowUse::vlan:
            return *match.vlan_priority;
        case FlowUse::dscp:
            return *match.dscp;
        default:
            return 0;
    }
}

/// Which frames a rule's ether type leaves: all, one type, or both IPs.
struct Types {
    std::uint16_t first = 0;
    std::uint16_t second = 0;  // 0 and 0: all

    [[nodiscard]] bool meets(const Types& other) const {
        const bool any = first == 0 || other.first == 0;
        return any || first == other.first || first == other.second || second == other.first ||
               (second != 0 && second == other.second);
    }
};

Types types_of(const FlowRule& rule) {
    switch (rule.use) {
        case FlowUse::ether_type:
            return {rule.key, rule.key};
        case FlowUse::drop_arp:
        case FlowUse::arp:
            return {RTE_ETHER_TYPE_ARP, RTE_ETHER_TYPE_ARP};
        case FlowUse::drop_ipv4:
        case FlowUse::tcp:
        case FlowUse::udp:
            return {RTE_ETHER_TYPE_IPV4, RTE_ETHER_TYPE_IPV4};
        case FlowUse::dscp:
            return {RTE_ETHER_TYPE_IPV4, RTE_ETHER_TYPE_IPV6};
        default:
            return {};
    }
}

/// Destinations that cannot be the same one differ in this number; 0: any.
std::uint32_t destination_of(const FlowRule& rule) {
    switch (rule.use) {
        case FlowUse::drop_arp:
        case FlowUse::drop_ipv4:
        case FlowUse::arp:
            return 1;
        case FlowUse::bpdu:
            return 2;
        case FlowUse::unicast:
            return 0x100U + rule.key;
        case FlowUse::drop_group:
        case FlowUse::group:
            return 0x200U + rule.key;
        case FlowUse::hashed:
            return 0x300U + rule.key;
        default:
            return 0;
    }
}

}  // namespace

bool FlowRule::collides(const FlowRule& other) const {
    return use == other.use && (key == other.key || use == FlowUse::ether_type);
}

bool FlowRule::overlaps(const FlowRule& other) const {
    const std::uint32_t to = destination_of(*this);
    const std::uint32_t other_to = destination_of(other);
    const bool l4 = (use == FlowUse::tcp && other.use == FlowUse::udp) ||
                    (use == FlowUse::udp && other.use == FlowUse::tcp);
    return (to == 0 || other_to == 0 || to == other_to) && types_of(*this).meets(types_of(other)) &&
           !l4 && (use != other.use || key == other.key);
}

bool FlowRule::beats(const FlowRule& other) const {
    const bool together = use >= FlowUse::unicast && other.use >= FlowUse::unicast;
    const bool same = !drops() && !other.drops() && queue == other.queue;
    return together ? queue >= other.queue : use < other.use || same;
}

std::optional<FlowRule> read_flow_rule(const rte_flow_attr* attr,
                                       const rte_flow_item* pattern,
                                       const rte_flow_action* actions,
                                       unsigned queues,
                                       rte_flow_error* error) {
    Reader reader(error);
    Match match;
    std::optional<std::uint16_t> queue;
    if (!reader.read_attr(attr) || !reader.read_pattern(pattern, match) ||
        !reader.read_actions(actions, queues, queue)) {
        return std::nullopt;
    }
    const auto use = queue ? use_to_steer(match) : use_to_drop(match);
    if (!use) {
        reader.refuse(ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM, match.last,
                      queue ? "the chip cannot choose a queue by just this"
                            : "the chip cannot drop just this");
        return std::nullopt;
    }
    FlowRule rule{.use = *use,
                  .key = key_of(*use, match),
                  .queue = queue.value_or(0),
                  .priority = attr->priority};
    rule.address = match.to.value_or(rte_ether_addr{});
    return rule;
}

}  // namespace crema::neta_pmd
