// SPDX-License-Identifier: BSD-3-Clause
//
// Headers as their standards lay them out: RFC 791, 8200, 9293, 768, 792, 826; IEEE 802.1Q.
#include "tests/support/frame_builder.h"

namespace crema::test {
namespace {

std::uint32_t sum16(std::span<const std::uint8_t> bytes, std::uint32_t sum) {
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        sum += i % 2 == 0 ? static_cast<std::uint32_t>(bytes[i]) << 8 : bytes[i];
    }
    return sum;
}

std::uint16_t folded(std::uint32_t sum) {
    while (sum > 0xffff) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return static_cast<std::uint16_t>(~sum);
}

void set16(Bytes& bytes, std::size_t at, std::uint32_t value) {
    bytes[at] = static_cast<std::uint8_t>(value >> 8);
    bytes[at + 1] = static_cast<std::uint8_t>(value);
}

}  // namespace

void put16(Bytes& bytes, std::uint32_t value) {
    bytes.push_back(static_cast<std::uint8_t>(value >> 8));
    bytes.push_back(static_cast<std::uint8_t>(value));
}

void put32(Bytes& bytes, std::uint32_t value) {
    put16(bytes, value >> 16);
    put16(bytes, value);
}

Bytes joined(Bytes head, std::span<const std::uint8_t> tail) {
    head.insert(head.end(), tail.begin(), tail.end());
    return head;
}

Bytes filler(std::size_t bytes) {
    Bytes result(bytes);
    for (std::size_t i = 0; i < bytes; ++i) {
        result[i] = static_cast<std::uint8_t>(i * 7 + 1);
    }
    return result;
}

Bytes ethernet(std::uint16_t type, const Bytes& payload) {
    Bytes frame = {0x02, 0, 0, 0, 0, 0x0b, 0x02, 0, 0, 0, 0, 0x0a};
    put16(frame, type);
    return joined(std::move(frame), payload);
}

Bytes vlan(std::uint16_t id, std::uint16_t type, const Bytes& payload) {
    Bytes tag;
    put16(tag, id);
    put16(tag, type);
    return joined(std::move(tag), payload);
}

Bytes arp_request() {
    return {0,   1, 8, 0, 6, 4, 0, 1, 0x02, 0, 0,   0, 0, 0x0a,
            192, 0, 2, 1, 0, 0, 0, 0, 0,    0, 192, 0, 2, 2};
}

Bytes ipv4(std::uint8_t protocol, const Bytes& payload, const Ipv4Shape& shape) {
    const std::size_t header_bytes = 20 + shape.options.size();
    Bytes header = {static_cast<std::uint8_t>(0x40 | header_bytes / 4), 0};
    put16(header, static_cast<std::uint32_t>(header_bytes + payload.size()));
    put16(header, 0x1234);
    put16(header, shape.fragment);
    header.push_back(64);
    header.push_back(protocol);
    put16(header, 0);
    put32(header, shape.source);
    put32(header, shape.destination);
    header = joined(std::move(header), shape.options);
    set16(header, 10, folded(sum16(header, 0)));
    return joined(std::move(header), payload);
}

Bytes ipv6(std::uint8_t next_header, const Bytes& payload, bool reversed) {
    Bytes header = {0x60, 0, 0, 0};
    put16(header, static_cast<std::uint32_t>(payload.size()));
    header.push_back(next_header);
    header.push_back(64);
    for (int address = 0; address < 2; ++address) {
        put32(header, 0x20010db8);
        put32(header, 0);
        put32(header, 0);
        put32(header, (address == 0) != reversed ? 0xa : 0xb);
    }
    return joined(std::move(header), payload);
}

Bytes ipv6_extension(std::uint8_t next_header, std::uint8_t units, const Bytes& payload) {
    Bytes header((units + 1U) * 8U);
    header[0] = next_header;
    header[1] = units;
    return joined(std::move(header), payload);
}

Bytes ipv6_fragment(std::uint8_t next_header, std::uint16_t offset_and_flag, const Bytes& payload) {
    Bytes header = {next_header, 0};
    put16(header, offset_and_flag);
    put32(header, 0xfeedbeef);
    return joined(std::move(header), payload);
}

Bytes tcp(std::uint16_t source, std::uint16_t destination, const Bytes& payload) {
    Bytes header;
    put16(header, source);
    put16(header, destination);
    put32(header, 0x01020304);
    put32(header, 0x05060708);
    put16(header, 0x5018);  // 20 bytes of header, PSH and ACK
    put16(header, 0x2000);
    put32(header, 0);
    // Without the pseudo header: no program here checks it.
    header = joined(std::move(header), payload);
    set16(header, 16, folded(sum16(header, 0)));
    return header;
}

Bytes udp(std::uint16_t source, std::uint16_t destination, const Bytes& payload) {
    Bytes header;
    put16(header, source);
    put16(header, destination);
    put16(header, static_cast<std::uint32_t>(8 + payload.size()));
    put16(header, 0);
    return joined(std::move(header), payload);
}

Bytes icmp(std::uint8_t type, std::uint8_t code) {
    Bytes header = {type, code, 0, 0, 0, 7, 0, 1};
    header = joined(std::move(header), filler(8));
    set16(header, 2, folded(sum16(header, 0)));
    return header;
}

}  // namespace crema::test
