// SPDX-License-Identifier: BSD-3-Clause
//
// The register dump of ethdev: the port's whole window, one word per register. Read are only those
// that a driver may look at at any time: not counters that reading clears, not the SMI register
// that other drivers use, nothing where the block has no register. Their words are 0.
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>

#include "drivers/net/neta/port.h"

namespace crema::neta_pmd {
namespace {

struct Range {
    std::uint32_t first;
    std::uint32_t last;
};

constexpr std::array kRanges = {
    Range{neta::rxq_config(0), neta::rxq_config(7)},
    Range{neta::rxq_base(0), neta::rxq_status(7)},
    Range{neta::rxq_index(0), neta::rxq_index(7)},
    Range{neta::kRxReset, neta::kRxReset},
    Range{neta::kPhyAddr, neta::kPhyAddr},
    Range{neta::kMbusRetry, neta::kMbusRetry},
    Range{neta::kUnitCause, neta::kUnitMask},
    Range{neta::kUnitControl, neta::kUnitControl},
    Range{neta::win_base(0), neta::win_size(neta::kWindows - 1)},
    Range{neta::win_remap(0), neta::kAccessProtect},
    Range{neta::kPortConfig, neta::kPortConfigExt},
    Range{neta::kVlanEthertype, neta::dscp_to_rxq(neta::kDscpRegisters - 1)},
    Range{neta::kVlanPrioToRxq, neta::kTxqCmd},
    Range{neta::kRxMinFrame, neta::kRxMinFrame},
    Range{neta::kTypePrio, neta::kTypePrio},
    Range{neta::kAccMode, neta::kAccMode},
    Range{neta::cpu_map(0), neta::cpu_map(neta::kCpuMaps - 1)},
    Range{neta::rxq_time_coal(0), neta::kVersion},
    Range{neta::kRxqCmd, neta::kRxqCmd},
    Range{neta::kGmacCtrl0, neta::kGmacStatus},
    Range{neta::kDaSpecialMcast, neta::kDaUnicast + neta::kDaUnicastEntries - 4},
    Range{neta::txq_base(0), neta::txq_status(7)},
    Range{neta::txq_index(0), neta::txq_sent(7)},
    Range{neta::kTxReset, neta::kTxReset},
    Range{neta::kTxCmd1, neta::kTxpTokenSize},
    Range{neta::txq_refill(0), neta::txq_token_size(7)},
    Range{neta::txq_wrr(0), neta::txq_wrr(7)},
};

constexpr std::uint32_t kRegisters = neta::kRegionBytes / sizeof(std::uint32_t);

int get_registers(rte_eth_dev* ethdev, rte_dev_reg_info* info) {
    info->width = sizeof(std::uint32_t);
    if (info->data == nullptr) {
        info->length = kRegisters;
        return 0;
    }
    const std::uint32_t wanted = info->length == 0 ? kRegisters : info->length;
    if (info->offset > kRegisters || wanted > kRegisters - info->offset) {
        return -EINVAL;
    }
    const vfio::Registers& registers = port_of(ethdev).registers();
    auto* words = static_cast<std::uint32_t*>(info->data);
    std::fill_n(words, wanted, 0U);
    for (const Range& range : kRanges) {
        for (std::uint32_t offset = range.first; offset <= range.last; offset += 4) {
            const std::uint32_t index = offset / 4 - info->offset;  // wraps in front of the first
            if (index < wanted) {
                words[index] = registers.read(offset);
            }
        }
    }
    info->version = registers.read(neta::kVersion);
    return 0;
}

}  // namespace

void register_dump_add_ops(eth_dev_ops& ops) {
    ops.get_reg = get_registers;
}

}  // namespace crema::neta_pmd
