// SPDX-License-Identifier: BSD-3-Clause
//
// What the host knew about routing at one moment: links, rules, routes, neighbours. Immutable once
// built; lookups take no lock and allocate nothing.
//
// Not modelled: rules by user, tunnel id, interface group or what later kernels add (a lookup that
// meets one ends without a route), routes by source, path MTU exceptions.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <unordered_map>
#include <vector>

#include "lib/base/result.h"

namespace crema::fib {

/// IPv4 addresses: in the first four bytes, the rest zero. Network order.
using Address = std::array<std::uint8_t, 16>;
using Mac = std::array<std::uint8_t, 6>;

struct Link {
    std::uint32_t ifindex = 0;
    std::uint32_t mtu = 0;
    std::uint32_t mtu6 = 0;
    std::uint32_t header_bytes = 0;  // of layer 2
    bool is_up = false;
    bool forwards4 = false;
    bool forwards6 = false;
    bool has_ipv6 = false;
    Mac mac{};
    std::uint32_t master = 0;     // ifindex of the device that this one is a port of
    std::uint32_t vrf_table = 0;  // of a VRF device and of its ports
};

struct NextHop {
    std::uint32_t ifindex = 0;
    int gateway_family = 0;  // AF_INET, AF_INET6; 0: the destination is a neighbour
    Address gateway{};
    std::uint32_t weight = 1;
    bool is_dead = false;
    bool is_tunnel = false;  // lightweight tunnel
};

struct Route {
    std::uint32_t table = 0;
    std::uint32_t metric = 0;
    std::uint8_t tos = 0;
    std::uint8_t type = 0;  // RTN_*
    std::uint32_t mtu = 0;  // metric of the route; 0: none
    bool is_mtu_locked = false;
    bool has_source = false;
    Address source{};  // preferred
    std::vector<NextHop> hops;
};

struct Prefix {
    Address address{};
    std::uint8_t bits = 0;

    bool operator==(const Prefix&) const = default;
};

struct PrefixHash {
    [[nodiscard]] std::size_t operator()(const Prefix& prefix) const;
};

/// `address` with all bits behind the first `bits` cleared.
[[nodiscard]] Address masked(Address address, unsigned bits);

/// Routes of one family and table.
class Table {
  public:
    void add(const Prefix& prefix, Route route);
    /// Sorts; after the last add().
    void finish();

    /// Calls accept(route, bits) for all routes to `address`, longest prefix first, then by tos
    /// (highest first) and metric, until it returns true.
    template <typename Accept>
    bool find(const Address& address, Accept accept) const {
        for (const std::uint8_t bits : lengths_) {
            const auto found = routes_.find({.address = masked(address, bits), .bits = bits});
            if (found == routes_.end()) {
                continue;
            }
            for (const Route& route : found->second) {
                if (accept(route, bits)) {
                    return true;
                }
            }
        }
        return false;
    }

  private:
    std::unordered_map<Prefix, std::vector<Route>, PrefixHash> routes_;
    std::vector<std::uint8_t> lengths_;  // that occur, longest first
};

struct PortRange {
    std::uint16_t first = 0;
    std::uint16_t last = 0;  // 0: any
};

struct Rule {
    std::uint32_t priority = 0;
    std::uint8_t action = 0;  // FR_ACT_*
    std::uint32_t table = 0;
    std::uint32_t target = 0;  // of goto
    bool is_inverted = false;
    bool has_iif = false;
    bool has_oif = false;
    std::uint32_t iif = 0;  // 0: there is no such interface
    std::uint32_t oif = 0;
    Prefix source;
    Prefix destination;
    std::uint8_t tos = 0;
    std::uint32_t mark = 0;
    std::uint32_t mark_mask = 0;
    std::uint8_t protocol = 0;
    PortRange source_port;
    PortRange destination_port;
    std::int32_t suppress_bits = -1;
    bool is_of_vrf = false;   // matches ports of VRF devices; their table
    bool is_foreign = false;  // asks for something that is not modelled
};

struct NeighbourKey {
    std::uint32_t ifindex = 0;
    int family = 0;
    Address address{};

    bool operator==(const NeighbourKey&) const = default;
};

struct NeighbourHash {
    [[nodiscard]] std::size_t operator()(const NeighbourKey& key) const;
};

/// One address family.
struct Family {
    std::vector<Rule> rules;  // by priority
    std::map<std::uint32_t, Table> tables;
};

struct Snapshot {
    std::unordered_map<std::uint32_t, Link> links;
    Family ipv4;
    Family ipv6;
    std::unordered_map<NeighbourKey, Mac, NeighbourHash> neighbours;  // that may be used
    std::unordered_map<std::uint32_t, Address> source4;               // first address of a link

    [[nodiscard]] const Link* link(std::uint32_t ifindex) const {
        const auto found = links.find(ifindex);
        return found != links.end() ? &found->second : nullptr;
    }
};

/// Reads everything from the kernel, in the network namespace of the calling thread.
[[nodiscard]] Result<Snapshot> take_snapshot();

/// What is asked for.
struct Flow {
    int family = 0;
    Address source{};
    Address destination{};
    std::uint32_t iif = 0;
    std::uint32_t oif = 0;
    std::uint8_t tos = 0;
    std::uint8_t protocol = 0;
    std::uint16_t source_port = 0;  // host order
    std::uint16_t destination_port = 0;
    std::uint32_t mark = 0;
    bool is_source_open = false;  // rules that ask for a source do not match
};

struct Found {
    enum class Kind { route, no_route, blackhole, unreachable, prohibit };
    Kind kind = Kind::no_route;
    const Route* route = nullptr;
    const NextHop* hop = nullptr;
};

/// By rules, or in one table.
[[nodiscard]] Found look_up(const Snapshot& snapshot, const Flow& flow);
[[nodiscard]] Found look_up_in(const Snapshot& snapshot, const Flow& flow, std::uint32_t table);

}  // namespace crema::fib
