// SPDX-License-Identifier: BSD-3-Clause
//
// What happens to the frames that XDP passed: the four engines that testpmd users know. An engine
// prepares a burst for its way out; where it goes is a table. It owns nothing.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include <rte_ether.h>
#include <rte_mbuf.h>

#include "lib/xdp/hook.h"

namespace crema::datapath {

enum class ForwardMode : std::uint8_t {
    io,       // unchanged
    mac,      // source = address of the port it leaves by, destination = that port's peer
    macswap,  // source and destination change places
    rxonly,   // freed
};

[[nodiscard]] constexpr std::optional<ForwardMode> forward_mode_of(std::string_view name) {
    if (name == "io") {
        return ForwardMode::io;
    }
    if (name == "mac") {
        return ForwardMode::mac;
    }
    if (name == "macswap") {
        return ForwardMode::macswap;
    }
    if (name == "rxonly") {
        return ForwardMode::rxonly;
    }
    return std::nullopt;
}

/// Where frames of a port go and with which addresses; filled before workers start.
struct ForwardTable {
    static constexpr std::uint16_t kNowhere = 0xffff;

    ForwardMode mode = ForwardMode::io;
    std::array<std::uint16_t, xdp::kPortsMax> out{};    // by input port; kNowhere: freed
    std::array<bool, xdp::kPortsMax> as_it_is{};        // by output port: io, whatever the mode
    std::array<rte_ether_addr, xdp::kPortsMax> own{};   // by output port
    std::array<rte_ether_addr, xdp::kPortsMax> peer{};  // by output port
};

/// Rewrites the addresses of a burst that leaves by `out`. Frames of less than 14 bytes stay.
void prepare(const ForwardTable& table, std::uint16_t out, rte_mbuf* const* mbufs, std::uint32_t n);

}  // namespace crema::datapath
