// SPDX-License-Identifier: BSD-3-Clause
//
// Flow rules: each mechanism of the chip steers or drops what its rule says and nothing else; what
// the chip cannot do is refused with the error that rte_flow has for it.
#include <array>
#include <cerrno>
#include <cstdio>
#include <gtest/gtest.h>
#include <string>
#include <vector>

#include <rte_flow.h>

#include "tests/driver/model_port.h"

namespace crema::test {
namespace {

constexpr rte_ether_addr kBpdu{{0x01, 0x80, 0xc2, 0, 0, 0}};
constexpr rte_ether_addr kSpecial{{0x01, 0x00, 0x5e, 0, 0, 0x05}};
constexpr rte_ether_addr kGroup{{0x33, 0x33, 0, 0, 0, 0x01}};
constexpr rte_ether_addr kForeign{{2, 0x77, 0, 0, 0, 0x10}};  // the last bits are the port's
constexpr int kNowhere = -1;

struct Headers {
    rte_ether_addr to = kOwn;
    int vlan_priority = -1;
    std::uint16_t type = 0x88b5;
    std::uint8_t dscp = 0;
    std::uint8_t protocol = 0;
};

rte_mbuf* frame_of(const Headers& headers) {
    rte_mbuf* mbuf = numbered_frame(headers.to, 0, 90);
    auto* data = rte_pktmbuf_mtod(mbuf, std::uint8_t*);
    std::uint8_t* type = data + 12;
    if (headers.vlan_priority >= 0) {
        type[0] = 0x81;
        type[1] = 0;
        type[2] = static_cast<std::uint8_t>(headers.vlan_priority << 5);
        type += 4;
    }
    type[0] = static_cast<std::uint8_t>(headers.type >> 8U);
    type[1] = static_cast<std::uint8_t>(headers.type);
    std::uint8_t* const ip = type + 2;
    if (headers.type == RTE_ETHER_TYPE_IPV4) {
        ip[0] = 0x45;
        ip[1] = static_cast<std::uint8_t>(headers.dscp << 2U);
        ip[2] = 0;
        ip[3] = 40;
        ip[9] = headers.protocol;
    } else if (headers.type == RTE_ETHER_TYPE_IPV6) {
        ip[0] = static_cast<std::uint8_t>(0x60 | headers.dscp >> 2U);
        ip[1] = static_cast<std::uint8_t>(headers.dscp << 6U);
        ip[6] = headers.protocol;
    }
    return mbuf;
}

// A pattern whose items keep their specifications.
class Pattern {
  public:
    Pattern& eth() { return add(RTE_FLOW_ITEM_TYPE_ETH, nullptr, nullptr); }

    Pattern& to(const rte_ether_addr& address, std::uint16_t type = 0) {
        eth_spec_.hdr.dst_addr = address;
        eth_mask_.hdr.dst_addr = kBroadcast;
        return with_type(type);
    }

    Pattern& type(std::uint16_t value) { return with_type(value); }

    Pattern& vlan(unsigned priority) {
        vlan_spec_.hdr.vlan_tci = rte_cpu_to_be_16(static_cast<std::uint16_t>(priority << 13U));
        vlan_mask_.hdr.vlan_tci = rte_cpu_to_be_16(0xe000);
        return add(RTE_FLOW_ITEM_TYPE_VLAN, &vlan_spec_, &vlan_mask_);
    }

    Pattern& ipv4_dscp(unsigned dscp) {
        ipv4_spec_.hdr.type_of_service = static_cast<std::uint8_t>(dscp << 2U);
        ipv4_mask_.hdr.type_of_service = 0xfc;
        return add(RTE_FLOW_ITEM_TYPE_IPV4, &ipv4_spec_, &ipv4_mask_);
    }

    Pattern& ipv6_dscp(unsigned dscp) {
        ipv6_spec_.hdr.vtc_flow = rte_cpu_to_be_32(dscp << 22U);
        ipv6_mask_.hdr.vtc_flow = rte_cpu_to_be_32(0xfcU << 20U);
        return add(RTE_FLOW_ITEM_TYPE_IPV6, &ipv6_spec_, &ipv6_mask_);
    }

    Pattern& item(rte_flow_item_type type) { return add(type, nullptr, nullptr); }

    Pattern& add(rte_flow_item_type type, const void* spec, const void* mask) {
        items_.push_back({.type = type, .spec = spec, .last = nullptr, .mask = mask});
        return *this;
    }

    const rte_flow_item* done() {
        add(RTE_FLOW_ITEM_TYPE_END, nullptr, nullptr);
        return items_.data();
    }

    std::vector<rte_flow_item>& items() { return items_; }

  private:
    Pattern& with_type(std::uint16_t type) {
        eth_spec_.hdr.ether_type = rte_cpu_to_be_16(type);
        eth_mask_.hdr.ether_type = type != 0 ? 0xffff : 0;
        return add(RTE_FLOW_ITEM_TYPE_ETH, &eth_spec_, &eth_mask_);
    }

    std::vector<rte_flow_item> items_;
    rte_flow_item_eth eth_spec_{}, eth_mask_{};
    rte_flow_item_vlan vlan_spec_{}, vlan_mask_{};
    rte_flow_item_ipv4 ipv4_spec_{}, ipv4_mask_{};
    rte_flow_item_ipv6 ipv6_spec_{}, ipv6_mask_{};
};

class ModelFlow : public PortOnModel {
  protected:
    void up_with_queues(std::uint16_t queues = 4) {
        ASSERT_EQ(port_.plug("net_neta0", on_wire("loop") + ",mac=02:00:00:00:00:10"), 0);
        ASSERT_EQ(port_.configure(queues), 0);
        ASSERT_EQ(port_.start(), 0);
    }

    // Queue that a frame comes to.
    int queue_of(const Headers& headers) {
        EXPECT_TRUE(send(port_, frame_of(headers)));
        rte_eth_dev_info info{};
        EXPECT_EQ(rte_eth_dev_info_get(port_.id, &info), 0);
        int found = kNowhere;
        for (std::uint16_t q = 0; q < info.nb_rx_queues; ++q) {
            std::array<rte_mbuf*, 4> mbufs{};
            const std::uint16_t n = rte_eth_rx_burst(port_.id, q, mbufs.data(), 4);
            rte_pktmbuf_free_bulk(mbufs.data(), n);
            found = n != 0 ? q : found;
        }
        return found;
    }

    rte_flow* steer(Pattern& pattern, std::uint16_t queue, std::uint32_t priority = 0) {
        const rte_flow_action_queue conf{queue};
        return make(pattern, {RTE_FLOW_ACTION_TYPE_QUEUE, &conf}, priority);
    }

    rte_flow* drop(Pattern& pattern) {
        return make(pattern, {RTE_FLOW_ACTION_TYPE_DROP, nullptr}, 0);
    }

    rte_flow* make(Pattern& pattern, const rte_flow_action& action, std::uint32_t priority) {
        const rte_flow_attr attr{.group = 0,
                                 .priority = priority,
                                 .ingress = 1,
                                 .egress = 0,
                                 .transfer = 0,
                                 .reserved = 0};
        const std::array actions{action, rte_flow_action{RTE_FLOW_ACTION_TYPE_END, nullptr}};
        const rte_flow_item* items = pattern.done();
        error_ = {};
        const int valid = rte_flow_validate(port_.id, &attr, items, actions.data(), &error_);
        rte_flow* flow = rte_flow_create(port_.id, &attr, items, actions.data(), &error_);
        EXPECT_EQ(valid == 0, flow != nullptr) << "validate and create agree";
        code_ = flow == nullptr ? valid : 0;
        return flow;
    }

    void expect_refused(rte_flow* flow, int code, rte_flow_error_type type) {
        EXPECT_EQ(flow, nullptr);
        EXPECT_EQ(code_, -code);
        EXPECT_EQ(error_.type, type) << error_.message;
        EXPECT_NE(error_.message, nullptr);
    }

    rte_flow_error error_{};
    int code_ = 0;
};

TEST_F(ModelFlow, VlanPriority) {
    up_with_queues();
    EXPECT_EQ(queue_of({.vlan_priority = 7}), 3) << "spread while there is no rule";
    ASSERT_NE(steer(Pattern().eth().vlan(5), 2), nullptr);
    EXPECT_EQ(queue_of({.vlan_priority = 5}), 2);
    EXPECT_EQ(queue_of({.vlan_priority = 7}), 0) << "rules end the spread";
    EXPECT_EQ(queue_of({}), 0);
    ASSERT_EQ(rte_flow_flush(port_.id, &error_), 0);
    EXPECT_EQ(queue_of({.vlan_priority = 7}), 3);
}

TEST_F(ModelFlow, Dscp) {
    up_with_queues();
    ASSERT_NE(steer(Pattern().eth().ipv4_dscp(46), 1), nullptr);
    ASSERT_NE(steer(Pattern().eth().ipv6_dscp(10), 2), nullptr);
    EXPECT_EQ(queue_of({.type = RTE_ETHER_TYPE_IPV4, .dscp = 46}), 1);
    EXPECT_EQ(queue_of({.type = RTE_ETHER_TYPE_IPV4, .dscp = 45}), 0);
    EXPECT_EQ(queue_of({.type = RTE_ETHER_TYPE_IPV6, .dscp = 10}), 2);
    EXPECT_EQ(queue_of({.type = RTE_ETHER_TYPE_IPV6, .dscp = 46}), 1) << "one map for both";
    expect_refused(steer(Pattern().eth().ipv6_dscp(46), 3), EEXIST, RTE_FLOW_ERROR_TYPE_HANDLE);
}

TEST_F(ModelFlow, EtherType) {
    up_with_queues();
    rte_flow* const first = steer(Pattern().type(0x88b5), 3);
    ASSERT_NE(first, nullptr);
    EXPECT_EQ(queue_of({}), 3);
    EXPECT_EQ(queue_of({.vlan_priority = 1}), 3) << "behind the tag";
    EXPECT_EQ(queue_of({.type = 0x88b6}), 0);
    expect_refused(steer(Pattern().type(0x88b6), 1), EEXIST, RTE_FLOW_ERROR_TYPE_HANDLE);
    EXPECT_EQ(error_.cause, first);
    ASSERT_EQ(rte_flow_destroy(port_.id, first, &error_), 0);
    EXPECT_EQ(queue_of({}), 0);
    ASSERT_NE(steer(Pattern().eth().item(RTE_FLOW_ITEM_TYPE_ARP_ETH_IPV4), 1), nullptr);
    EXPECT_EQ(queue_of({.type = RTE_ETHER_TYPE_ARP}), 1) << "not only broadcasts";
}

TEST_F(ModelFlow, ArpBroadcasts) {
    up_with_queues();
    ASSERT_NE(steer(Pattern().to(kBroadcast, RTE_ETHER_TYPE_ARP), 2), nullptr);
    EXPECT_EQ(queue_of({.to = kBroadcast, .type = RTE_ETHER_TYPE_ARP}), 2);
    EXPECT_EQ(queue_of({.type = RTE_ETHER_TYPE_ARP}), 0);
    EXPECT_EQ(queue_of({.to = kBroadcast}), 0);
}

TEST_F(ModelFlow, TcpAndUdp) {
    up_with_queues();
    ASSERT_NE(steer(Pattern().eth().item(RTE_FLOW_ITEM_TYPE_IPV4).item(RTE_FLOW_ITEM_TYPE_TCP), 1),
              nullptr);
    ASSERT_NE(steer(Pattern().eth().item(RTE_FLOW_ITEM_TYPE_IPV4).item(RTE_FLOW_ITEM_TYPE_UDP), 2),
              nullptr);
    EXPECT_EQ(queue_of({.type = RTE_ETHER_TYPE_IPV4, .protocol = 6}), 1);
    EXPECT_EQ(queue_of({.type = RTE_ETHER_TYPE_IPV4, .protocol = 17}), 2);
    EXPECT_EQ(queue_of({.type = RTE_ETHER_TYPE_IPV4, .protocol = 1}), 0);
    EXPECT_EQ(queue_of({.type = RTE_ETHER_TYPE_IPV6, .protocol = 6}), 0);
    expect_refused(
        steer(Pattern().eth().item(RTE_FLOW_ITEM_TYPE_IPV6).item(RTE_FLOW_ITEM_TYPE_TCP), 3),
        ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM);
}

TEST_F(ModelFlow, DestinationAddresses) {
    up_with_queues();
    ASSERT_NE(steer(Pattern().to(kOwn), 1), nullptr);
    ASSERT_NE(steer(Pattern().to(kSpecial), 2), nullptr);
    ASSERT_NE(steer(Pattern().to(kGroup), 3), nullptr);
    ASSERT_NE(steer(Pattern().to(kBpdu), 2), nullptr);
    EXPECT_EQ(queue_of({}), 1);
    EXPECT_EQ(queue_of({.to = kSpecial}), kNowhere) << "a rule lets nobody in";
    EXPECT_EQ(queue_of({.to = kBpdu}), 2) << "but this one: the chip takes them always";
    std::array groups{kSpecial, kGroup};
    ASSERT_EQ(rte_eth_dev_set_mc_addr_list(port_.id, groups.data(), groups.size()), 0);
    EXPECT_EQ(queue_of({.to = kSpecial}), 2);
    EXPECT_EQ(queue_of({.to = kGroup}), 3);
    // Promiscuous: others do not take the queue of the address that shares the entry.
    ASSERT_EQ(rte_eth_promiscuous_enable(port_.id), 0);
    EXPECT_EQ(queue_of({}), 1);
    EXPECT_EQ(queue_of({.to = kForeign}), 0);
    ASSERT_EQ(rte_eth_promiscuous_disable(port_.id), 0);
    // The port takes another address: the rule waits for its own to come back.
    rte_ether_addr other = kForeign;
    ASSERT_EQ(rte_eth_dev_default_mac_addr_set(port_.id, &other), 0);
    EXPECT_EQ(queue_of({.to = kForeign}), 0);
    rte_ether_addr own = kOwn;
    ASSERT_EQ(rte_eth_dev_default_mac_addr_set(port_.id, &own), 0);
    EXPECT_EQ(queue_of({}), 1);
    expect_refused(steer(Pattern().to(kForeign), 1), ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM_SPEC);
    expect_refused(steer(Pattern().to(kBroadcast), 1), ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM);
}

TEST_F(ModelFlow, Drops) {
    up_with_queues();
    std::array groups{kSpecial};
    ASSERT_EQ(rte_eth_dev_set_mc_addr_list(port_.id, groups.data(), groups.size()), 0);
    EXPECT_EQ(queue_of({.to = kSpecial}), 0);
    ASSERT_NE(drop(Pattern().to(kBroadcast, RTE_ETHER_TYPE_ARP)), nullptr);
    ASSERT_NE(drop(Pattern().to(kBroadcast).item(RTE_FLOW_ITEM_TYPE_IPV4)), nullptr);
    ASSERT_NE(drop(Pattern().to(kSpecial)), nullptr);
    for (int promiscuous = 0; promiscuous < 2; ++promiscuous) {
        EXPECT_EQ(queue_of({.to = kBroadcast, .type = RTE_ETHER_TYPE_ARP}), kNowhere);
        EXPECT_EQ(queue_of({.to = kBroadcast, .type = RTE_ETHER_TYPE_IPV4}), kNowhere);
        EXPECT_EQ(queue_of({.to = kSpecial}), kNowhere);
        EXPECT_EQ(queue_of({.to = kBroadcast}), 0);
        EXPECT_EQ(queue_of({.type = RTE_ETHER_TYPE_IPV4}), 0);
        ASSERT_EQ(rte_eth_promiscuous_enable(port_.id), 0);
    }
    expect_refused(drop(Pattern().to(kOwn)), ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM);
    expect_refused(drop(Pattern().to(kGroup)), ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM);
    expect_refused(drop(Pattern().type(0x88b5)), ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM);
    expect_refused(drop(Pattern().to(kBroadcast)), ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM);
}

TEST_F(ModelFlow, PrioritiesAreThoseOfTheChip) {
    up_with_queues();
    // The ether type is asked before the priority of a tag.
    ASSERT_NE(steer(Pattern().type(0x88b5), 1, 1), nullptr);
    expect_refused(steer(Pattern().eth().vlan(5), 2, 0), ENOTSUP,
                   RTE_FLOW_ERROR_TYPE_ATTR_PRIORITY);
    ASSERT_NE(steer(Pattern().eth().vlan(5), 2, 2), nullptr);
    EXPECT_EQ(queue_of({.vlan_priority = 5}), 1);
    EXPECT_EQ(queue_of({.vlan_priority = 5, .type = 0x88b6}), 2);
    // Of tag and DSCP, the higher queue.
    expect_refused(steer(Pattern().eth().ipv4_dscp(1), 3, 3), ENOTSUP,
                   RTE_FLOW_ERROR_TYPE_ATTR_PRIORITY);
    ASSERT_NE(steer(Pattern().eth().ipv4_dscp(1), 1, 3), nullptr);
    EXPECT_EQ(queue_of({.vlan_priority = 5, .type = RTE_ETHER_TYPE_IPV4, .dscp = 1}), 2);
    EXPECT_EQ(queue_of({.type = RTE_ETHER_TYPE_IPV4, .dscp = 1}), 1);
    // No frame matches both: any order will do.
    ASSERT_NE(steer(Pattern().to(kBroadcast, RTE_ETHER_TYPE_ARP), 3, 0), nullptr);
}

TEST_F(ModelFlow, RulesOutliveRestartsNotResets) {
    up_with_queues();
    ASSERT_NE(steer(Pattern().eth().vlan(5), 2), nullptr);
    rte_eth_dev_info info{};
    ASSERT_EQ(rte_eth_dev_info_get(port_.id, &info), 0);
    EXPECT_NE(info.dev_capa & RTE_ETH_DEV_CAPA_FLOW_RULE_KEEP, 0U);
    ASSERT_EQ(rte_eth_dev_stop(port_.id), 0);
    EXPECT_EQ(port_.configure(2), -EBUSY) << "a rule names queue 2";
    ASSERT_EQ(port_.configure(3), 0);
    ASSERT_EQ(port_.start(), 0);
    EXPECT_EQ(queue_of({.vlan_priority = 5}), 2);
    ASSERT_EQ(rte_eth_dev_stop(port_.id), 0);
    ASSERT_EQ(rte_eth_dev_reset(port_.id), 0);
    ASSERT_EQ(port_.configure(2), 0);
    ASSERT_EQ(port_.start(), 0);
    EXPECT_EQ(queue_of({.vlan_priority = 5}), 1) << "spread again";
}

TEST_F(ModelFlow, WhatTheChipLacksIsRefused) {
    up_with_queues();
    rte_flow_item_eth eth_spec{};
    rte_flow_item_eth eth_mask{};
    const auto eth = [&] {
        Pattern pattern;
        pattern.add(RTE_FLOW_ITEM_TYPE_ETH, &eth_spec, &eth_mask);
        return steer(pattern, 1);
    };
    eth_mask.hdr.src_addr = kBroadcast;
    expect_refused(eth(), ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM_MASK);
    eth_mask = {};
    eth_mask.hdr.dst_addr.addr_bytes[0] = 1;
    expect_refused(eth(), ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM_MASK);
    eth_mask = {};
    eth_mask.hdr.ether_type = 0xff;
    expect_refused(eth(), ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM_MASK);
    eth_mask = {};
    eth_mask.has_vlan = 1;
    expect_refused(eth(), ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM_MASK);
    Pattern range;
    range.type(0x88b5).items().front().last = &eth_spec;
    expect_refused(steer(range, 1), ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM_LAST);
    Pattern maskless;
    maskless.add(RTE_FLOW_ITEM_TYPE_ETH, nullptr, &eth_mask);
    expect_refused(steer(maskless, 1), EINVAL, RTE_FLOW_ERROR_TYPE_ITEM_SPEC);
    rte_flow_item_vlan tag{};
    Pattern usual;  // the default mask is the VLAN's number
    usual.eth().add(RTE_FLOW_ITEM_TYPE_VLAN, &tag, nullptr);
    expect_refused(steer(usual, 1), ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM_MASK);
    rte_flow_item_tcp ports{};
    Pattern flow;
    flow.eth().item(RTE_FLOW_ITEM_TYPE_IPV4).add(RTE_FLOW_ITEM_TYPE_TCP, &ports, nullptr);
    expect_refused(steer(flow, 1), ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM_SPEC);
    expect_refused(steer(Pattern().eth().item(RTE_FLOW_ITEM_TYPE_SCTP), 1), ENOTSUP,
                   RTE_FLOW_ERROR_TYPE_ITEM);
    expect_refused(steer(Pattern().item(RTE_FLOW_ITEM_TYPE_IPV4).eth(), 1), EINVAL,
                   RTE_FLOW_ERROR_TYPE_ITEM);
    expect_refused(steer(Pattern().type(0x88b5).item(RTE_FLOW_ITEM_TYPE_IPV4), 1), EINVAL,
                   RTE_FLOW_ERROR_TYPE_ITEM);
    expect_refused(steer(Pattern().to(kOwn).vlan(3), 1), ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM);
    expect_refused(steer(Pattern().eth(), 1), ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM);
    Pattern nothing;
    expect_refused(steer(nothing, 1), ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM_NUM);
    expect_refused(steer(Pattern().type(0x88b5), 4), EINVAL, RTE_FLOW_ERROR_TYPE_ACTION_CONF);
    Pattern marked;
    marked.type(0x88b5);
    const rte_flow_action_mark mark{1};
    expect_refused(make(marked, {RTE_FLOW_ACTION_TYPE_MARK, &mark}, 0), ENOTSUP,
                   RTE_FLOW_ERROR_TYPE_ACTION);
    EXPECT_EQ(queue_of({.vlan_priority = 7}), 3) << "nothing was left behind";
}

TEST_F(ModelFlow, AttributesAndActionsAreChecked) {
    up_with_queues();
    Pattern pattern;
    const rte_flow_item* items = pattern.type(0x88b5).done();
    const rte_flow_action_queue conf{1};
    const rte_flow_action queue{RTE_FLOW_ACTION_TYPE_QUEUE, &conf};
    const rte_flow_action end{RTE_FLOW_ACTION_TYPE_END, nullptr};
    const auto refused = [&](rte_flow_attr attr, std::vector<rte_flow_action> actions) {
        error_ = {};
        EXPECT_NE(rte_flow_validate(port_.id, &attr, items, actions.data(), &error_), 0);
        return error_.type;
    };
    rte_flow_attr attr{};
    EXPECT_EQ(refused(attr, {queue, end}), RTE_FLOW_ERROR_TYPE_ATTR_INGRESS);
    attr.egress = 1;
    EXPECT_EQ(refused(attr, {queue, end}), RTE_FLOW_ERROR_TYPE_ATTR_EGRESS);
    attr = {};
    attr.transfer = 1;
    EXPECT_EQ(refused(attr, {queue, end}), RTE_FLOW_ERROR_TYPE_ATTR_TRANSFER);
    attr = {};
    attr.ingress = 1;
    attr.group = 1;
    EXPECT_EQ(refused(attr, {queue, end}), RTE_FLOW_ERROR_TYPE_ATTR_GROUP);
    attr.group = 0;
    EXPECT_EQ(refused(attr, {queue, queue, end}), RTE_FLOW_ERROR_TYPE_ACTION_NUM);
    EXPECT_EQ(refused(attr, {end}), RTE_FLOW_ERROR_TYPE_ACTION_NUM);
    const std::array actions{rte_flow_action{RTE_FLOW_ACTION_TYPE_VOID, nullptr}, queue, end};
    EXPECT_EQ(rte_flow_validate(port_.id, &attr, items, actions.data(), &error_), 0);
}

TEST_F(ModelFlow, WhatRulesCannotTell) {
    up_with_queues();
    rte_flow* const flow = steer(Pattern().eth().vlan(5), 2);
    ASSERT_NE(flow, nullptr);
    const rte_flow_action count{RTE_FLOW_ACTION_TYPE_COUNT, nullptr};
    rte_flow_query_count counted{};
    EXPECT_EQ(rte_flow_query(port_.id, flow, &count, &counted, &error_), -ENOTSUP);
    EXPECT_EQ(rte_flow_isolate(port_.id, 1, &error_), -ENOTSUP);
    EXPECT_EQ(rte_flow_destroy(port_.id, nullptr, &error_), -EINVAL);
    EXPECT_EQ(error_.type, RTE_FLOW_ERROR_TYPE_HANDLE);
    std::FILE* const file = std::tmpfile();
    EXPECT_EQ(rte_flow_dev_dump(port_.id, nullptr, file, &error_), 0);
    std::array<char, 80> line{};
    std::rewind(file);
    ASSERT_NE(std::fgets(line.data(), line.size(), file), nullptr);
    EXPECT_STREQ(line.data(), "VLAN priority 0x5: queue 2\n");
    EXPECT_EQ(std::fclose(file), 0);
}

}  // namespace
}  // namespace crema::test
