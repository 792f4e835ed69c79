// SPDX-License-Identifier: BSD-3-Clause
//
// Builds frames header by header, innermost first: ethernet(kIpv4, ipv4(6, tcp(1024, 22))). Lengths
// and checksums are right unless a test changes them afterwards. Numbers in host order.
#pragma once

#include <cstdint>
#include <span>

#include "tests/support/packets.h"

namespace crema::test {

inline constexpr std::uint16_t kIpv4 = 0x0800, kArp = 0x0806, kIpv6 = 0x86dd, kVlan = 0x8100,
                               kServiceVlan = 0x88a8;
inline constexpr std::uint8_t kIcmp = 1, kTcp = 6, kUdp = 17, kIcmp6 = 58, kSctp = 132;

void put16(Bytes& bytes, std::uint32_t value);
void put32(Bytes& bytes, std::uint32_t value);
[[nodiscard]] Bytes joined(Bytes head, std::span<const std::uint8_t> tail);
[[nodiscard]] Bytes filler(std::size_t bytes);

[[nodiscard]] Bytes ethernet(std::uint16_t type, const Bytes& payload);
/// The tag and what follows it; goes behind an Ethernet header of type kVlan or kServiceVlan.
[[nodiscard]] Bytes vlan(std::uint16_t id, std::uint16_t type, const Bytes& payload);
[[nodiscard]] Bytes arp_request();

struct Ipv4Shape {
    Bytes options{};                    // multiple of 4, at most 40
    std::uint16_t fragment = 0x4000;    // flags and offset: do not fragment
    std::uint32_t source = 0xc0000201;  // 192.0.2.1
    std::uint32_t destination = 0xc6336402;
};

[[nodiscard]] Bytes ipv4(std::uint8_t protocol, const Bytes& payload, const Ipv4Shape& shape = {});
[[nodiscard]] Bytes ipv6(std::uint8_t next_header, const Bytes& payload, bool reversed = false);
/// Hop-by-hop, routing or destination options header of (units + 1) * 8 bytes.
[[nodiscard]] Bytes ipv6_extension(std::uint8_t next_header,
                                   std::uint8_t units,
                                   const Bytes& payload);
[[nodiscard]] Bytes ipv6_fragment(std::uint8_t next_header,
                                  std::uint16_t offset_and_flag,
                                  const Bytes& payload);

[[nodiscard]] Bytes tcp(std::uint16_t source, std::uint16_t destination, const Bytes& payload = {});
[[nodiscard]] Bytes udp(std::uint16_t source, std::uint16_t destination, const Bytes& payload = {});
/// ICMP or ICMPv6 message of this type and code with eight bytes of payload.
[[nodiscard]] Bytes icmp(std::uint8_t type, std::uint8_t code = 0);

}  // namespace crema::test
