// SPDX-License-Identifier: BSD-3-Clause
#include "benchmarks/programs/cases.h"

#include <initializer_list>

#include "tests/support/frame_builder.h"

namespace crema::bench {
namespace {

using app::Bytes;
using test::ethernet;
using test::filler;
using test::ipv4;
using test::joined;
using test::kIpv4;
using test::kTcp;
using test::kUdp;
using test::tcp;
using test::udp;

constexpr std::uint32_t kPass = 2;

/// Numbers in host order, as map keys and values of these programs hold them.
Bytes words(std::initializer_list<std::uint32_t> numbers) {
    Bytes bytes;
    for (const std::uint32_t number : numbers) {
        for (int shift = 0; shift < 32; shift += 8) {
            bytes.push_back(static_cast<std::uint8_t>(number >> shift));
        }
    }
    return bytes;
}

Bytes ssh_packet() {
    return ethernet(kIpv4, ipv4(kTcp, tcp(40000, 22, filler(10))));
}

Bytes dns_packet() {
    return ethernet(kIpv4, ipv4(kUdp, udp(40000, 53, filler(22))));
}

/// A segment with the options of a connection in its middle: padding, padding, time stamp.
Bytes time_stamped_packet() {
    Bytes segment = tcp(40000, 443);
    segment[12] = 8 << 4;  // eight words of header
    segment = joined(std::move(segment), Bytes{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2});
    return ethernet(kIpv4, ipv4(kTcp, segment));
}

Case shipped(const std::string& name, const std::string& kind, Bytes packet) {
    return {.name = name,
            .kind = kind,
            .object = std::string(CREMA_BPF_DIR) + "/" + name + ".bpf.o",
            .program = name,
            .twin = std::string(CREMA_BENCH_BPF_DIR) + "/" + name + ".twin.so",
            .packet = std::move(packet),
            .fill = {}};
}

Case own(const std::string& name, const std::string& kind, Bytes packet) {
    Case one = shipped(name, kind, std::move(packet));
    one.object = std::string(CREMA_BENCH_BPF_DIR) + "/" + name + ".bpf.o";
    return one;
}

/// An object of Debian's xdp-tools: no twin, its source is not here.
Case of_xdp_tools(const std::string& object, const std::string& program, const std::string& kind) {
    return {.name = object,
            .kind = kind,
            .object = std::string(CREMA_XDP_TOOLS_DIR) + "/" + object + ".o",
            .program = program,
            .twin = {},
            .packet = ssh_packet(),
            .fill = {}};
}

Case balancer() {
    Case one = own("balancer", "hash lookup, ring, MAC rewrite", dns_packet());
    // 198.51.100.2 port 53, UDP: the packet's destination, in network order
    one.fill.push_back({.map = "services",
                        .key = {198, 51, 100, 2, 0, 53, kUdp, 0},
                        .value = words({7}),
                        .program = {}});
    for (std::uint32_t slot = 0; slot < 1024; ++slot) {
        one.fill.push_back(
            {.map = "ring", .key = words({slot}), .value = words({slot % 16}), .program = {}});
    }
    for (std::uint32_t server = 0; server < 16; ++server) {
        one.fill.push_back({.map = "servers",
                            .key = words({server}),
                            .value = words({0x02000000 + server, server}),
                            .program = {}});
    }
    return one;
}

Case firewall() {
    Case one = own("firewall", "LPM trie of 257 prefixes", dns_packet());
    one.fill.push_back({.map = "rules",
                        .key = joined(words({0}), Bytes{0, 0, 0, 0}),
                        .value = words({1}),
                        .program = {}});
    for (std::uint32_t third = 0; third < 256; ++third) {  // 192.0.third.0/24
        one.fill.push_back(
            {.map = "rules",
             .key = joined(words({24}), Bytes{192, 0, static_cast<std::uint8_t>(third), 0}),
             .value = words({kPass}),
             .program = {}});
    }
    return one;
}

Case tail_chain() {
    Case one = own("tail_chain", "four programs by tail calls", dns_packet());
    const char* const stages[] = {"stage_ethernet", "stage_ipv4", "stage_ports"};
    for (std::uint32_t i = 0; i < std::size(stages); ++i) {
        one.fill.push_back({.map = "stages", .key = words({i}), .value = {}, .program = stages[i]});
    }
    return one;
}

Case l2fwd() {
    Case one = shipped("l2fwd", "devmap redirect, per-CPU counters", dns_packet());
    one.fill.push_back({.map = "tx_port", .key = words({1}), .value = words({1}), .program = {}});
    return one;
}

Case cpumap_5tuple() {
    Case one = shipped("cpumap_5tuple", "5-tuple hash, cpumap redirect", dns_packet());
    one.fill.push_back(
        {.map = "cpu_map", .key = words({0}), .value = words({192, 0}), .program = {}});
    one.fill.push_back(
        {.map = "cpus_count", .key = words({0}), .value = words({1}), .program = {}});
    return one;
}

}  // namespace

std::vector<Case> all_cases() {
    return {
        shipped("drop", "the smallest that reads a packet", ssh_packet()),
        shipped("ssh_mirror", "parsing, addresses and ports swapped", ssh_packet()),
        shipped("proto_counters", "parsing, per-CPU counters, global data", dns_packet()),
        l2fwd(),
        cpumap_5tuple(),
        balancer(),
        firewall(),
        own("nat", "addresses, ports, incremental checksums", ssh_packet()),
        own("vlan_push_pop", "two adjust_head, header moves", dns_packet()),
        own("tcp_options", "a loop over bytes of the packet", time_stamped_packet()),
        own("token_bucket", "time and state per frame", dns_packet()),
        own("subprograms", "five calls of functions", dns_packet()),
        tail_chain(),
        own("atomics", "five atomic operations", dns_packet()),
        own("unrolled", "2.5 KiB of straight code", dns_packet()),
        own("sampler", "ring buffer, one frame of 64", dns_packet()),
        own("conntrack", "LRU hash, known flow", dns_packet()),
        of_xdp_tools("xdpfilt_alw_all", "xdpfilt_alw_all", "xdp-filter, every check, passes"),
        of_xdp_tools("xdpfilt_dny_all", "xdpfilt_dny_all", "xdp-filter, every check, drops"),
    };
}

}  // namespace crema::bench
