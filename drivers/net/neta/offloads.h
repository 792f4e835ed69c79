// SPDX-License-Identifier: BSD-3-Clause
//
// What the chip finds out about received frames and what it can fill into sent ones, in the words
// of mbufs. Receiving: status bits of a descriptor index a table of packet types and flags
// (hardware page 3.2, 8.1). Sending: flags of a mbuf become a command word, or say that software
// has to compute (8.2: the chip buffers a whole frame to insert a sum, so there is a size limit;
// IPv6 sums are not left to it).
#pragma once

#include <array>
#include <cerrno>
#include <cstdint>

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "lib/neta/descriptors.h"

namespace crema::neta_pmd {

inline constexpr std::uint64_t kRxSumOffloads =
    RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM;
inline constexpr std::uint64_t kTxSumOffloads =
    RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM;

/// Largest frame whose sums the chip inserts, when nothing else is said: that of Armada 3700.
inline constexpr std::uint32_t kTxSumLimitDefault = 9800;

struct RxFacts {
    std::uint32_t packet_type;
    std::uint32_t flags;  // of ol_flags; all are in its lower half
};

inline constexpr std::size_t kRxFactsEntries = 512;
extern const std::array<RxFacts, kRxFactsEntries> rx_facts_table;

/// What a descriptor's status says. "L4 sum not right" is reported as unknown: the bit was seen
/// unset on good frames.
[[nodiscard]] inline RxFacts rx_facts(std::uint32_t status) {
    // 25:19 (VLAN to L3 type) and 31:30 (sum right, fragment), put together.
    return rx_facts_table[((status >> 19U) & 0x7fU) | ((status >> 30U) << 7U)];
}

/// The bits of ol_flags that these RX offloads ask for.
[[nodiscard]] std::uint32_t rx_flags_of(std::uint64_t offloads);

/// Packet types the chip tells apart, RTE_PTYPE_UNKNOWN last.
[[nodiscard]] const std::uint32_t* rx_packet_types();

inline constexpr std::uint64_t kTxSumFlags = RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_L4_MASK;
/// Flags of a mbuf that ask for what neither the chip nor the driver does.
inline constexpr std::uint64_t kTxForeignFlags =
    RTE_MBUF_F_TX_OFFLOAD_MASK & ~(kTxSumFlags | RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IPV6);

enum class SumsBy : std::uint8_t { chip, software, nobody };

struct SumsPlan {
    SumsBy by;
    std::uint32_t command = 0;  // chip: bits for the first descriptor
    int error = 0;              // nobody: why
};

/// Who computes the sums that `mbuf` asks for. limit: see kTxSumLimitDefault.
[[nodiscard]] inline SumsPlan plan_sums(const rte_mbuf& mbuf, std::uint32_t limit) {
    constexpr std::uint32_t kEtherHeader = 14;
    constexpr std::uint32_t kIpv4Min = 20;
    constexpr std::uint32_t kIpv4Max = 60;
    constexpr std::uint32_t kIpv6 = 40;
    constexpr std::uint32_t kTcpMin = 20;
    constexpr std::uint32_t kUdp = 8;
    const std::uint64_t l4 = mbuf.ol_flags & RTE_MBUF_F_TX_L4_MASK;
    if ((mbuf.ol_flags & kTxForeignFlags) != 0 || l4 == RTE_MBUF_F_TX_SCTP_CKSUM) [[unlikely]] {
        return {.by = SumsBy::nobody, .error = ENOTSUP};
    }
    const bool ipv6 = (mbuf.ol_flags & RTE_MBUF_F_TX_IPV6) != 0;
    const std::uint32_t l2_bytes = mbuf.l2_len;
    const std::uint32_t l3_bytes = mbuf.l3_len;
    const std::uint32_t l4_least = l4 == RTE_MBUF_F_TX_TCP_CKSUM   ? kTcpMin
                                   : l4 == RTE_MBUF_F_TX_UDP_CKSUM ? kUdp
                                                                   : 0;
    const bool headers_fit =
        l2_bytes >= kEtherHeader && l2_bytes + l3_bytes + l4_least <= mbuf.pkt_len &&
        l3_bytes % 4 == 0 &&
        (ipv6 ? l3_bytes == kIpv6 : l3_bytes >= kIpv4Min && l3_bytes <= kIpv4Max);
    if (!headers_fit || rte_validate_tx_offload(&mbuf) != 0) [[unlikely]] {
        return {.by = SumsBy::nobody, .error = EINVAL};
    }
    if (ipv6 || mbuf.pkt_len > limit || l2_bytes > neta::kTxL3Offset.max()) [[unlikely]] {
        return {.by = SumsBy::software};
    }
    std::uint32_t command = neta::kTxL3Offset.of(l2_bytes) | neta::kTxIpHlen.of(l3_bytes / 4) |
                            neta::kTxL4Csum.of(l4 != 0 ? neta::kTxL4CsumFull : neta::kTxL4CsumNone);
    command |= l4 == RTE_MBUF_F_TX_UDP_CKSUM ? neta::kTxL4Udp : 0;
    command |= (mbuf.ol_flags & RTE_MBUF_F_TX_IP_CKSUM) != 0 ? neta::kTxIpCsum : 0;
    return {.by = SumsBy::chip, .command = command};
}

/// Writes the sums that `mbuf` asks for into its headers and takes the requests off it. Chains are
/// fine as long as all headers lie in the first segment. 0, or an error with nothing changed:
/// EINVAL headers do not say what the mbuf says, ENOTSUP the data are shared with somebody.
/// Caller: plan_sums() said `software`.
[[nodiscard]] int sums_in_software(rte_mbuf& mbuf);

}  // namespace crema::neta_pmd
