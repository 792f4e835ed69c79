// SPDX-License-Identifier: BSD-3-Clause
//
// See offloads.h.
#include "drivers/net/neta/offloads.h"

#include <cstddef>
#include <cstring>

#include <rte_byteorder.h>
#include <rte_ip.h>
#include <rte_mbuf_ptype.h>
#include <rte_tcp.h>
#include <rte_udp.h>

namespace crema::neta_pmd {
namespace {

constexpr RxFacts facts_of(std::uint32_t status) {
    constexpr std::uint32_t kPlain = RTE_PTYPE_L2_ETHER;
    constexpr std::uint32_t kTagged = RTE_PTYPE_L2_ETHER_VLAN;
    RxFacts facts{.packet_type = (status & neta::kRxVlan) != 0 ? kTagged : kPlain, .flags = 0};
    const std::uint32_t l3 = neta::kRxL3Type.get(status);
    const std::uint32_t l4 = neta::kRxL4Type.get(status);
    const bool fragment = (status & neta::kRxIpv4Frag) != 0;
    const bool sum_right = (status & neta::kRxL4CsumOk) != 0;
    switch (l3) {
        case neta::kRxL3Ipv4Bad:  // what comes behind such a header is nobody's business
            facts.packet_type |= RTE_PTYPE_L3_IPV4_EXT_UNKNOWN;
            facts.flags |= static_cast<std::uint32_t>(RTE_MBUF_F_RX_IP_CKSUM_BAD);
            return facts;
        case neta::kRxL3Ipv4Good:
            facts.packet_type |= RTE_PTYPE_L3_IPV4_EXT_UNKNOWN;
            facts.flags |= static_cast<std::uint32_t>(RTE_MBUF_F_RX_IP_CKSUM_GOOD);
            break;
        case neta::kRxL3Ipv6:
            facts.packet_type |= RTE_PTYPE_L3_IPV6_EXT_UNKNOWN;
            break;
        default:
            return facts;
    }
    if (l3 == neta::kRxL3Ipv4Good && fragment) {
        facts.packet_type |= RTE_PTYPE_L4_FRAG;
        return facts;
    }
    if (l4 != neta::kRxL4Tcp && l4 != neta::kRxL4Udp) {
        return facts;
    }
    facts.packet_type |= l4 == neta::kRxL4Tcp ? RTE_PTYPE_L4_TCP : RTE_PTYPE_L4_UDP;
    if (l3 == neta::kRxL3Ipv4Good && sum_right) {
        facts.flags |= static_cast<std::uint32_t>(RTE_MBUF_F_RX_L4_CKSUM_GOOD);
    }
    return facts;
}

constexpr std::array<RxFacts, kRxFactsEntries> make_table() {
    std::array<RxFacts, kRxFactsEntries> table{};
    for (std::uint32_t i = 0; i < kRxFactsEntries; ++i) {
        table.at(i) = facts_of(((i & 0x7fU) << 19U) | ((i >> 7U) << 30U));
    }
    return table;
}

void store_l4_sum(rte_mbuf& mbuf, rte_be16_t sum) {
    const bool tcp = (mbuf.ol_flags & RTE_MBUF_F_TX_L4_MASK) == RTE_MBUF_F_TX_TCP_CKSUM;
    const std::size_t field =
        tcp ? offsetof(rte_tcp_hdr, cksum) : offsetof(rte_udp_hdr, dgram_cksum);
    const std::size_t at = mbuf.l2_len + mbuf.l3_len + field;
    std::memcpy(rte_pktmbuf_mtod_offset(&mbuf, std::uint8_t*, at), &sum, sizeof(sum));
}

std::uint32_t headers_bytes(const rte_mbuf& mbuf) {
    const std::uint64_t l4 = mbuf.ol_flags & RTE_MBUF_F_TX_L4_MASK;
    const std::size_t l4_bytes = l4 == RTE_MBUF_F_TX_TCP_CKSUM   ? sizeof(rte_tcp_hdr)
                                 : l4 == RTE_MBUF_F_TX_UDP_CKSUM ? sizeof(rte_udp_hdr)
                                                                 : 0;
    return static_cast<std::uint32_t>(mbuf.l2_len + mbuf.l3_len + l4_bytes);
}

/// Do the IP header's own lengths agree with the mbuf's?
bool lengths_agree(const rte_mbuf& mbuf) {
    const std::uint32_t behind_l2 = mbuf.pkt_len - mbuf.l2_len;
    const std::uint32_t least = headers_bytes(mbuf) - mbuf.l2_len;
    if ((mbuf.ol_flags & RTE_MBUF_F_TX_IPV6) != 0) {
        const auto* ip = rte_pktmbuf_mtod_offset(&mbuf, const rte_ipv6_hdr*, mbuf.l2_len);
        const std::uint32_t total = sizeof(rte_ipv6_hdr) + rte_be_to_cpu_16(ip->payload_len);
        return total >= least && total <= behind_l2;
    }
    const auto* ip = rte_pktmbuf_mtod_offset(&mbuf, const rte_ipv4_hdr*, mbuf.l2_len);
    const std::uint32_t total = rte_be_to_cpu_16(ip->total_length);
    return rte_ipv4_hdr_len(ip) == mbuf.l3_len && total >= least && total <= behind_l2;
}

}  // namespace

constinit const std::array<RxFacts, kRxFactsEntries> rx_facts_table = make_table();

std::uint32_t rx_flags_of(std::uint64_t offloads) {
    std::uint64_t flags = 0;
    if ((offloads & RTE_ETH_RX_OFFLOAD_IPV4_CKSUM) != 0) {
        flags |= RTE_MBUF_F_RX_IP_CKSUM_MASK;
    }
    if ((offloads & (RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM)) != 0) {
        flags |= RTE_MBUF_F_RX_L4_CKSUM_MASK;
    }
    return static_cast<std::uint32_t>(flags);
}

const std::uint32_t* rx_packet_types() {
    static constexpr std::array<std::uint32_t, 8> kTypes = {
        RTE_PTYPE_L2_ETHER,
        RTE_PTYPE_L2_ETHER_VLAN,
        RTE_PTYPE_L3_IPV4_EXT_UNKNOWN,
        RTE_PTYPE_L3_IPV6_EXT_UNKNOWN,
        RTE_PTYPE_L4_TCP,
        RTE_PTYPE_L4_UDP,
        RTE_PTYPE_L4_FRAG,
        RTE_PTYPE_UNKNOWN,
    };
    return kTypes.data();
}

int sums_in_software(rte_mbuf& mbuf) {
    if (rte_mbuf_refcnt_read(&mbuf) != 1 || !RTE_MBUF_DIRECT(&mbuf)) {
        return ENOTSUP;
    }
    if (headers_bytes(mbuf) > mbuf.data_len || !lengths_agree(mbuf)) {
        return EINVAL;
    }
    const std::uint16_t l4_at = static_cast<std::uint16_t>(mbuf.l2_len + mbuf.l3_len);
    if ((mbuf.ol_flags & RTE_MBUF_F_TX_L4_MASK) != 0) {
        store_l4_sum(mbuf, 0);
        if ((mbuf.ol_flags & RTE_MBUF_F_TX_IPV6) != 0) {
            const auto* ip = rte_pktmbuf_mtod_offset(&mbuf, const rte_ipv6_hdr*, mbuf.l2_len);
            store_l4_sum(mbuf, rte_ipv6_udptcp_cksum_mbuf(&mbuf, ip, l4_at));
        } else {
            const auto* ip = rte_pktmbuf_mtod_offset(&mbuf, const rte_ipv4_hdr*, mbuf.l2_len);
            store_l4_sum(mbuf, rte_ipv4_udptcp_cksum_mbuf(&mbuf, ip, l4_at));
        }
    }
    if ((mbuf.ol_flags & RTE_MBUF_F_TX_IP_CKSUM) != 0) {
        auto* ip = rte_pktmbuf_mtod_offset(&mbuf, rte_ipv4_hdr*, mbuf.l2_len);
        ip->hdr_checksum = 0;
        ip->hdr_checksum = rte_ipv4_cksum(ip);
    }
    mbuf.ol_flags &= ~(kTxSumFlags | RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IPV6);
    return 0;
}

}  // namespace crema::neta_pmd
