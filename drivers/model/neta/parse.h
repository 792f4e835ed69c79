// SPDX-License-Identifier: BSD-3-Clause
//
// What the MAC's small header parser finds in a received frame: the status bits of the descriptor
// and the facts that queue selection asks for. Legacy parser mode: one VLAN tag, IPv4 and IPv6
// without extension headers, TCP and UDP.
// Source: hardware page 3.2, 8.1, 2.3.4.
#pragma once

#include <cstdint>

#include "lib/neta/descriptors.h"

namespace crema::neta::model {

struct FrameFacts {
    std::uint32_t status = 0;  // kRxVlan, kRxBpdu, L4, L3, kRxEthernet2, checksum and fragment bits
    std::uint32_t fcs = 0;
    std::uint16_t ethertype = 0;  // behind the VLAN tag
    std::uint16_t vlan_type = 0;  // the tag type that was looked for; 0 = facts not filled in yet
    std::uint8_t vlan_priority = 0;
    std::uint8_t dscp = 0;

    [[nodiscard]] std::uint32_t l3() const { return kRxL3Type.get(status); }

    [[nodiscard]] bool is_ipv4(std::uint32_t l4) const {
        return (l3() == kRxL3Ipv4Good || l3() == kRxL3Ipv4Bad) && kRxL4Type.get(status) == l4;
    }
};

/// Facts of data[0, bytes) (no FCS in `bytes`), FCS included. Any bytes are safe.
[[nodiscard]] FrameFacts parse_frame(const std::uint8_t* data,
                                     std::uint32_t bytes,
                                     std::uint16_t vlan_type);

[[nodiscard]] inline std::uint16_t load_be16(const std::uint8_t* at) {
    return static_cast<std::uint16_t>((std::uint32_t{at[0]} << 8U) | at[1]);
}

}  // namespace crema::neta::model
