// SPDX-License-Identifier: BSD-3-Clause
//
// Frames that ask for checksums: right ones, their copies with the sums spoiled, and mbufs that say
// where the headers lie.
#pragma once

#include <cstring>

#include <rte_mbuf.h>

#include "tests/driver/port_fixture.h"
#include "tests/support/frame_builder.h"

namespace crema::test {

struct SumCase {
    Bytes right;  // with sums as they must arrive
    std::uint16_t l2_bytes = 14;
    std::uint16_t l3_bytes = 20;
    std::uint64_t flags = 0;  // of ol_flags
};

inline constexpr std::uint64_t kIpv4Tcp =
    RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_TCP_CKSUM;
inline constexpr std::uint64_t kIpv4Udp =
    RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_UDP_CKSUM;

/// Puts the right TCP or UDP checksum into a frame whose IP header starts at `l3`: the sum of
/// pseudo header and datagram, byte pair by byte pair.
inline void set_l4_sum(Bytes& frame, std::size_t l3) {
    const bool ipv4 = frame.at(l3) >> 4U == 4;
    const std::uint8_t protocol = frame.at(l3 + (ipv4 ? 9 : 6));
    if (protocol != kTcp && protocol != kUdp) {
        return;
    }
    const std::size_t l4 = l3 + (ipv4 ? (frame.at(l3) & 0xfU) * 4U : 40U);
    const std::size_t field = l4 + (protocol == kTcp ? 16 : 6);
    frame.at(field) = frame.at(field + 1) = 0;
    std::uint32_t sum = protocol + static_cast<std::uint32_t>(frame.size() - l4);
    const auto add = [&](std::size_t from, std::size_t to) {
        for (std::size_t i = from; i < to; ++i) {
            const std::uint32_t byte = frame.at(i);
            sum += (i - from) % 2 == 0 ? byte << 8U : byte;
        }
    };
    add(l3 + (ipv4 ? 12 : 8), l3 + (ipv4 ? 20 : 40));
    add(l4, frame.size());
    while (sum > 0xffff) {
        sum = (sum & 0xffffU) + (sum >> 16U);
    }
    sum = ~sum & 0xffffU;
    sum = sum == 0 && protocol == kUdp ? 0xffff : sum;
    frame.at(field) = static_cast<std::uint8_t>(sum >> 8U);
    frame.at(field + 1) = static_cast<std::uint8_t>(sum);
}

inline bool is_fragment(const Bytes& frame, std::size_t l3) {
    return frame.at(l3) >> 4U == 4 && (frame.at(l3 + 6) & 0x3fU) != 0;
}

/// An Ethernet frame to the port of the fixtures; unfragmented TCP and UDP with right sums.
inline Bytes frame_of(std::uint16_t type, const Bytes& payload) {
    Bytes frame = ethernet(type, payload);
    static constexpr std::uint8_t kAddress[] = {2, 0, 0, 0, 0, 0x10};
    std::memcpy(frame.data(), kAddress, sizeof(kAddress));
    const std::size_t l3 = type == kVlan ? 18 : 14;
    if (type != kArp && !is_fragment(frame, l3)) {
        set_l4_sum(frame, l3);
    }
    return frame;
}

/// The frame of `one` with 0xdead in place of each sum that it asks for.
inline Bytes spoiled(const SumCase& one) {
    Bytes bytes = one.right;
    const auto spoil = [&](std::size_t at) {
        bytes.at(at) = 0xde;
        bytes.at(at + 1) = 0xad;
    };
    if ((one.flags & RTE_MBUF_F_TX_IP_CKSUM) != 0) {
        spoil(one.l2_bytes + 10U);
    }
    const std::uint64_t l4 = one.flags & RTE_MBUF_F_TX_L4_MASK;
    if (l4 != 0) {
        spoil(one.l2_bytes + one.l3_bytes + (l4 == RTE_MBUF_F_TX_TCP_CKSUM ? 16U : 6U));
    }
    return bytes;
}

/// One mbuf, or a chain whose first segment has `head` bytes.
inline rte_mbuf* mbuf_of(const Bytes& bytes, std::size_t head = 0) {
    const auto segment = [](const std::uint8_t* data, std::size_t n) {
        rte_mbuf* mbuf = EthPort::app_mbuf(static_cast<std::uint16_t>(n));
        std::memcpy(rte_pktmbuf_mtod(mbuf, std::uint8_t*), data, n);
        return mbuf;
    };
    if (head == 0) {
        return segment(bytes.data(), bytes.size());
    }
    rte_mbuf* first = segment(bytes.data(), head);
    EXPECT_EQ(rte_pktmbuf_chain(first, segment(bytes.data() + head, bytes.size() - head)), 0);
    return first;
}

inline rte_mbuf* request_of(const SumCase& one, std::size_t head = 0) {
    rte_mbuf* mbuf = mbuf_of(spoiled(one), head);
    mbuf->ol_flags = one.flags;
    mbuf->l2_len = one.l2_bytes & 0x7fU;
    mbuf->l3_len = one.l3_bytes & 0x1ffU;
    return mbuf;
}

inline Bytes bytes_of(const rte_mbuf* mbuf) {
    Bytes bytes;
    for (; mbuf != nullptr; mbuf = mbuf->next) {
        const auto* data = rte_pktmbuf_mtod(mbuf, const std::uint8_t*);
        bytes.insert(bytes.end(), data, data + mbuf->data_len);
    }
    return bytes;
}

}  // namespace crema::test
