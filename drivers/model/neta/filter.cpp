// SPDX-License-Identifier: BSD-3-Clause
//
// See filter.h.
#include "drivers/model/neta/filter.h"

#include <algorithm>

#include "lib/neta/crc8.h"

namespace crema::neta::model {
namespace {

constexpr std::uint16_t kTypeIpv4 = 0x0800;
constexpr std::uint16_t kTypeArp = 0x0806;

std::uint32_t load_be32(const std::uint8_t* at) {
    return (std::uint32_t{at[0]} << 24U) | (std::uint32_t{at[1]} << 16U) |
           (std::uint32_t{at[2]} << 8U) | at[3];
}

bool is_broadcast(const std::uint8_t* da) {
    return load_be32(da) == 0xffffffffU && da[4] == 0xff && da[5] == 0xff;
}

}  // namespace

void Filter::refresh() {
    port_config_ = chip_.reg(kPortConfig);
    port_config_ext_ = chip_.reg(kPortConfigExt);
    type_prio_ = chip_.reg(kTypePrio);
    vlan_prio_ = chip_.reg(kVlanPrioToRxq);
    mac_low_ = chip_.reg(kMacLow);
    mac_high_ = chip_.reg(kMacHigh);
    vlan_type_ = static_cast<std::uint16_t>(chip_.reg(kVlanEthertype));
    dscp_used_ = false;
    for (unsigned n = 0; n < kDscpRegisters; ++n) {
        dscp_used_ = dscp_used_ || chip_.reg(dscp_to_rxq(n)) != 0;
    }
}

std::uint32_t Filter::table_entry(std::uint32_t table, unsigned entry) const {
    return chip_.reg(da_entry_register(table, entry)) >> da_entry_shift(entry);
}

Steering Filter::unicast(const std::uint8_t* da) const {
    const bool own = load_be32(da) == mac_high_ && da[4] == ((mac_low_ >> 8U) & 0xffU) &&
                     ((da[5] ^ mac_low_) & 0xf0U) == 0;
    const bool forced = (type_prio_ & kTypePrioForceUni) != 0;
    const std::uint32_t entry = table_entry(kDaUnicast, da[5] & 0xfU);
    if ((own || forced) && kDaEntryPass.get(entry) != 0) {
        return {true, false, static_cast<std::uint8_t>(kDaEntryRxq.get(entry))};
    }
    const auto queue = static_cast<std::uint8_t>(kPortConfigRxqDef.get(port_config_));
    if (forced) {
        return {true, false, queue};
    }
    return {(port_config_ & kPortConfigUpm) != 0, true, queue};
}

Steering Filter::by_address(const std::uint8_t* da, const FrameFacts& facts) const {
    if ((da[0] & 1U) == 0) {
        return unicast(da);
    }
    if (is_broadcast(da)) {
        const std::uint32_t reject = facts.ethertype == kTypeArp    ? kPortConfigRejectBcastArp
                                     : facts.ethertype == kTypeIpv4 ? kPortConfigRejectBcastIp
                                                                    : kPortConfigRejectBcastOther;
        return {(port_config_ & reject) == 0, false,
                static_cast<std::uint8_t>(kPortConfigRxqDef.get(port_config_))};
    }
    const std::uint32_t entry = da_is_special(da) ? table_entry(kDaSpecialMcast, da[5])
                                                  : table_entry(kDaOtherMcast, da_crc8(da));
    return {kDaEntryPass.get(entry) != 0, false, static_cast<std::uint8_t>(kDaEntryRxq.get(entry))};
}

std::uint32_t Filter::queue_of(const std::uint8_t* data,
                               const FrameFacts& facts,
                               std::uint32_t address_queue) const {
    const bool type_match =
        (type_prio_ & kTypePrioEn) != 0 && kTypePrioEthertype.get(type_prio_) == facts.ethertype;
    if (type_match && (type_prio_ & kTypePrioFirst) != 0) {
        return kTypePrioRxq.get(type_prio_);
    }
    if (facts.ethertype == kTypeArp && is_broadcast(data)) {
        return kPortConfigRxqArp.get(port_config_);
    }
    if ((port_config_ & kPortConfigTcpCapture) != 0 && facts.is_ipv4(kRxL4Tcp)) {
        return kPortConfigRxqTcp.get(port_config_);
    }
    if ((port_config_ & kPortConfigUdpCapture) != 0 && facts.is_ipv4(kRxL4Udp)) {
        return kPortConfigRxqUdp.get(port_config_);
    }
    std::uint32_t queue = address_queue;
    if ((facts.status & kRxVlan) != 0) {
        queue = std::max(queue, (vlan_prio_ >> (3U * facts.vlan_priority)) & 7U);
    }
    if (dscp_used_ && facts.l3() != kRxL3None) {
        const unsigned group = facts.dscp / 10U;
        const unsigned shift = 3U * (facts.dscp % 10U);
        queue = std::max(queue, (chip_.reg(dscp_to_rxq(group)) >> shift) & 7U);
    }
    return type_match ? std::max(queue, kTypePrioRxq.get(type_prio_)) : queue;
}

Steering Filter::steer(const std::uint8_t* data, const FrameFacts& facts) const {
    if ((facts.status & kRxBpdu) != 0 && (port_config_ext_ & kPortConfigExtSpan) != 0) {
        return {true, false, static_cast<std::uint8_t>(kPortConfigRxqBpdu.get(port_config_))};
    }
    Steering steering = by_address(data, facts);
    steering.queue = static_cast<std::uint8_t>(queue_of(data, facts, steering.queue));
    return steering;
}

}  // namespace crema::neta::model
