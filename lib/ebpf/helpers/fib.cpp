// SPDX-License-Identifier: BSD-3-Clause
//
// bpf_fib_lookup and bpf_check_mtu on the mirror of the host's routing (lib/fib). Order of
// decisions, results and what is written are the kernel's.
#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <endian.h>
#include <sys/socket.h>

#include <linux/rtnetlink.h>

#include "lib/ebpf/helpers/natives.h"
#include "lib/fib/mirror.h"

namespace crema::ebpf::helpers {

namespace {

/// struct bpf_fib_lookup. Fields with two meanings are named after what goes in.
struct Parameters {
    std::uint8_t family;
    std::uint8_t l4_protocol;
    std::uint16_t source_port;  // network order, as all ports and addresses
    std::uint16_t destination_port;
    std::uint16_t total_length;  // out: MTU
    std::uint32_t ifindex;
    std::uint32_t flow;  // IPv4: tos in its first byte; out: metric
    fib::Address source;
    fib::Address destination;
    std::uint32_t table;  // out: VLAN protocol and tag
    std::uint32_t mark;   // out, with the next: MAC addresses
    std::uint8_t more_mac[8];
};

static_assert(sizeof(Parameters) == 64 && offsetof(Parameters, table) == 48);

constexpr std::uint32_t kDirect = 1, kOutput = 2, kSkipNeighbour = 4, kTableId = 8, kSource = 16,
                        kMark = 32;
constexpr std::uint32_t kFlags = 63;

using Result = std::uint64_t;

constexpr Result kSuccess = 0, kBlackhole = 1, kUnreachable = 2, kProhibit = 3, kNotForwarded = 4,
                 kForwardingDisabled = 5, kUnsupportedTunnel = 6, kNoNeighbour = 7,
                 kFragmentationNeeded = 8, kNoSourceAddress = 9;

constexpr std::uint32_t kMainTable = RT_TABLE_MAIN;
constexpr std::uint32_t kIpv4MtuMax = 0xffff, kIpv6MtuMax = 0xffff + 40, kIpv6MtuMin = 1280;
constexpr std::uint8_t kDscpMask = 0xfc;

/// The first `bytes` of an address, the rest zero.
fib::Address part(const fib::Address& address, std::size_t bytes) {
    fib::Address result{};
    std::copy_n(address.begin(), bytes, result.begin());
    return result;
}

/// Link-local, multicast and loopback addresses are never forwarded.
bool stays_local(const fib::Address& address) {
    const bool is_link_local = address[0] == 0xfe && (address[1] & 0xc0) == 0x80;
    fib::Address loopback{};
    loopback.back() = 1;
    return is_link_local || address[0] == 0xff || address == loopback;
}

// A route's own MTU counts only when it is locked.
std::uint32_t mtu_of(const fib::Route& route, const fib::Link& link, bool is_v4) {
    if (route.is_mtu_locked && route.mtu != 0) {
        return route.mtu;
    }
    return is_v4 ? std::min(link.mtu, kIpv4MtuMax)
                 : std::min(std::max(link.mtu6, kIpv6MtuMin), kIpv6MtuMax);
}

std::uint64_t result_of(fib::Found::Kind kind) {
    switch (kind) {
        case fib::Found::Kind::blackhole:
            return kBlackhole;
        case fib::Found::Kind::unreachable:
            return kUnreachable;
        case fib::Found::Kind::prohibit:
            return kProhibit;
        case fib::Found::Kind::route:
        case fib::Found::Kind::no_route:
            break;
    }
    return kNotForwarded;
}

class Lookup {
  public:
    Lookup(const fib::Snapshot& snapshot, Parameters& parameters, std::uint32_t flags)
        : snapshot_(snapshot),
          parameters_(parameters),
          flags_(flags),
          is_v4_(parameters.family == AF_INET),
          address_bytes_(is_v4_ ? 4 : 16) {}

    std::uint64_t run() {
        if (!is_v4_ && (stays_local(parameters_.destination) || stays_local(parameters_.source))) {
            return kNotForwarded;
        }
        const fib::Link* const link = snapshot_.link(parameters_.ifindex);
        if (link == nullptr) {
            return error_result(ENODEV);
        }
        if (!(is_v4_ ? link->forwards4 : link->forwards6)) {
            return kForwardingDisabled;
        }
        const fib::Found found = find(*link);
        if (found.kind != fib::Found::Kind::route) {
            return result_of(found.kind);
        }
        if (found.route->type != RTN_UNICAST) {
            return kNotForwarded;
        }
        return forward(*found.route, *found.hop);
    }

  private:
    fib::Found find(const fib::Link& link) {
        const bool by_output = (flags_ & kOutput) != 0;
        constexpr std::uint32_t kLoopback = 1;
        fib::Flow flow{.family = parameters_.family,
                       .source = part(parameters_.source, address_bytes_),
                       .destination = part(parameters_.destination, address_bytes_),
                       .iif = by_output ? kLoopback : parameters_.ifindex,
                       .oif = by_output ? parameters_.ifindex : 0,
                       .tos = 0,
                       .protocol = parameters_.l4_protocol,
                       .source_port = be16toh(parameters_.source_port),
                       .destination_port = be16toh(parameters_.destination_port),
                       .mark = 0,
                       .is_source_open = by_output && !is_v4_};
        flow.tos =
            static_cast<std::uint8_t>(is_v4_ ? parameters_.flow : be32toh(parameters_.flow) >> 20) &
            kDscpMask;
        if ((flags_ & kDirect) != 0) {
            std::uint32_t table = link.vrf_table != 0 ? link.vrf_table : kMainTable;
            if ((flags_ & kTableId) != 0) {
                table = parameters_.table;
                parameters_.table = 0;
            }
            return fib::look_up_in(snapshot_, flow, table);
        }
        flow.mark = (flags_ & kMark) != 0 ? parameters_.mark : 0;
        return fib::look_up(snapshot_, flow);
    }

    std::uint64_t forward(const fib::Route& route, const fib::NextHop& hop) {
        const fib::Link* const link = snapshot_.link(hop.ifindex);
        if (link == nullptr) {
            return kNotForwarded;  // it went while the snapshot was taken
        }
        const std::uint32_t mtu = mtu_of(route, *link, is_v4_);
        if (parameters_.total_length > mtu) {
            parameters_.total_length = static_cast<std::uint16_t>(mtu);
            return kFragmentationNeeded;
        }
        if (hop.is_tunnel) {
            return kUnsupportedTunnel;
        }
        parameters_.flow = route.metric;
        parameters_.ifindex = hop.ifindex;
        if (is_v4_ && (flags_ & kSource) != 0) {
            write_address(parameters_.source, source_of(route, hop), 4);
        }
        if (hop.gateway_family == AF_INET) {
            write_address(parameters_.destination, hop.gateway, 4);
        } else if (hop.gateway_family == AF_INET6) {
            parameters_.family = AF_INET6;
            parameters_.destination = hop.gateway;
        }
        if (!is_v4_ && (flags_ & kSource) != 0) {
            if (!route.has_source) {
                return kNoSourceAddress;
            }
            parameters_.source = route.source;
        }
        if ((flags_ & kSkipNeighbour) == 0) {
            const std::uint64_t result = write_macs(*link);
            if (result != kSuccess) {
                return result;
            }
        }
        parameters_.table = 0;
        parameters_.total_length = static_cast<std::uint16_t>(mtu);
        return kSuccess;
    }

    std::uint64_t write_macs(const fib::Link& link) {
        const std::size_t bytes = parameters_.family == AF_INET ? 4 : 16;
        const auto neighbour =
            snapshot_.neighbours.find({.ifindex = link.ifindex,
                                       .family = parameters_.family,
                                       .address = part(parameters_.destination, bytes)});
        if (neighbour == snapshot_.neighbours.end()) {
            return kNoNeighbour;
        }
        auto* const macs = reinterpret_cast<std::uint8_t*>(&parameters_.mark);
        std::copy(link.mac.begin(), link.mac.end(), macs);
        std::copy(neighbour->second.begin(), neighbour->second.end(), macs + link.mac.size());
        return kSuccess;
    }

    [[nodiscard]] fib::Address source_of(const fib::Route& route, const fib::NextHop& hop) const {
        if (route.has_source) {
            return route.source;
        }
        const auto found = snapshot_.source4.find(hop.ifindex);
        return found != snapshot_.source4.end() ? found->second : fib::Address{};
    }

    static void write_address(fib::Address& to, const fib::Address& from, std::size_t bytes) {
        std::copy_n(from.begin(), bytes, to.begin());
    }

    const fib::Snapshot& snapshot_;
    Parameters& parameters_;
    std::uint32_t flags_;
    bool is_v4_;
    std::size_t address_bytes_;
};

}  // namespace

// r1 context, r2 parameters, r3 their size, r4 flags.
std::uint64_t fib_lookup(
    std::uint64_t, std::uint64_t r2, std::uint64_t r3, std::uint64_t r4, std::uint64_t) {
    const auto flags = static_cast<std::uint32_t>(r4);
    if (static_cast<std::int32_t>(r3) < static_cast<std::int32_t>(sizeof(Parameters)) ||
        (flags & ~kFlags) != 0) {
        return error_result(EINVAL);
    }
    Parameters parameters;
    std::memcpy(&parameters, memory_at(r2), sizeof parameters);
    if (parameters.family != AF_INET && parameters.family != AF_INET6) {
        return error_result(EAFNOSUPPORT);
    }
    const fib::MirrorReader reader;
    if (reader.snapshot() == nullptr) {
        return error_result(ENODEV);
    }
    const std::uint64_t result = Lookup(*reader.snapshot(), parameters, flags).run();
    std::memcpy(memory_at(r2), &parameters, sizeof parameters);
    return result;
}

// r1 context, r2 ifindex (0: the frame's), r3 in: layer 3 length or 0, out: MTU, r4 difference, r5
// flags. Result: 0 fits, 1 does not.
std::uint64_t check_mtu(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t r3, std::uint64_t r4, std::uint64_t r5) {
    if (r5 != 0) {
        return error_result(EINVAL);
    }
    const XdpBuff& buff = context_of(r1);
    const auto ifindex = static_cast<std::uint32_t>(r2);
    const fib::MirrorReader reader;
    const fib::Link* const link =
        reader.snapshot() == nullptr
            ? nullptr
            : reader.snapshot()->link(ifindex != 0 ? ifindex : buff.ingress_ifindex);
    if (link == nullptr) {
        return error_result(ENODEV);
    }
    std::uint32_t length = 0;
    std::memcpy(&length, memory_at(r3), sizeof length);
    // 32-bit sums that wrap, as there
    const std::uint32_t frame_bytes = length != 0
                                          ? length + link->header_bytes
                                          : static_cast<std::uint32_t>(buff.data_end - buff.data);
    const auto bytes = static_cast<std::int32_t>(frame_bytes + static_cast<std::uint32_t>(r4));
    const auto limit = static_cast<std::int32_t>(link->mtu + link->header_bytes);
    std::memcpy(memory_at(r3), &link->mtu, sizeof link->mtu);
    return bytes > limit ? 1 : 0;
}

}  // namespace crema::ebpf::helpers
