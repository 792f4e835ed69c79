// SPDX-License-Identifier: BSD-3-Clause
//
// The fixed set, part by part, and the generator. A change of any packet here changes recorded
// results: renew them with conformance_test --record.
#include "tests/support/packets.h"

#include <array>
#include <cstring>
#include <string>
#include <utility>

#include "tests/support/frame_builder.h"

namespace crema::test {
namespace {

Bytes first(Bytes bytes, std::size_t n) {
    bytes.resize(n);
    return bytes;
}

Bytes with_byte(Bytes bytes, std::size_t at, std::uint8_t value) {
    bytes.at(at) = value;
    return bytes;
}

void add_plain(std::vector<Packet>& set) {
    const Bytes data = filler(26);
    set.push_back({"tcp to port 22", ethernet(kIpv4, ipv4(kTcp, tcp(40000, 22, data)))});
    set.push_back({"tcp from port 22", ethernet(kIpv4, ipv4(kTcp, tcp(22, 40000, data)))});
    set.push_back({"tcp from and to port 22", ethernet(kIpv4, ipv4(kTcp, tcp(22, 22)))});
    set.push_back({"tcp to port 80", ethernet(kIpv4, ipv4(kTcp, tcp(40000, 80, data)))});
    set.push_back({"tcp to port 5632, 22 swapped", ethernet(kIpv4, ipv4(kTcp, tcp(1, 5632)))});
    set.push_back({"udp to port 22", ethernet(kIpv4, ipv4(kUdp, udp(40000, 22, data)))});
    set.push_back({"udp to port 53", ethernet(kIpv4, ipv4(kUdp, udp(40000, 53, data)))});
    set.push_back({"udp from port 53, empty", ethernet(kIpv4, ipv4(kUdp, udp(53, 40000)))});
    set.push_back({"icmp echo request", ethernet(kIpv4, ipv4(kIcmp, icmp(8)))});
    set.push_back({"icmp echo reply", ethernet(kIpv4, ipv4(kIcmp, icmp(0)))});
    set.push_back({"icmp unreachable", ethernet(kIpv4, ipv4(kIcmp, icmp(3, 4)))});
    set.push_back({"icmpv6 inside ipv4", ethernet(kIpv4, ipv4(kIcmp6, icmp(128)))});
    set.push_back({"sctp", ethernet(kIpv4, ipv4(kSctp, tcp(2905, 2905)))});
    set.push_back({"gre", ethernet(kIpv4, ipv4(47, filler(24)))});
    set.push_back({"igmp", ethernet(kIpv4, ipv4(2, filler(8)))});
    set.push_back({"arp request", ethernet(kArp, arp_request())});
    set.push_back({"arp request, padded", first(ethernet(kArp, arp_request()), 60)});
    set.push_back({"lldp", ethernet(0x88cc, filler(46))});
    set.push_back({"802.3 length frame", ethernet(0x0026, filler(46))});
    set.push_back({"ipv4 without payload", ethernet(kIpv4, ipv4(kTcp, {}))});
    set.push_back({"all zeros", Bytes(64)});
    set.push_back({"all ones", Bytes(64, 0xff)});
}

void add_ipv4_shapes(std::vector<Packet>& set) {
    const Bytes ssh = tcp(40000, 22, filler(8));
    const auto frame = [&](const Ipv4Shape& shape) {
        return ethernet(kIpv4, ipv4(kTcp, ssh, shape));
    };
    set.push_back({"ipv4 4 bytes of options", frame({.options = Bytes(4, 1)})});
    set.push_back({"ipv4 40 bytes of options", frame({.options = Bytes(40, 1)})});
    set.push_back(
        {"ipv4 options, echo", ethernet(kIpv4, ipv4(kIcmp, icmp(8), {.options = Bytes(12, 1)}))});
    set.push_back({"ipv4 first fragment", frame({.fragment = 0x2000})});
    set.push_back({"ipv4 middle fragment", frame({.fragment = 0x2000 | 185})});
    set.push_back({"ipv4 last fragment", frame({.fragment = 370})});
    set.push_back({"ipv4 fragment at the end of the range", frame({.fragment = 0x1fff})});
    set.push_back(
        {"ipv4 echo, later fragment", ethernet(kIpv4, ipv4(kIcmp, icmp(8), {.fragment = 2}))});
    set.push_back({"ipv4 reserved flag", frame({.fragment = 0x8000})});
    set.push_back(
        {"ipv4 addresses swapped", frame({.source = 0xc6336402, .destination = 0xc0000201})});
    const Bytes good = frame({});
    set.push_back({"ipv4 header length 0", with_byte(good, 14, 0x40)});
    set.push_back({"ipv4 header length 4 words", with_byte(good, 14, 0x44)});
    set.push_back({"ipv4 header longer than the frame", first(with_byte(good, 14, 0x4f), 70)});
    set.push_back({"ipv4 with version 6", with_byte(good, 14, 0x65)});
    set.push_back({"ipv4 total length too long", with_byte(good, 16, 0xff)});
    set.push_back({"ipv4 bad checksum", with_byte(good, 24, good[24] ^ 0x5a)});
    set.push_back({"tcp bad checksum", with_byte(good, 50, good[50] ^ 0x5a)});
    set.push_back({"tcp data offset 15 beyond the frame", with_byte(good, 46, 0xf0)});
}

void add_ipv6_shapes(std::vector<Packet>& set) {
    const Bytes ssh = tcp(40000, 22, filler(8));
    set.push_back({"ipv6 tcp to port 22", ethernet(kIpv6, ipv6(kTcp, ssh))});
    set.push_back({"ipv6 tcp from port 22", ethernet(kIpv6, ipv6(kTcp, tcp(22, 40000), true))});
    set.push_back({"ipv6 udp to port 53", ethernet(kIpv6, ipv6(kUdp, udp(40000, 53)))});
    set.push_back({"ipv6 echo request", ethernet(kIpv6, ipv6(kIcmp6, icmp(128)))});
    set.push_back({"ipv6 echo reply", ethernet(kIpv6, ipv6(kIcmp6, icmp(129)))});
    set.push_back({"ipv6 neighbour solicitation", ethernet(kIpv6, ipv6(kIcmp6, icmp(135)))});
    set.push_back({"icmp inside ipv6", ethernet(kIpv6, ipv6(kIcmp, icmp(8)))});
    set.push_back({"ipv6 no next header", ethernet(kIpv6, ipv6(59, {}))});
    set.push_back({"ipv6 authentication header", ethernet(kIpv6, ipv6(51, filler(24)))});
    set.push_back({"ipv6 hop-by-hop, tcp", ethernet(kIpv6, ipv6(0, ipv6_extension(kTcp, 0, ssh)))});
    set.push_back(
        {"ipv6 long routing header, tcp", ethernet(kIpv6, ipv6(43, ipv6_extension(kTcp, 4, ssh)))});
    const Bytes four = ipv6_extension(
        43, 1, ipv6_extension(60, 0, ipv6_extension(60, 2, ipv6_extension(kTcp, 0, ssh))));
    set.push_back({"ipv6 four extension headers", ethernet(kIpv6, ipv6(0, four))});
    set.push_back(
        {"ipv6 five extension headers", ethernet(kIpv6, ipv6(60, ipv6_extension(0, 0, four)))});
    set.push_back({"ipv6 extension header longer than the frame",
                   ethernet(kIpv6, ipv6(0, Bytes{kTcp, 0xff, 0, 0, 0, 0, 0, 0}))});
    set.push_back(
        {"ipv6 extension header cut after 3 bytes", ethernet(kIpv6, ipv6(60, Bytes{kTcp, 0, 0}))});
    set.push_back({"ipv6 extension header cut after 7 bytes",
                   ethernet(kIpv6, ipv6(60, Bytes{kTcp, 0, 0, 0, 0, 0, 0}))});
    set.push_back({"ipv6 first fragment", ethernet(kIpv6, ipv6(44, ipv6_fragment(kTcp, 1, ssh)))});
    set.push_back({"ipv6 middle fragment",
                   ethernet(kIpv6, ipv6(44, ipv6_fragment(kTcp, 185 << 3 | 1, ssh)))});
    set.push_back(
        {"ipv6 last fragment", ethernet(kIpv6, ipv6(44, ipv6_fragment(kTcp, 370 << 3, ssh)))});
    set.push_back({"ipv6 atomic fragment", ethernet(kIpv6, ipv6(44, ipv6_fragment(kTcp, 0, ssh)))});
    set.push_back({"ipv6 echo, later fragment",
                   ethernet(kIpv6, ipv6(44, ipv6_fragment(kIcmp6, 8, icmp(128))))});
    set.push_back({"ipv6 with version 4", with_byte(ethernet(kIpv6, ipv6(kTcp, ssh)), 14, 0x45)});
}

void add_tags(std::vector<Packet>& set) {
    const Bytes ssh = ipv4(kTcp, tcp(40000, 22, filler(8)));
    const Bytes tagged = ethernet(kVlan, vlan(100, kIpv4, ssh));
    set.push_back({"vlan, tcp to port 22", tagged});
    set.push_back({"vlan 0, arp", ethernet(kVlan, vlan(0xe000, kArp, arp_request()))});
    set.push_back({"service vlan, ipv6 echo",
                   ethernet(kServiceVlan, vlan(7, kIpv6, ipv6(kIcmp6, icmp(128))))});
    const Bytes twice = ethernet(kServiceVlan, vlan(7, kVlan, vlan(100, kIpv4, ssh)));
    set.push_back({"two tags, tcp to port 22", twice});
    set.push_back(
        {"two tags, udp",
         ethernet(kServiceVlan, vlan(7, kVlan, vlan(8, kIpv4, ipv4(kUdp, udp(53, 53)))))});
    set.push_back(
        {"three tags", ethernet(kVlan, vlan(1, kVlan, vlan(2, kVlan, vlan(3, kIpv4, ssh))))});
    set.push_back({"tag cut after 0 bytes", first(tagged, 14)});
    set.push_back({"tag cut after 3 bytes", first(tagged, 17)});
    set.push_back({"tag and nothing behind it", first(tagged, 18)});
    set.push_back({"second tag cut", first(twice, 21)});
    set.push_back({"two tags and nothing behind them", first(twice, 22)});
}

void add_cuts(std::vector<Packet>& set) {
    const Bytes ssh4 = ethernet(kIpv4, ipv4(kTcp, tcp(40000, 22, filler(8))));
    for (const std::size_t n :
         {13U, 14U, 15U, 16U, 20U, 33U, 34U, 35U, 36U, 37U, 38U, 47U, 53U, 54U, 55U}) {
        set.push_back({"ipv4 tcp cut to " + std::to_string(n), first(ssh4, n)});
    }
    const Bytes ssh6 = ethernet(kIpv6, ipv6(kTcp, tcp(40000, 22, filler(8))));
    for (const std::size_t n : {15U, 53U, 54U, 57U, 58U, 73U, 74U}) {
        set.push_back({"ipv6 tcp cut to " + std::to_string(n), first(ssh6, n)});
    }
    const Bytes echo = ethernet(kIpv4, ipv4(kIcmp, icmp(8)));
    set.push_back({"icmp without its type", first(echo, 34)});
    set.push_back({"icmp with nothing but its type", first(echo, 35)});
    const Bytes bare = ethernet(kIpv4, ipv4(kTcp, tcp(40000, 22)));
    for (const std::size_t n : {60U, 64U, 128U, 1514U, 3519U, 3520U}) {
        set.push_back(
            {"ipv4 tcp padded to " + std::to_string(n), joined(bare, filler(n - bare.size()))});
    }
}

void put_native(Bytes& bytes, const void* number, std::size_t size) {
    const auto* raw = static_cast<const std::uint8_t*>(number);
    bytes.insert(bytes.end(), raw, raw + size);
}

template <typename... Numbers>
Packet request(std::string name, Numbers... numbers) {
    Bytes payload;
    (put_native(payload, &numbers, sizeof(numbers)), ...);
    Bytes frame = ethernet(0x88b5, payload);
    if (frame.size() < 64) {
        frame.resize(64);
    }
    return {std::move(name), std::move(frame)};
}

void add_verdicts(std::vector<Packet>& set) {
    for (const std::uint32_t verdict : {0U, 1U, 2U, 3U, 4U, 5U, 6U, 255U, 256U, 0x7fffffffU,
                                        0x80000000U, 0xfffffffeU, 0xffffffffU}) {
        set.push_back(request("verdict " + std::to_string(verdict), verdict));
    }
}

void add_moves(std::vector<Packet>& set) {
    const auto move = [&](std::int32_t offset, std::int32_t second) {
        set.push_back(request("move " + std::to_string(offset) + " then " + std::to_string(second),
                              offset, second));
    };
    for (const int offset : {0,  1,  4,   14,   49,   50,   51,   64,   65,   1000,
                             -1, -4, -20, -215, -216, -217, -255, -256, -257, -4096}) {
        move(offset, 0);
    }
    move(INT32_MAX, 0);
    move(INT32_MIN, 0);
    move(50, -50);
    move(50, -266);
    move(50, -267);
    move(-216, -1);
    move(-216, 266);
    move(-216, 267);
    move(-217, 50);
    move(51, 50);
    Packet longest = request("longest frame, move -216", std::int32_t{-216}, std::int32_t{0});
    longest.bytes.resize(kLinearMax);
    set.push_back(std::move(longest));
    Packet shortest = request("22 bytes, move 8", std::int32_t{8}, std::int32_t{1});
    shortest.bytes.resize(22);
    set.push_back(std::move(shortest));
}

void add_redirects(std::vector<Packet>& set) {
    const auto ask = [&](std::uint16_t operation, std::uint64_t target, std::uint64_t flags) {
        set.push_back(request("redirect " + std::to_string(operation) + " to " +
                                  std::to_string(target) + " flags " + std::to_string(flags),
                              operation, target, flags));
    };
    for (const std::uint64_t flags : {0ULL, 1ULL, 2ULL, 4ULL, 8ULL, 1ULL << 32, ~0ULL}) {
        ask(0, 1, flags);
    }
    ask(0, 0, 0);
    ask(0, 999, 0);
    for (const std::uint16_t operation : {std::uint16_t{1}, std::uint16_t{2}}) {
        for (const std::uint64_t flags : {0ULL, 1ULL, 2ULL, 3ULL, 4ULL, 8ULL, 0x10ULL, 0x18ULL,
                                          0x20ULL, 0x100ULL, 1ULL << 32, ~0ULL}) {
            ask(operation, 0, flags);  // slot is filled
            ask(operation, 3, flags);  // slot is empty
        }
        ask(operation, 7, 0);
        ask(operation, 8, 2);  // beyond the map
        ask(operation, 0xffffffff, 3);
        ask(operation, 1ULL << 32, 2);  // truncated to 32 bits: key 0
        ask(operation, (1ULL << 32) + 3, 2);
    }
    for (const std::uint64_t flags : {0ULL, 2ULL}) {
        ask(3, 0, flags);
        ask(3, 3, flags);
        ask(3, 3 << 8, flags);
        ask(3, 0x303, flags);
    }
}

void add_operands(std::vector<Packet>& set) {
    constexpr std::uint64_t kValues[] = {0,
                                         7,
                                         0x80,
                                         0x7fffffff,
                                         0x80000000,
                                         0xffffffff,
                                         0x123456789abcdef0,
                                         0x8000000000000000,
                                         0xfffffffffffffffb};
    for (const std::uint64_t a : kValues) {
        for (const std::uint64_t b : kValues) {
            set.push_back(request("operands " + std::to_string(a) + " " + std::to_string(b),
                                  std::uint16_t{0}, a, b));
        }
    }
}

// head, metadata and tail by so much, then so many bytes at an offset
void add_adjustments(std::vector<Packet>& set) {
    const auto ask = [&](std::int32_t head, std::int32_t meta, std::int32_t tail,
                         std::uint32_t offset, std::uint32_t bytes) {
        set.push_back(request("adjust " + std::to_string(head) + " " + std::to_string(meta) + " " +
                                  std::to_string(tail) + " copy " + std::to_string(bytes) + " at " +
                                  std::to_string(offset),
                              head, meta, tail, offset, bytes));
    };
    for (const int head : {0, 14, 51, -20, -217}) {
        for (const int meta : {0, -4, -3, -216}) {
            for (const int tail : {0, -1, -51, 64, 3457}) {
                ask(head, meta, tail, 4, 20);
            }
        }
    }
    for (const std::uint32_t offset : {0U, 1U, 13U, 48U, 63U, 64U, 65U, 0xffffU, 0x10000U, ~0U}) {
        for (const std::uint32_t bytes : {0U, 3U, 62U, 63U}) {
            ask(0, 0, 0, offset, bytes);
        }
    }
}

void add_texts(std::vector<Packet>& set) {
    for (const char* text :
         {"", "0", "42", "-42", " 0x1f", "0777", "ff", "12abc", "99999999999999", "-1", "- 1",
          "steady", "steadx", "steadz", "stead", "steadyy", "%d %s", "nul\0inside", "\xff\x80 x"}) {
        std::array<char, 16> bytes{};
        std::memcpy(bytes.data(), text, std::strlen(text));
        set.push_back(request(std::string("text ") + std::to_string(set.size()), bytes));
    }
}

}  // namespace

std::vector<Packet> fixed_packets() {
    std::vector<Packet> set;
    add_plain(set);
    add_ipv4_shapes(set);
    add_ipv6_shapes(set);
    add_tags(set);
    add_cuts(set);
    return set;
}

std::vector<Packet> oversized_packets() {
    const Bytes ssh = ethernet(kIpv4, ipv4(kTcp, tcp(40000, 22)));
    std::vector<Packet> set;
    for (const std::size_t n : {kLinearMax + 1, std::size_t{9000}, std::size_t{73152},
                                std::size_t{73153}, std::size_t{200000}}) {
        set.push_back({"ipv4 tcp of " + std::to_string(n), joined(ssh, filler(n - ssh.size()))});
    }
    return set;
}

std::vector<Packet> request_packets(const std::string& object) {
    std::vector<Packet> set;
    if (object == "oracle_verdict") {
        add_verdicts(set);
    } else if (object == "oracle_adjust_head") {
        add_moves(set);
    } else if (object == "oracle_redirect") {
        add_redirects(set);
    } else if (object == "oracle_arithmetic") {
        add_operands(set);
    } else if (object == "oracle_packet") {
        add_adjustments(set);
    } else if (object == "oracle_text") {
        add_texts(set);
    }
    return set;
}

PacketGenerator::PacketGenerator(std::uint64_t seed) : random_(seed), templates_(fixed_packets()) {
    for (const char* object : {"oracle_verdict", "oracle_adjust_head", "oracle_redirect"}) {
        for (Packet& packet : request_packets(object)) {
            templates_.push_back(std::move(packet));
        }
    }
}

std::uint32_t PacketGenerator::below(std::uint32_t bound) {
    return static_cast<std::uint32_t>(random_() % bound);
}

std::uint64_t PacketGenerator::interesting_number() {
    constexpr std::uint64_t kEdges[] = {0, 1, 4, 5, 6, 14, 17, 22, 44, 58, 60, 0x7f, 0x80, 0xff};
    switch (below(4)) {
        case 0:
            return kEdges[below(sizeof(kEdges) / sizeof(kEdges[0]))];
        case 1:  // small, either sign
            return static_cast<std::uint64_t>(static_cast<std::int64_t>(below(600)) - 300);
        case 2:
            return 1ULL << below(64);
        default:
            return random_();
    }
}

void PacketGenerator::mutate(Bytes& packet) {
    const auto size = static_cast<std::uint32_t>(packet.size());
    switch (below(5)) {
        case 0:  // one byte
            packet[below(size)] = static_cast<std::uint8_t>(interesting_number());
            break;
        case 1: {  // a number of any width, mostly in the headers
            const std::uint64_t number = interesting_number();
            const std::uint32_t width = 1U << below(4);
            const std::uint32_t at = below(size < 80 ? size : 80);
            std::memcpy(packet.data() + at, &number, std::min(width, size - at));
            break;
        }
        case 2:  // shorter
            packet.resize(14 + below(size - 13));
            break;
        case 3:  // longer
            packet.resize(std::min<std::size_t>(size + below(64), kLinearMax));
            break;
        default:  // network protocol against network header
            packet[12] = static_cast<std::uint8_t>(below(2) == 0 ? 0x08 : 0x86);
            packet[13] = static_cast<std::uint8_t>(below(2) == 0 ? 0x00 : 0xdd);
            break;
    }
}

Bytes PacketGenerator::next() {
    Bytes packet;
    if (below(8) == 0) {  // noise
        packet.resize(14 + below(120));
        for (std::uint8_t& byte : packet) {
            byte = static_cast<std::uint8_t>(random_());
        }
    } else {
        packet = templates_[below(static_cast<std::uint32_t>(templates_.size()))].bytes;
        if (packet.size() > 200 && below(8) != 0) {
            packet.resize(200);  // long frames are slow and teach little
        }
        packet.resize(std::max<std::size_t>(packet.size(), 14));
    }
    for (std::uint32_t changes = below(5); changes > 0; --changes) {
        mutate(packet);
    }
    return packet;
}

std::uint64_t digest(const Bytes& bytes) {
    std::uint64_t hash = 0xcbf29ce484222325;
    for (const std::uint8_t byte : bytes) {
        hash = (hash ^ byte) * 0x100000001b3;
    }
    return hash;
}

}  // namespace crema::test
