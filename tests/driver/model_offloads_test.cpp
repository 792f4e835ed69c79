// SPDX-License-Identifier: BSD-3-Clause
//
// Checksum offloads on the model's loop: what was asked of the chip arrives right, what it cannot
// do is done or refused before it reaches the wire, and received frames are described.
#include <array>
#include <cerrno>
#include <gtest/gtest.h>
#include <string>
#include <vector>

#include <rte_errno.h>

#include "drivers/net/neta/offloads.h"
#include "tests/driver/model_port.h"
#include "tests/driver/sums.h"

namespace crema::test {
namespace {

constexpr std::uint64_t kIpGood = RTE_MBUF_F_RX_IP_CKSUM_GOOD;
constexpr std::uint64_t kIpBad = RTE_MBUF_F_RX_IP_CKSUM_BAD;
constexpr std::uint64_t kL4Good = RTE_MBUF_F_RX_L4_CKSUM_GOOD;

class ModelOffloads : public PortOnModel {
  protected:
    void up_with(std::uint64_t rx, std::uint64_t tx, const std::string& more = "") {
        port_.conf.rxmode.offloads = rx;
        port_.conf.txmode.offloads = tx;
        up("loop", more);
    }

    /// Sends `mbuf` and returns what comes back, null for nothing.
    rte_mbuf* round_trip(rte_mbuf* mbuf) {
        EXPECT_TRUE(send(port_, mbuf));
        const auto mbufs = receive(port_);
        EXPECT_LE(mbufs.size(), 1U);
        return mbufs.empty() ? nullptr : mbufs[0];
    }

    void expect_right(const SumCase& one, std::size_t head, bool prepared) {
        rte_mbuf* mbuf = request_of(one, head);
        if (prepared) {
            ASSERT_EQ(rte_eth_tx_prepare(port_.id, 0, &mbuf, 1), 1);
        }
        rte_mbuf* got = round_trip(mbuf);
        ASSERT_NE(got, nullptr);
        EXPECT_EQ(bytes_of(got), one.right);
        rte_pktmbuf_free(got);
    }
};

std::vector<SumCase> ipv4_cases() {
    const Ipv4Shape options{.options = Bytes(8, 1)};
    const Bytes payload = filler(300);
    return {
        {.right = frame_of(kIpv4, ipv4(kTcp, tcp(1024, 22, payload))), .flags = kIpv4Tcp},
        {.right = frame_of(kIpv4, ipv4(kUdp, udp(1024, 53, payload))), .flags = kIpv4Udp},
        {.right = frame_of(kIpv4, ipv4(kTcp, tcp(1024, 22, payload), options)),
         .l3_bytes = 28,
         .flags = kIpv4Tcp},
        {.right = frame_of(kVlan, vlan(5, kIpv4, ipv4(kUdp, udp(1, 2, payload)))),
         .l2_bytes = 18,
         .flags = kIpv4Udp},
        {.right = frame_of(kIpv4, ipv4(kIcmp, filler(64))),
         .flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM},
        {.right = frame_of(kIpv4, ipv4(kUdp, udp(1024, 53, payload))),
         .flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_UDP_CKSUM},
    };
}

TEST_F(ModelOffloads, ChecksumsAreInsertedByTheChip) {
    up_with(0, neta_pmd::kTxSumOffloads | RTE_ETH_TX_OFFLOAD_MULTI_SEGS);
    for (const SumCase& one : ipv4_cases()) {
        for (const std::size_t head : {0U, 40U}) {
            for (const bool prepared : {false, true}) {
                expect_right(one, head, prepared);
            }
        }
    }
    EXPECT_EQ(port_.xstat("tx_csum_software"), 0U);
    EXPECT_EQ(port_.xstat("tx_refused"), 0U);
}

TEST_F(ModelOffloads, WhatTheChipCannotSumIsSummedBySoftware) {
    up_with(0, neta_pmd::kTxSumOffloads | RTE_ETH_TX_OFFLOAD_MULTI_SEGS, ",tx-csum-limit=200");
    std::vector<SumCase> cases = ipv4_cases();
    std::erase_if(cases, [](const SumCase& one) { return one.right.size() <= 200; });
    ASSERT_GE(cases.size(), 5U);
    for (const std::uint8_t protocol : {kTcp, kUdp}) {
        const Bytes l4 = protocol == kTcp ? tcp(1, 2, filler(60)) : udp(1, 2, filler(60));
        const std::uint64_t flag =
            protocol == kTcp ? RTE_MBUF_F_TX_TCP_CKSUM : RTE_MBUF_F_TX_UDP_CKSUM;
        cases.push_back({.right = frame_of(kIpv6, ipv6(protocol, l4)),
                         .l3_bytes = 40,
                         .flags = RTE_MBUF_F_TX_IPV6 | flag});
    }
    std::uint64_t expected = 0;
    for (const SumCase& one : cases) {
        for (const std::size_t head : {0U, 80U}) {
            for (const bool prepared : {false, true}) {
                expect_right(one, head, prepared);
                EXPECT_EQ(port_.xstat("tx_csum_software"), ++expected);
            }
        }
    }
}

TEST_F(ModelOffloads, ImpossibleRequestsAreRefused) {
    up_with(0, neta_pmd::kTxSumOffloads | RTE_ETH_TX_OFFLOAD_MULTI_SEGS, ",tx-csum-limit=100");
    const SumCase good{.right = frame_of(kIpv4, ipv4(kTcp, tcp(1, 2, filler(200)))),
                       .flags = kIpv4Tcp};

    struct Case {
        const char* what;
        int error;
        void (*spoil)(SumCase& one);
        std::size_t head = 0;
        bool shared = false;
    };

    const std::vector<Case> cases = {
        {"segmentation", ENOTSUP, [](SumCase& one) { one.flags |= RTE_MBUF_F_TX_TCP_SEG; }},
        {"VLAN insertion", ENOTSUP, [](SumCase& one) { one.flags |= RTE_MBUF_F_TX_VLAN; }},
        {"no IP version", EINVAL, [](SumCase& one) { one.flags = RTE_MBUF_F_TX_TCP_CKSUM; }},
        {"IPv6 has no header sum", EINVAL, [](SumCase& one) { one.flags |= RTE_MBUF_F_TX_IPV6; }},
        {"L3 too short", EINVAL, [](SumCase& one) { one.l3_bytes = 16; }},
        {"L3 not in words", EINVAL, [](SumCase& one) { one.l3_bytes = 22; }},
        {"L2 too short", EINVAL, [](SumCase& one) { one.l2_bytes = 10; }},
        {"headers beyond the frame", EINVAL, [](SumCase& one) { one.right.resize(53); }},
        {"IP header says otherwise", EINVAL, [](SumCase& one) { one.l3_bytes = 24; }},
        {"datagram longer than the frame", EINVAL, [](SumCase& one) { one.right.resize(150); }},
        {"headers in two segments", EINVAL, [](SumCase&) {}, 40},
        {"shared data", ENOTSUP, [](SumCase&) {}, 0, true},
    };
    std::uint64_t refused = 0;
    for (const Case& one : cases) {
        SCOPED_TRACE(one.what);
        SumCase bad = good;
        one.spoil(bad);
        rte_mbuf* mbuf = mbuf_of(bad.right, one.head);
        mbuf->ol_flags = bad.flags;
        mbuf->l2_len = bad.l2_bytes & 0x7fU;
        mbuf->l3_len = bad.l3_bytes & 0x1ffU;
        if (one.shared) {
            rte_mbuf_refcnt_update(mbuf, 1);
        }
        EXPECT_EQ(rte_eth_tx_prepare(port_.id, 0, &mbuf, 1), 0);
        EXPECT_EQ(rte_errno, one.error);
        EXPECT_EQ(round_trip(mbuf), nullptr);
        EXPECT_EQ(port_.xstat("tx_refused"), ++refused);
        if (one.shared) {
            rte_pktmbuf_free(mbuf);
        }
    }
    EXPECT_EQ(port_.xstat("tx_csum_software"), 0U);
}

struct Described {
    const char* what;
    Bytes bytes;
    std::uint32_t type;
    std::uint64_t flags;
};

Bytes with_byte_changed(Bytes bytes, std::size_t at) {
    bytes.at(at) ^= 0x01U;
    return bytes;
}

std::vector<Described> described_frames() {
    constexpr std::uint32_t kV4 = RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV4_EXT_UNKNOWN;
    constexpr std::uint32_t kV6 = RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV6_EXT_UNKNOWN;
    const Bytes tcp4 = frame_of(kIpv4, ipv4(kTcp, tcp(1, 2, filler(50))));
    const Bytes udp4 = frame_of(kIpv4, ipv4(kUdp, udp(1, 2, filler(50))));
    return {
        {"TCP", tcp4, kV4 | RTE_PTYPE_L4_TCP, kIpGood | kL4Good},
        {"UDP", udp4, kV4 | RTE_PTYPE_L4_UDP, kIpGood | kL4Good},
        {"TCP, wrong sum", with_byte_changed(tcp4, 60), kV4 | RTE_PTYPE_L4_TCP, kIpGood},
        {"wrong header sum", with_byte_changed(tcp4, 24), kV4, kIpBad},
        {"ICMP", frame_of(kIpv4, ipv4(kIcmp, filler(64))), kV4, kIpGood},
        {"fragment", frame_of(kIpv4, ipv4(kUdp, filler(64), {.fragment = 0x2000})),
         kV4 | RTE_PTYPE_L4_FRAG, kIpGood},
        {"IPv6", frame_of(kIpv6, ipv6(kTcp, tcp(1, 2, filler(50)))), kV6 | RTE_PTYPE_L4_TCP, 0},
        {"tagged", frame_of(kVlan, vlan(5, kIpv4, ipv4(kTcp, tcp(1, 2, filler(50))))),
         RTE_PTYPE_L2_ETHER_VLAN | RTE_PTYPE_L3_IPV4_EXT_UNKNOWN | RTE_PTYPE_L4_TCP,
         kIpGood | kL4Good},
        {"no IP", frame_of(kArp, filler(60)), RTE_PTYPE_L2_ETHER, 0},
    };
}

TEST_F(ModelOffloads, ReceivedFramesAreDescribed) {
    up_with(neta_pmd::kRxSumOffloads, 0);
    for (const Described& one : described_frames()) {
        rte_mbuf* got = round_trip(mbuf_of(one.bytes));
        ASSERT_NE(got, nullptr) << one.what;
        EXPECT_EQ(got->packet_type, one.type) << one.what;
        EXPECT_EQ(got->ol_flags, one.flags) << one.what;
        EXPECT_EQ(bytes_of(got), one.bytes) << one.what;
        rte_pktmbuf_free(got);
    }
}

TEST_F(ModelOffloads, PacketTypesAreAnnouncedAndMayBeDeclined) {
    up_with(RTE_ETH_RX_OFFLOAD_IPV4_CKSUM, 0);
    std::array<std::uint32_t, 16> types{};
    EXPECT_EQ(rte_eth_dev_get_supported_ptypes(port_.id, RTE_PTYPE_ALL_MASK, types.data(), 16), 7);
    const Described tcp4 = described_frames()[0];
    rte_mbuf* got = round_trip(mbuf_of(tcp4.bytes));
    ASSERT_NE(got, nullptr);
    EXPECT_EQ(got->packet_type, tcp4.type);
    EXPECT_EQ(got->ol_flags, kIpGood);  // nobody asked about TCP
    rte_pktmbuf_free(got);
    EXPECT_EQ(rte_eth_dev_set_ptypes(port_.id, RTE_PTYPE_L3_MASK, nullptr, 0), 0);
    got = round_trip(mbuf_of(tcp4.bytes));
    ASSERT_NE(got, nullptr);
    EXPECT_EQ(got->packet_type, tcp4.type & RTE_PTYPE_L3_MASK);
    rte_pktmbuf_free(got);
}

TEST_F(ModelOffloads, WhoAsksForNothingIsToldNothing) {
    up_with(0, 0);
    EXPECT_EQ(rte_eth_dev_get_supported_ptypes(port_.id, RTE_PTYPE_ALL_MASK, nullptr, 0), 0);
    rte_mbuf* got = round_trip(mbuf_of(described_frames()[0].bytes));
    ASSERT_NE(got, nullptr);
    EXPECT_EQ(got->packet_type, 0U);
    EXPECT_EQ(got->ol_flags, 0U);
    rte_pktmbuf_free(got);
}

TEST_F(ModelOffloads, NothingIsClaimedOfFramesThatAProgramSaw) {
    up_with(neta_pmd::kRxSumOffloads, 0, std::string(",xdp=") + CREMA_BPF_FOLDER + "/pass.bpf.o");
    rte_mbuf* got = round_trip(mbuf_of(described_frames()[0].bytes));
    ASSERT_NE(got, nullptr);
    EXPECT_EQ(got->packet_type, 0U);
    EXPECT_EQ(got->ol_flags, 0U);
    rte_pktmbuf_free(got);
}

}  // namespace
}  // namespace crema::test
