// SPDX-License-Identifier: BSD-3-Clause
//
// The list itself. Set-ups use interfaces 1..3 and CPU 0, which every prepared machine has.
#include "tests/support/subjects.h"

namespace crema::test {
namespace {

// Map keys and values are in the machine's byte order, which is little endian on all we build for.
Bytes u32(std::initializer_list<std::uint32_t> numbers) {
    Bytes bytes;
    for (const std::uint32_t number : numbers) {
        for (int shift = 0; shift < 32; shift += 8) {
            bytes.push_back(static_cast<std::uint8_t>(number >> shift));
        }
    }
    return bytes;
}

// Interface 3 stays without a target.
const std::vector<MapUpdate> two_ports = {
    {"tx_port", u32({1}), u32({2})},
    {"tx_port", u32({2}), u32({1})},
};

// Only CPU 0, which every machine has; the last entry names a CPU that cpu_map does not hold.
const std::vector<MapUpdate> four_targets = {
    {"cpu_map", u32({0}), u32({192, 0})},   {"cpus_available", u32({0}), u32({0})},
    {"cpus_available", u32({1}), u32({0})}, {"cpus_available", u32({2}), u32({0})},
    {"cpus_available", u32({3}), u32({5})}, {"cpus_count", u32({0}), u32({4})},
};

const std::vector<MapUpdate> redirect_targets = {
    {"devices", u32({0}), u32({2, 0})},
    {"devices", u32({7}), u32({3, 0})},
    {"cpus", u32({0}), u32({64})},
};

// 192.0.2.0/24, in it the exception 192.0.2.9, and 198.51.100.0/22: prefix, address as in a packet.
const std::vector<MapUpdate> networks = {
    {"blocked", u32({24, 0x000200c0}), u32({1})},
    {"blocked", u32({32, 0x090200c0}), u32({0})},
    {"blocked", u32({22, 0x006433c6}), u32({1})},
};

}  // namespace

const std::vector<Subject>& subjects() {
    static const std::vector<Subject> all = {
        {"drop", "drop", true, {}},
        {"pass", "pass", true, {}},
        {"ssh_mirror", "ssh_mirror", true, {}},
        {"l2fwd", "l2fwd", true, two_ports},
        {"l2fwd_drop_icmp", "l2fwd_drop_icmp", true, two_ports},
        {"cpumap_5tuple", "cpumap_5tuple", true, four_targets},
        {"proto_counters", "proto_counters", true, {}},
        {"vlan_pop", "vlan_pop", true, {}},
        {"blocklist", "blocklist", true, networks},
        {"oracle_verdict", "oracle_verdict", false, {}},
        {"oracle_adjust_head", "oracle_adjust_head", false, {}},
        {"oracle_redirect", "oracle_redirect", false, redirect_targets},
        {"oracle_arithmetic", "oracle_arithmetic", false, {}},
        {"oracle_loop", "oracle_loop", false, {}},
        {"oracle_globals", "oracle_globals", false, {}},
        {"oracle_context", "oracle_context", false, {}},
        {"oracle_packet", "oracle_packet", false, {}},
        {"oracle_text", "oracle_text", false, {}},
        {"oracle_kfuncs", "oracle_kfuncs", false, {}},
    };
    return all;
}

std::string object_path(const Subject& subject, const std::string& isa_suffix) {
    const std::string folder = subject.is_shipped ? CREMA_BPF_DIR : CREMA_TEST_BPF_DIR;
    return folder + "/" + subject.object + isa_suffix + ".bpf.o";
}

Status set_up(Machine& machine, const Subject& subject) {
    for (const MapUpdate& update : subject.setup) {
        if (const Status status = machine.update(update); !status) {
            return forward_error(status);
        }
    }
    return {};
}

std::vector<Packet> packets_for(const Subject& subject) {
    std::vector<Packet> packets = fixed_packets();
    for (Packet& packet : request_packets(subject.object)) {
        packets.push_back(std::move(packet));
    }
    return packets;
}

}  // namespace crema::test
