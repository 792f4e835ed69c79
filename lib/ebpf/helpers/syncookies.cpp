// SPDX-License-Identifier: BSD-3-Clause
//
// bpf_tcp_raw_gen_syncookie_ipv4 and _ipv6, bpf_tcp_raw_check_syncookie_ipv4 and _ipv6. A cookie is
// made as the kernel makes it: a keyed hash of the connection, the client's sequence number, the
// minute in the upper 8 bits, and in the lower 24 which of four segment sizes was agreed. The key
// is this process's own: cookies of the kernel, or of another process, are not valid here. Nor are
// those of more than a minute ago.
#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <endian.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "lib/base/check.h"
#include "lib/ebpf/helpers/natives.h"
#include "lib/ebpf/helpers/os_clock.h"
#include "lib/ebpf/helpers/siphash.h"

namespace crema::ebpf::helpers {

namespace {

constexpr std::uint32_t kTcpBytes = 20;
constexpr unsigned kCookieBits = 24;  // below the minute
constexpr std::uint32_t kCookieMask = (1U << kCookieBits) - 1;
constexpr std::uint32_t kMinutesMax = 2;  // a cookie of this or the last one is valid

// Segment sizes that a cookie can carry, ascending; and what a host that names none gets.
struct SegmentSizes {
    std::array<std::uint16_t, 4> table;
    std::uint16_t fallback;
};

constexpr SegmentSizes kIpv4Sizes{{536, 1300, 1440, 1460}, 536};
constexpr SegmentSizes kIpv6Sizes{{1220, 1420, 1440, 8940}, 1220};

/// Addresses and ports: what the hash is of.
struct Connection {
    std::array<std::uint64_t, 4> addresses{};
    std::uint32_t ports = 0;
};

template <typename Number>
Number number_at(std::uint64_t address, std::size_t offset) {
    Number number{};
    std::memcpy(&number, memory_at(address) + offset, sizeof number);
    return number;
}

std::array<SipKey, 2> random_keys() {
    std::array<SipKey, 2> keys{};
    // More than 256 bytes could be cut; these cannot. Waits for entropy only early in boot.
    CREMA_CHECK(getrandom(keys.data(), sizeof keys, 0) == sizeof keys);
    return keys;
}

const std::array<SipKey, 2> g_keys = random_keys();

std::uint32_t hash_of(const Connection& connection, std::uint32_t minute, std::size_t key) {
    const std::array<std::uint64_t, 5> words = {connection.addresses[0], connection.addresses[1],
                                                connection.addresses[2], connection.addresses[3],
                                                (std::uint64_t{minute} << 32) | connection.ports};
    return static_cast<std::uint32_t>(SipHash(g_keys[key]).of(words));
}

std::uint32_t minute_now() {
    return static_cast<std::uint32_t>(os_clock_ns(CLOCK_MONOTONIC_COARSE) / (60 * kNsPerSecond));
}

Connection connection_of(std::uint64_t ip, std::uint64_t tcp, bool is_v4) {
    constexpr std::size_t kIpv4Addresses = 12, kIpv6Addresses = 8;
    Connection connection;
    if (is_v4) {
        connection.addresses[0] = number_at<std::uint64_t>(ip, kIpv4Addresses);
    } else {
        std::memcpy(connection.addresses.data(), memory_at(ip) + kIpv6Addresses, 32);
    }
    connection.ports = number_at<std::uint32_t>(tcp, 0);
    return connection;
}

std::uint32_t sequence_of(std::uint64_t tcp) {
    return be32toh(number_at<std::uint32_t>(tcp, 4));
}

std::uint32_t header_bytes_of(std::uint64_t tcp) {
    return number_at<std::uint8_t>(tcp, 12) / 16 * 4U;
}

/// The segment size that the options of a header of `bytes` bytes name; 0: none.
std::uint16_t segment_size_in(std::uint64_t tcp, std::uint32_t bytes) {
    constexpr std::uint8_t kEnd = 0, kNothing = 1, kSegmentSize = 2, kSegmentSizeBytes = 4;
    std::uint16_t size = 0;
    for (std::uint32_t at = kTcpBytes; at < bytes;) {
        const auto kind = number_at<std::uint8_t>(tcp, at);
        if (kind == kNothing) {
            ++at;
            continue;
        }
        if (kind == kEnd || bytes - at < 2) {
            break;
        }
        const auto length = number_at<std::uint8_t>(tcp, at + 1);
        if (length < 2 || length > bytes - at) {
            break;
        }
        if (kind == kSegmentSize && length == kSegmentSizeBytes) {
            const std::uint16_t named = be16toh(number_at<std::uint16_t>(tcp, at + 2));
            size = named != 0 ? named : size;
        }
        at += length;
    }
    return size;
}

std::uint64_t make(
    std::uint64_t ip, std::uint64_t tcp, std::uint64_t r3, const SegmentSizes& sizes, bool is_v4) {
    const auto bytes = static_cast<std::uint32_t>(r3);
    if (bytes < kTcpBytes || bytes != header_bytes_of(tcp)) {
        return error_result(EINVAL);
    }
    const std::uint16_t named = segment_size_in(tcp, bytes);
    const std::uint16_t wanted = named != 0 ? named : sizes.fallback;
    std::size_t index = sizes.table.size() - 1;
    while (index != 0 && sizes.table[index] > wanted) {
        --index;
    }
    const Connection connection = connection_of(ip, tcp, is_v4);
    const std::uint32_t minute = minute_now();
    const std::uint32_t cookie =
        hash_of(connection, 0, 0) + sequence_of(tcp) + (minute << kCookieBits) +
        ((hash_of(connection, minute, 1) + static_cast<std::uint32_t>(index)) & kCookieMask);
    return cookie | (std::uint64_t{sizes.table[index]} << 32);
}

std::uint64_t check(std::uint64_t ip, std::uint64_t tcp, const SegmentSizes& sizes, bool is_v4) {
    // The client acknowledges the cookie and goes on behind its first sequence number.
    const Connection connection = connection_of(ip, tcp, is_v4);
    std::uint32_t cookie = be32toh(number_at<std::uint32_t>(tcp, 8)) - 1;
    cookie -= hash_of(connection, 0, 0) + sequence_of(tcp) - 1;
    const std::uint32_t minute = minute_now();
    const std::uint32_t age = (minute - (cookie >> kCookieBits)) & (UINT32_MAX >> kCookieBits);
    if (age >= kMinutesMax) {
        return error_result(EACCES);
    }
    const std::uint32_t index = (cookie - hash_of(connection, minute - age, 1)) & kCookieMask;
    return index < sizes.table.size() ? 0 : error_result(EACCES);
}

}  // namespace

// r1 IP header, r2 TCP header, r3 its size. Result: cookie, segment size in the upper half.
std::uint64_t tcp_raw_gen_syncookie_ipv4(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t r3, std::uint64_t, std::uint64_t) {
    return make(r1, r2, r3, kIpv4Sizes, true);
}

std::uint64_t tcp_raw_gen_syncookie_ipv6(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t r3, std::uint64_t, std::uint64_t) {
    return make(r1, r2, r3, kIpv6Sizes, false);
}

// r1 IP header, r2 TCP header. Result: 0 valid.
std::uint64_t tcp_raw_check_syncookie_ipv4(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t, std::uint64_t, std::uint64_t) {
    return check(r1, r2, kIpv4Sizes, true);
}

std::uint64_t tcp_raw_check_syncookie_ipv6(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t, std::uint64_t, std::uint64_t) {
    return check(r1, r2, kIpv6Sizes, false);
}

}  // namespace crema::ebpf::helpers
