// SPDX-License-Identifier: BSD-3-Clause
//
// The header parser of the receive path. Runs once per frame, reads each byte at most twice.
#include "drivers/model/neta/parse.h"

#include <cstring>

#include "drivers/model/neta/checksum.h"

namespace crema::neta::model {
namespace {

constexpr std::uint32_t kEtherHeader = 14;
constexpr std::uint32_t kVlanTag = 4;
constexpr std::uint16_t kTypeMin = 0x600;  // below: a length, not a type
constexpr std::uint16_t kTypeIpv4 = 0x0800;
constexpr std::uint16_t kTypeIpv6 = 0x86dd;
constexpr std::uint8_t kProtoTcp = 6;
constexpr std::uint8_t kProtoUdp = 17;
constexpr std::uint32_t kIpv4HeaderMin = 20;
constexpr std::uint32_t kIpv6Header = 40;
constexpr std::uint32_t kTcpHeaderMin = 20;
constexpr std::uint32_t kUdpHeader = 8;

std::uint32_t l4_type(std::uint8_t protocol) {
    return protocol == kProtoTcp ? kRxL4Tcp : protocol == kProtoUdp ? kRxL4Udp : kRxL4Other;
}

// `pseudo` is the sum of the pseudo header without the length.
bool l4_sum_ok(const std::uint8_t* l4,
               std::uint32_t bytes,
               std::uint8_t protocol,
               std::uint64_t pseudo,
               bool zero_means_none) {
    if (bytes < (protocol == kProtoTcp ? kTcpHeaderMin : kUdpHeader)) {
        return false;
    }
    if (protocol == kProtoUdp && load_be16(l4 + 6) == 0) {
        return zero_means_none;
    }
    const auto sum = sum_number(static_cast<std::uint16_t>(bytes), pseudo);
    return fold_sum(sum_bytes(l4, bytes, sum)) == 0xffff;
}

void parse_ipv4(const std::uint8_t* ip, std::uint32_t bytes, FrameFacts& facts) {
    if (bytes < kIpv4HeaderMin) {
        facts.status |= kRxL3Type.of(kRxL3Ipv4Bad) | kRxL4Type.of(kRxL4Other);
        return;
    }
    const std::uint32_t header = (ip[0] & 0xfU) * 4;
    const std::uint32_t total = load_be16(ip + 2);
    const std::uint8_t protocol = ip[9];
    facts.dscp = static_cast<std::uint8_t>(ip[1] >> 2U);
    const bool shape_ok =
        (ip[0] >> 4U) == 4 && header >= kIpv4HeaderMin && header <= total && total <= bytes;
    const bool good = shape_ok && fold_sum(sum_bytes(ip, header)) == 0xffff;
    facts.status |= kRxL3Type.of(good ? kRxL3Ipv4Good : kRxL3Ipv4Bad);
    facts.status |= kRxL4Type.of(l4_type(protocol));
    const bool fragment = (load_be16(ip + 6) & 0x3fffU) != 0;
    if (fragment) {
        facts.status |= kRxIpv4Frag;
        return;
    }
    if (!shape_ok || l4_type(protocol) == kRxL4Other) {
        return;
    }
    const auto pseudo = sum_number(protocol, sum_bytes(ip + 12, 8));
    if (l4_sum_ok(ip + header, total - header, protocol, pseudo, true)) {
        facts.status |= kRxL4CsumOk;
    }
}

void parse_ipv6(const std::uint8_t* ip, std::uint32_t bytes, FrameFacts& facts) {
    facts.status |= kRxL3Type.of(kRxL3Ipv6);
    if (bytes < kIpv6Header) {
        facts.status |= kRxL4Type.of(kRxL4Other);
        return;
    }
    const std::uint8_t protocol = ip[6];
    facts.dscp = static_cast<std::uint8_t>(((ip[0] & 0xfU) << 2U) | (ip[1] >> 6U));
    facts.status |= kRxL4Type.of(l4_type(protocol));
    const std::uint32_t payload = load_be16(ip + 4);
    if (l4_type(protocol) == kRxL4Other || payload > bytes - kIpv6Header) {
        return;
    }
    const auto pseudo = sum_number(protocol, sum_bytes(ip + 8, 32));
    if (l4_sum_ok(ip + kIpv6Header, payload, protocol, pseudo, false)) {
        facts.status |= kRxL4CsumOk;
    }
}

}  // namespace

FrameFacts parse_frame(const std::uint8_t* data, std::uint32_t bytes, std::uint16_t vlan_type) {
    FrameFacts facts;
    facts.vlan_type = vlan_type;
    facts.fcs = fcs_of(data, bytes);
    if (bytes < kEtherHeader) {
        facts.status = kRxL4Type.of(kRxL4Other);
        return facts;
    }
    static constexpr std::uint8_t kBpdu[6] = {0x01, 0x80, 0xc2, 0, 0, 0};
    if (std::memcmp(data, kBpdu, sizeof(kBpdu)) == 0) {
        facts.status |= kRxBpdu;
    }
    std::uint32_t l3 = kEtherHeader;
    facts.ethertype = load_be16(data + 12);
    if (facts.ethertype == vlan_type && bytes >= kEtherHeader + kVlanTag) {
        facts.status |= kRxVlan;
        facts.vlan_priority = static_cast<std::uint8_t>(data[14] >> 5U);
        facts.ethertype = load_be16(data + 16);
        l3 += kVlanTag;
    }
    if (facts.ethertype >= kTypeMin) {
        facts.status |= kRxEthernet2;
    }
    if (facts.ethertype == kTypeIpv4) {
        parse_ipv4(data + l3, bytes - l3, facts);
    } else if (facts.ethertype == kTypeIpv6) {
        parse_ipv6(data + l3, bytes - l3, facts);
    } else {
        facts.status |= kRxL4Type.of(kRxL4Other);
    }
    return facts;
}

}  // namespace crema::neta::model
