// SPDX-License-Identifier: BSD-3-Clause
//
// Sockets and SYN cookies.
#include <array>

#include "lib/ebpf/helpers/prototypes/families.h"

namespace crema::ebpf::helpers::prototypes {

namespace {

constexpr std::uint16_t kIpv4Bytes = 20, kIpv6Bytes = 40, kTcpBytes = 20;

constexpr Prototype cast(std::uint32_t id, KernelObject to, ArgKind from = ArgKind::sock_common) {
    return {.id = id,
            .returns = {.kind = ReturnKind::kernel_object_or_null, .object = to},
            .args = {Arg{.kind = from}},
            .native = no_socket};
}

constexpr std::array kRows = {
    // sk_lookup_tcp(ctx, tuple, size, netns, flags), sk_lookup_udp
    Prototype{.id = 84,
              .returns = {.kind = ReturnKind::socket_or_null, .acquires = true},
              .args = {kCtx, kIn, kSizeOrZero, kAny, kAny},
              .packet_args = true,
              .native = no_socket},
    Prototype{.id = 85,
              .returns = {.kind = ReturnKind::socket_or_null, .acquires = true},
              .args = {kCtx, kIn, kSizeOrZero, kAny, kAny},
              .packet_args = true,
              .native = no_socket},
    // sk_release(sock)
    Prototype{.id = 86,
              .args = {Arg{.kind = ArgKind::sock_common, .releases = true}},
              .native = sk_release},
    // skc_lookup_tcp(ctx, tuple, size, netns, flags)
    Prototype{.id = 99,
              .returns = {.kind = ReturnKind::sock_common_or_null, .acquires = true},
              .args = {kCtx, kIn, kSizeOrZero, kAny, kAny},
              .packet_args = true,
              .native = no_socket},
    // tcp_check_syncookie(sock, ip, ip_size, tcp, tcp_size)
    Prototype{.id = 100,
              .args = {kSock, kIn, kSize, kIn, kSize},
              .packet_args = true,
              .gpl_only = true,
              .native = tcp_syncookie_of_socket},
    // tcp_gen_syncookie(sock, ip, ip_size, tcp, tcp_size)
    Prototype{.id = 110,
              .args = {kSock, kIn, kSize, kIn, kSize},
              .packet_args = true,
              .gpl_only = true,
              .native = tcp_syncookie_of_socket},
    // skc_to_..._sock(sock)
    cast(136, KernelObject::tcp6_sock),
    cast(137, KernelObject::tcp_sock),
    cast(138, KernelObject::tcp_timewait_sock),
    cast(139, KernelObject::tcp_request_sock),
    cast(140, KernelObject::udp6_sock),
    cast(178, KernelObject::unix_sock),
    cast(196, KernelObject::mptcp_sock, ArgKind::sock_known),
    // tcp_raw_gen_syncookie_ipv4(ip, tcp, tcp_size), _ipv6
    Prototype{.id = 204,
              .args = {fixed_in(kIpv4Bytes), kIn, kSizeOrZero},
              .packet_args = true,
              .gpl_only = true,
              .native = tcp_raw_gen_syncookie_ipv4},
    Prototype{.id = 205,
              .args = {fixed_in(kIpv6Bytes), kIn, kSizeOrZero},
              .packet_args = true,
              .gpl_only = true,
              .native = tcp_raw_gen_syncookie_ipv6},
    // tcp_raw_check_syncookie_ipv4(ip, tcp), _ipv6
    Prototype{.id = 206,
              .args = {fixed_in(kIpv4Bytes), fixed_in(kTcpBytes)},
              .packet_args = true,
              .gpl_only = true,
              .native = tcp_raw_check_syncookie_ipv4},
    Prototype{.id = 207,
              .args = {fixed_in(kIpv6Bytes), fixed_in(kTcpBytes)},
              .packet_args = true,
              .gpl_only = true,
              .native = tcp_raw_check_syncookie_ipv6},
};

}  // namespace

std::span<const Prototype> socket() {
    return kRows;
}

}  // namespace crema::ebpf::helpers::prototypes
