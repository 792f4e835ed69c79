// SPDX-License-Identifier: BSD-3-Clause
//
// From rtnetlink's messages to a snapshot.
#include <algorithm>
#include <array>
#include <cstring>
#include <net/if.h>
#include <net/if_arp.h>
#include <string>
#include <sys/socket.h>

#include <linux/fib_rules.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

#include "lib/fib/netlink.h"
#include "lib/fib/snapshot.h"

namespace crema::fib {

namespace {

// Attributes of rules that installed headers may lack.
constexpr std::uint16_t kSourcePortMask = 28, kDestinationPortMask = 29;
constexpr std::uint8_t kDscpMask = 0xfc;
constexpr std::uint16_t kUsableStates =
    NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY;

Address address_in(Bytes value) {
    Address address{};
    std::copy_n(value.begin(), std::min(value.size(), address.size()), address.begin());
    return address;
}

std::uint32_t word_in(Bytes array, std::size_t index) {
    return array.size() >= (index + 1) * 4 ? number_in<std::uint32_t>(array.subspan(index * 4)) : 0;
}

Family* family_of(Snapshot& snapshot, int family) {
    return family == AF_INET ? &snapshot.ipv4 : family == AF_INET6 ? &snapshot.ipv6 : nullptr;
}

// IFLA_AF_SPEC: an attribute per family, in it the family's settings of the device as an array.
void read_settings(Link& link, Bytes families) {
    for_each_attribute(families, [&](std::uint16_t family, Bytes settings) {
        for_each_attribute(settings, [&](std::uint16_t type, Bytes array) {
            if (family == AF_INET && type == IFLA_INET_CONF) {
                link.forwards4 = word_in(array, IPV4_DEVCONF_FORWARDING - 1) != 0;
            } else if (family == AF_INET6 && type == IFLA_INET6_CONF) {
                link.has_ipv6 = true;
                link.forwards6 = word_in(array, DEVCONF_FORWARDING) != 0;
                link.mtu6 = word_in(array, DEVCONF_MTU6);
            }
        });
    });
}

std::string text_in(Bytes value) {
    const auto* const text = reinterpret_cast<const char*>(value.data());
    return {text, strnlen(text, value.size())};
}

std::uint32_t vrf_table_in(Bytes info) {
    bool is_vrf = false;
    std::uint32_t table = 0;
    for_each_attribute(info, [&](std::uint16_t type, Bytes value) {
        if (type == IFLA_INFO_KIND) {
            is_vrf = text_in(value) == "vrf";
        } else if (type == IFLA_INFO_DATA) {
            for_each_attribute(value, [&](std::uint16_t kind, Bytes number) {
                table = kind == IFLA_VRF_TABLE ? number_in<std::uint32_t>(number) : table;
            });
        }
    });
    return is_vrf ? table : 0;
}

void read_link(Snapshot& snapshot, const Message& message) {
    if (message.type != RTM_NEWLINK) {
        return;
    }
    const auto header = header_of<ifinfomsg>(message);
    Link link;
    link.ifindex = static_cast<std::uint32_t>(header.ifi_index);
    link.is_up = (header.ifi_flags & IFF_UP) != 0;
    const bool has_ethernet_header =
        header.ifi_type == ARPHRD_ETHER || header.ifi_type == ARPHRD_LOOPBACK;
    link.header_bytes = has_ethernet_header ? 14 : 0;
    for_each_attribute(attributes_of<ifinfomsg>(message), [&](std::uint16_t type, Bytes value) {
        if (type == IFLA_MTU) {
            link.mtu = number_in<std::uint32_t>(value);
        } else if (type == IFLA_ADDRESS) {
            std::copy_n(value.begin(), std::min(value.size(), link.mac.size()), link.mac.begin());
        } else if (type == IFLA_AF_SPEC) {
            read_settings(link, value);
        } else if (type == IFLA_MASTER) {
            link.master = number_in<std::uint32_t>(value);
        } else if (type == IFLA_LINKINFO) {
            link.vrf_table = vrf_table_in(value);
        }
    });
    snapshot.links[link.ifindex] = link;
}

void read_neighbour(Snapshot& snapshot, const Message& message) {
    const auto header = header_of<ndmsg>(message);
    if (message.type != RTM_NEWNEIGH || (header.ndm_state & kUsableStates) == 0 ||
        (header.ndm_flags & NTF_PROXY) != 0) {
        return;
    }
    NeighbourKey key;
    key.ifindex = static_cast<std::uint32_t>(header.ndm_ifindex);
    key.family = header.ndm_family;
    Mac mac{};
    for_each_attribute(attributes_of<ndmsg>(message), [&](std::uint16_t type, Bytes value) {
        if (type == NDA_DST) {
            key.address = address_in(value);
        } else if (type == NDA_LLADDR) {
            std::copy_n(value.begin(), std::min(value.size(), mac.size()), mac.begin());
        }
    });
    snapshot.neighbours[key] = mac;
}

void read_address(Snapshot& snapshot, const Message& message) {
    const auto header = header_of<ifaddrmsg>(message);
    if (message.type != RTM_NEWADDR || header.ifa_family != AF_INET) {
        return;
    }
    for_each_attribute(attributes_of<ifaddrmsg>(message), [&](std::uint16_t type, Bytes value) {
        if (type == IFA_LOCAL) {
            snapshot.source4.try_emplace(header.ifa_index, address_in(value));
        }
    });
}

void read_hop_attribute(NextHop& hop, int family, std::uint16_t type, Bytes value) {
    switch (type) {
        case RTA_GATEWAY:
            hop.gateway_family = family;
            hop.gateway = address_in(value);
            break;
        case RTA_VIA:
            hop.gateway_family = number_in<std::uint16_t>(value);
            hop.gateway = address_in(value.size() > 2 ? value.subspan(2) : Bytes{});
            break;
        case RTA_ENCAP_TYPE:
            hop.is_tunnel = number_in<std::uint16_t>(value) != 0;
            break;
        default:
            break;
    }
}

void read_hops(Route& route, int family, Bytes bytes) {
    while (bytes.size() >= sizeof(rtnexthop)) {
        rtnexthop header{};
        std::memcpy(&header, bytes.data(), sizeof header);
        if (header.rtnh_len < sizeof header || header.rtnh_len > bytes.size()) {
            return;
        }
        NextHop hop;
        hop.ifindex = static_cast<std::uint32_t>(header.rtnh_ifindex);
        hop.weight = header.rtnh_hops + 1U;
        hop.is_dead = (header.rtnh_flags & RTNH_F_DEAD) != 0;
        for_each_attribute(
            bytes.subspan(sizeof header, header.rtnh_len - sizeof header),
            [&](std::uint16_t type, Bytes value) { read_hop_attribute(hop, family, type, value); });
        route.hops.push_back(hop);
        bytes = bytes.subspan(std::min<std::size_t>(RTNH_ALIGN(header.rtnh_len), bytes.size()));
    }
}

void read_metrics(Route& route, Bytes metrics) {
    for_each_attribute(metrics, [&](std::uint16_t type, Bytes value) {
        if (type == RTAX_MTU) {
            route.mtu = number_in<std::uint32_t>(value);
        } else if (type == RTAX_LOCK) {
            route.is_mtu_locked = (number_in<std::uint32_t>(value) & (1U << RTAX_MTU)) != 0;
        }
    });
}

void read_route(Snapshot& snapshot, const Message& message) {
    const auto header = header_of<rtmsg>(message);
    Family* const family = family_of(snapshot, header.rtm_family);
    if (message.type != RTM_NEWROUTE || family == nullptr ||
        (header.rtm_flags & RTM_F_CLONED) != 0 || header.rtm_src_len != 0) {
        return;
    }
    Prefix prefix{.address = {}, .bits = header.rtm_dst_len};
    Route route;
    route.table = header.rtm_table;
    route.tos = header.rtm_tos & kDscpMask;
    route.type = header.rtm_type;
    NextHop hop;
    hop.is_dead = (header.rtm_flags & RTNH_F_DEAD) != 0;
    Bytes hops;
    for_each_attribute(attributes_of<rtmsg>(message), [&](std::uint16_t type, Bytes value) {
        switch (type) {
            case RTA_DST:
                prefix.address = address_in(value);
                break;
            case RTA_OIF:
                hop.ifindex = number_in<std::uint32_t>(value);
                break;
            case RTA_PRIORITY:
                route.metric = number_in<std::uint32_t>(value);
                break;
            case RTA_TABLE:
                route.table = number_in<std::uint32_t>(value);
                break;
            case RTA_PREFSRC:
                route.has_source = true;
                route.source = address_in(value);
                break;
            case RTA_METRICS:
                read_metrics(route, value);
                break;
            case RTA_MULTIPATH:
                hops = value;
                break;
            default:
                read_hop_attribute(hop, header.rtm_family, type, value);
                break;
        }
    });
    if (!hops.empty()) {
        read_hops(route, header.rtm_family, hops);
    } else {
        route.hops.push_back(hop);
    }
    Table& table = family->tables[route.table];
    table.add(prefix, std::move(route));
}

std::uint32_t interface_named(Bytes value) {
    return if_nametoindex(text_in(value).c_str());
}

PortRange range_in(Bytes value) {
    return {
        .first = number_in<std::uint16_t>(value),
        .last = value.size() >= 4 ? number_in<std::uint16_t>(value.subspan(2)) : std::uint16_t{0}};
}

void read_rule(Snapshot& snapshot, const Message& message) {
    const auto header = header_of<fib_rule_hdr>(message);
    Family* const family = family_of(snapshot, header.family);
    if (message.type != RTM_NEWRULE || family == nullptr) {
        return;
    }
    Rule rule;
    rule.action = header.action;
    rule.table = header.table;
    rule.is_inverted = (header.flags & FIB_RULE_INVERT) != 0;
    rule.source.bits = header.src_len;
    rule.destination.bits = header.dst_len;
    rule.tos = header.tos & kDscpMask;
    for_each_attribute(attributes_of<fib_rule_hdr>(message), [&](std::uint16_t type, Bytes value) {
        switch (type) {
            case FRA_PRIORITY:
                rule.priority = number_in<std::uint32_t>(value);
                break;
            case FRA_TABLE:
                rule.table = number_in<std::uint32_t>(value);
                break;
            case FRA_GOTO:
                rule.target = number_in<std::uint32_t>(value);
                break;
            case FRA_IIFNAME:
                rule.has_iif = true;
                rule.iif = interface_named(value);
                break;
            case FRA_OIFNAME:
                rule.has_oif = true;
                rule.oif = interface_named(value);
                break;
            case FRA_SRC:
                rule.source.address = address_in(value);
                break;
            case FRA_DST:
                rule.destination.address = address_in(value);
                break;
            case FRA_FWMARK:
                rule.mark = number_in<std::uint32_t>(value);
                break;
            case FRA_FWMASK:
                rule.mark_mask = number_in<std::uint32_t>(value);
                break;
            case FRA_IP_PROTO:
                rule.protocol = number_in<std::uint8_t>(value);
                break;
            case FRA_SPORT_RANGE:
                rule.source_port = range_in(value);
                break;
            case FRA_DPORT_RANGE:
                rule.destination_port = range_in(value);
                break;
            case FRA_SUPPRESS_PREFIXLEN:
                rule.suppress_bits = number_in<std::int32_t>(value);
                break;
            case FRA_L3MDEV:
                rule.is_of_vrf = number_in<std::uint8_t>(value) != 0;
                break;
            case FRA_SUPPRESS_IFGROUP:
                rule.is_foreign |= number_in<std::int32_t>(value) != -1;
                break;
            case FRA_UID_RANGE:
            case FRA_TUN_ID:
                rule.is_foreign = true;
                break;
            case kSourcePortMask:
            case kDestinationPortMask:
                // A single port comes with a mask of all ones.
                rule.is_foreign |= number_in<std::uint16_t>(value) != UINT16_MAX;
                break;
            default:
                rule.is_foreign |= type > FRA_DPORT_RANGE;
                break;
        }
    });
    family->rules.push_back(rule);
}

void sort_rules(Family& family) {
    std::stable_sort(family.rules.begin(), family.rules.end(),
                     [](const Rule& a, const Rule& b) { return a.priority < b.priority; });
}

}  // namespace

Result<Snapshot> take_snapshot() {
    const auto fd = open_netlink({});
    if (!fd) {
        return forward_error(fd);
    }

    struct Part {
        std::uint16_t request;
        void (*read)(Snapshot&, const Message&);
    };

    static constexpr std::array kParts = {
        Part{RTM_GETLINK, read_link}, Part{RTM_GETADDR, read_address}, Part{RTM_GETRULE, read_rule},
        Part{RTM_GETROUTE, read_route}, Part{RTM_GETNEIGH, read_neighbour}};
    Snapshot snapshot;
    for (const Part& part : kParts) {
        const Status read = dump(fd->get(), part.request,
                                 [&](const Message& message) { part.read(snapshot, message); });
        if (!read) {
            return forward_error(read);
        }
    }
    for (auto& [ifindex, link] : snapshot.links) {
        const Link* const master = snapshot.link(link.master);
        if (master != nullptr && link.vrf_table == 0) {
            link.vrf_table = master->vrf_table;
        }
    }
    for (Family* const family : {&snapshot.ipv4, &snapshot.ipv6}) {
        sort_rules(*family);
        for (auto& [number, table] : family->tables) {
            table.finish();
        }
    }
    return snapshot;
}

}  // namespace crema::fib
