// SPDX-License-Identifier: BSD-3-Clause
//
// Which received frames the port takes and to which queue they go: destination address tables,
// broadcast rules, and the steering rules of the legacy parser. A snapshot of the registers is
// taken per burst; the tables are read in place.
// Source: hardware page 2.3.4.
#pragma once

#include <cstdint>

#include "drivers/model/neta/chip.h"
#include "drivers/model/neta/parse.h"

namespace crema::neta::model {

struct Steering {
    bool accept = false;
    bool unknown_da = false;  // unicast taken by promiscuous mode only
    std::uint8_t queue = 0;
};

class Filter {
  public:
    explicit Filter(const Chip& chip) : chip_(chip) {}

    /// Takes the snapshot; before each burst.
    void refresh();

    /// data: at least 14 bytes.
    [[nodiscard]] Steering steer(const std::uint8_t* data, const FrameFacts& facts) const;

    [[nodiscard]] std::uint16_t vlan_type() const { return vlan_type_; }

    /// False: the L4 check leaves out the pseudo header and finds no frame correct.
    [[nodiscard]] bool pseudo_header() const {
        return (port_config_ & kPortConfigRxCsumPseudo) != 0;
    }

  private:
    [[nodiscard]] std::uint32_t table_entry(std::uint32_t table, unsigned entry) const;
    [[nodiscard]] Steering by_address(const std::uint8_t* da, const FrameFacts& facts) const;
    [[nodiscard]] Steering unicast(const std::uint8_t* da) const;
    [[nodiscard]] std::uint32_t queue_of(const std::uint8_t* data,
                                         const FrameFacts& facts,
                                         std::uint32_t address_queue) const;

    const Chip& chip_;
    std::uint32_t port_config_ = 0;
    std::uint32_t port_config_ext_ = 0;
    std::uint32_t type_prio_ = 0;
    std::uint32_t vlan_prio_ = 0;
    std::uint32_t mac_low_ = 0;
    std::uint32_t mac_high_ = 0;
    std::uint16_t vlan_type_ = 0;
    bool dscp_used_ = false;
};

}  // namespace crema::neta::model
