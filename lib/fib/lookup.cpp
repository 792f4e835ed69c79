// SPDX-License-Identifier: BSD-3-Clause
//
// Longest prefix match and policy rules.
#include <algorithm>
#include <cstring>
#include <functional>
#include <string_view>
#include <sys/socket.h>

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

#include "lib/fib/snapshot.h"

namespace crema::fib {

namespace {

constexpr std::size_t kRuleStepsMax = 4096;  // goto leads forward only; this is a belt

std::size_t hash_bytes(const void* bytes, std::size_t size) {
    return std::hash<std::string_view>{}({static_cast<const char*>(bytes), size});
}

struct TableResult {
    Found found;
    bool is_throw = false;  // "throw" routes: as if the table had none
    std::uint8_t bits = 0;
};

// IPv4 compares the bits of the old type of service only.
bool matches_tos(std::uint8_t tos, const Flow& flow) {
    constexpr std::uint8_t kOldBits = 0x1c;
    return tos == 0 || tos == (flow.family == AF_INET ? flow.tos & kOldBits : flow.tos);
}

// IPv4 takes hops of the output interface only. To IPv6 an interface, that of output or else that
// of input, is a preference between routes that are equally good.
bool may_use(const NextHop& hop, const Flow& flow) {
    return !hop.is_dead && (flow.family != AF_INET || flow.oif == 0 || hop.ifindex == flow.oif);
}

const NextHop* usable_hop(const Route& route, const Flow& flow) {
    for (const NextHop& hop : route.hops) {
        if (may_use(hop, flow)) {
            return &hop;
        }
    }
    return nullptr;
}

/// Multipath: one of the usable hops, the same for all packets of a pair of addresses.
const NextHop* choose(const Route& route, const Flow& flow, const NextHop* first) {
    std::uint64_t total = 0;
    for (const NextHop& hop : route.hops) {
        total += may_use(hop, flow) ? hop.weight : 0;
    }
    if (route.hops.size() < 2 || total == 0) {
        return first;
    }
    const std::array<Address, 2> pair = {flow.source, flow.destination};
    std::uint64_t point = hash_bytes(pair.data(), sizeof pair) % total;
    for (const NextHop& hop : route.hops) {
        if (may_use(hop, flow)) {
            if (point < hop.weight) {
                return &hop;
            }
            point -= hop.weight;
        }
    }
    return first;
}

TableResult find_in(const Table& table, const Flow& flow) {
    TableResult result;
    const bool is_v4 = flow.family == AF_INET;
    const std::uint32_t preferred = flow.oif != 0 ? flow.oif : flow.iif;
    const Route* best = nullptr;
    table.find(flow.destination, [&](const Route& route, std::uint8_t bits) {
        if (best != nullptr) {
            // Only routes that are as good as the best one can take its place.
            if (bits != result.bits || route.metric != best->metric) {
                return true;
            }
            const NextHop* const hop = usable_hop(route, flow);
            if (hop != nullptr && hop->ifindex == preferred) {
                result.found.route = &route;
                result.found.hop = choose(route, flow, hop);
                return true;
            }
            return false;
        }
        if (is_v4 && !matches_tos(route.tos, flow)) {
            return false;
        }
        result.bits = bits;
        switch (route.type) {
            case RTN_BLACKHOLE:
                result.found.kind = Found::Kind::blackhole;
                return true;
            case RTN_UNREACHABLE:
                result.found.kind = Found::Kind::unreachable;
                return true;
            case RTN_PROHIBIT:
                result.found.kind = Found::Kind::prohibit;
                return true;
            case RTN_THROW:
                result.is_throw = true;
                return true;
            default:
                break;
        }
        const NextHop* const hop = usable_hop(route, flow);
        if (hop == nullptr) {
            return false;
        }
        result.found = {
            .kind = Found::Kind::route, .route = &route, .hop = choose(route, flow, hop)};
        best = &route;
        return is_v4 || hop->ifindex == preferred;
    });
    return result;
}

bool lies_in(const Address& address, const Prefix& prefix) {
    return masked(address, prefix.bits) == prefix.address;
}

bool lies_in(std::uint16_t port, const PortRange& range) {
    return range.last == 0 || (port >= range.first && port <= range.last);
}

std::uint32_t vrf_table_of(const Snapshot& snapshot, const Flow& flow) {
    for (const std::uint32_t ifindex : {flow.oif, flow.iif}) {
        const Link* const link = snapshot.link(ifindex);
        if (link != nullptr && link->vrf_table != 0) {
            return link->vrf_table;
        }
    }
    return 0;
}

bool matches(const Rule& rule, const Flow& flow, std::uint32_t vrf_table) {
    const bool fits = (!rule.is_of_vrf || vrf_table != 0) &&
                      (!rule.has_iif || (rule.iif != 0 && rule.iif == flow.iif)) &&
                      (!rule.has_oif || (rule.oif != 0 && rule.oif == flow.oif)) &&
                      ((flow.mark ^ rule.mark) & rule.mark_mask) == 0 &&
                      lies_in(flow.source, rule.source) &&
                      (!flow.is_source_open || rule.source.bits == 0) &&
                      lies_in(flow.destination, rule.destination) && matches_tos(rule.tos, flow) &&
                      (rule.protocol == 0 || rule.protocol == flow.protocol) &&
                      lies_in(flow.source_port, rule.source_port) &&
                      lies_in(flow.destination_port, rule.destination_port);
    return fits != rule.is_inverted;
}

const Family& family_of(const Snapshot& snapshot, const Flow& flow) {
    return flow.family == AF_INET ? snapshot.ipv4 : snapshot.ipv6;
}

/// A rule that refuses says so in IPv4 only.
Found verdict_of_rule(Found::Kind kind, const Flow& flow) {
    Found found;
    found.kind = flow.family == AF_INET ? kind : Found::Kind::no_route;
    return found;
}

}  // namespace

Address masked(Address address, unsigned bits) {
    for (unsigned i = 0; i < address.size(); ++i) {
        const unsigned kept = bits > i * 8 ? std::min(bits - i * 8, 8U) : 0;
        address[i] = static_cast<std::uint8_t>(address[i] & (0xff00U >> kept));
    }
    return address;
}

std::size_t PrefixHash::operator()(const Prefix& prefix) const {
    return hash_bytes(prefix.address.data(), prefix.address.size()) * 131 + prefix.bits;
}

std::size_t NeighbourHash::operator()(const NeighbourKey& key) const {
    return hash_bytes(key.address.data(), key.address.size()) * 131 + key.ifindex;
}

void Table::add(const Prefix& prefix, Route route) {
    routes_[prefix].push_back(std::move(route));
}

void Table::finish() {
    for (auto& [prefix, routes] : routes_) {
        std::stable_sort(routes.begin(), routes.end(), [](const Route& a, const Route& b) {
            return a.tos != b.tos ? a.tos > b.tos : a.metric < b.metric;
        });
        if (std::find(lengths_.begin(), lengths_.end(), prefix.bits) == lengths_.end()) {
            lengths_.push_back(prefix.bits);
        }
    }
    std::sort(lengths_.begin(), lengths_.end(), std::greater<>());
}

Found look_up_in(const Snapshot& snapshot, const Flow& flow, std::uint32_t table) {
    const Family& family = family_of(snapshot, flow);
    const auto found = family.tables.find(table != RT_TABLE_UNSPEC ? table : RT_TABLE_MAIN);
    return found != family.tables.end() ? find_in(found->second, flow).found : Found{};
}

Found look_up(const Snapshot& snapshot, const Flow& flow) {
    const Family& family = family_of(snapshot, flow);
    const std::uint32_t vrf_table = vrf_table_of(snapshot, flow);
    std::size_t at = 0;
    for (std::size_t steps = 0; at < family.rules.size() && steps < kRuleStepsMax; ++steps) {
        const Rule& rule = family.rules[at++];
        if (rule.is_foreign) {
            return {};
        }
        if (!matches(rule, flow, vrf_table)) {
            continue;
        }
        switch (rule.action) {
            case FR_ACT_BLACKHOLE:
                return verdict_of_rule(Found::Kind::blackhole, flow);
            case FR_ACT_PROHIBIT:
                return verdict_of_rule(Found::Kind::prohibit, flow);
            case FR_ACT_UNREACHABLE:
                return {};  // "no network", other than a route's "no host"
            case FR_ACT_GOTO:
                while (at < family.rules.size() && family.rules[at].priority < rule.target) {
                    ++at;
                }
                continue;
            case FR_ACT_TO_TBL:
                break;
            default:
                continue;
        }
        const auto table = family.tables.find(rule.is_of_vrf ? vrf_table : rule.table);
        if (table == family.tables.end()) {
            continue;
        }
        const TableResult result = find_in(table->second, flow);
        const bool is_suppressed = result.found.kind == Found::Kind::route &&
                                   rule.suppress_bits >= 0 && result.bits <= rule.suppress_bits;
        if (result.found.kind != Found::Kind::no_route && !result.is_throw && !is_suppressed) {
            return result.found;
        }
    }
    return {};
}

}  // namespace crema::fib
