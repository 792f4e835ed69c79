// SPDX-License-Identifier: BSD-3-Clause
//
// See register_map.h. The table is built by the compiler from ranges in the order of the index.
#include "drivers/model/neta/register_map.h"

namespace crema::neta::model {
namespace {

using Table = std::array<RegisterKind, kRegionBytes / 4>;

constexpr void fill(Table& table, std::uint32_t first, std::uint32_t last, RegisterKind kind) {
    for (std::uint32_t offset = first; offset <= last; offset += 4) {
        table[offset / 4] = kind;
    }
}

constexpr void fill_queues(Table& table) {
    using K = RegisterKind;
    fill(table, 0x1400, 0x14dc, K::storage);  // config, snoop, prefetch, base, size, threshold
    fill(table, rxq_base(0), rxq_base(7), K::special);
    fill(table, rxq_size(0), rxq_size(7), K::special);
    fill(table, rxq_config(0), rxq_config(7), K::special);
    fill(table, rxq_status(0), rxq_status(7), K::rxq_status);
    fill(table, rxq_status_update(0), rxq_status_update(7), K::rxq_update);
    fill(table, rxq_index(0), rxq_index(7), K::rxq_index);
    fill(table, txq_base(0), txq_base(7), K::special);
    fill(table, txq_size(0), txq_size(7), K::special);
    fill(table, txq_status(0), txq_status(7), K::txq_status);
    fill(table, txq_update(0), txq_update(7), K::txq_update);
    fill(table, txq_index(0), txq_index(7), K::txq_index);
    fill(table, txq_sent(0), txq_sent(7), K::txq_sent);
    fill(table, kTxqCmd, kTxqCmd, K::special);
    fill(table, kRxqCmd, kRxqCmd, K::special);
    fill(table, kRxReset, kRxReset, K::special);
    fill(table, kTxReset, kTxReset, K::special);
}

constexpr void fill_unit(Table& table) {
    using K = RegisterKind;
    fill(table, 0x1700, 0x1718, K::storage);  // pools, flow control
    fill(table, 0x17f0, 0x17f0, K::zero);
    fill(table, 0x1c00, 0x1cbc, K::zero);
    fill(table, 0x1d00, 0x1d6c, K::storage);  // hardware forwarding
    fill(table, kPhyAddr, 0x2014, K::storage);
    fill(table, kSmi, kSmi, K::special);
    fill(table, kUnitCause, kUnitCause, K::clear_by_zero);
    fill(table, kUnitMask, kUnitMask, K::storage);
    fill(table, kUnitErrAddr, 0x2098, K::read_only);
    fill(table, 0x20a0, 0x20a0, K::storage);
    fill(table, kUnitControl, kUnitControl, K::special);
    fill(table, 0x20c0, 0x20c0, K::storage);
    fill(table, win_base(0), win_size(5), K::storage);
    fill(table, win_remap(0), win_remap(3), K::storage);
    fill(table, kBaseAddrEnable, kAccessProtect, K::storage);
}

constexpr void fill_port(Table& table) {
    using K = RegisterKind;
    fill(table, 0x2400, 0x2440, K::storage);  // port, filters, steering, SDMA
    fill(table, kPortStatus, kPortStatus, K::special);
    fill(table, 0x244c, 0x2458, K::storage);
    fill(table, 0x2460, 0x246c, K::zero);
    fill(table, 0x2470, 0x247c, K::storage);
    fill(table, kRxDiscardCnt, kRxOverrunCnt, K::counter);
    fill(table, kPortIntAddrErr, kPortIntAddrErr, K::read_only);
    fill(table, 0x2498, 0x24a0, K::storage);
    fill(table, 0x24a4, 0x24a4, K::read_only);
    fill(table, kTypePrio, kTypePrio, K::storage);
    fill(table, 0x24dc, 0x24f8, K::storage);  // old arbiter, clock dividers
    fill(table, 0x24f0, 0x24f0, K::none);
    fill(table, kAccMode, 0x2504, K::storage);
    fill(table, cpu_map(0), cpu_map(3), K::storage);
    fill(table, rxq_time_coal(0), rxq_time_coal(7), K::storage);
    fill(table, kIntrNewCause, kIntrMiscMask, K::interrupt);
    fill(table, kIntrEnable, kIntrEnable, K::storage);
    fill(table, kVersion, kVersion, K::read_only);
    fill(table, 0x25e4, 0x25e4, K::storage);
    for (std::uint32_t n = 0; n < kQueues; ++n) {
        fill(table, 0x260c + 16 * n, 0x260c + 16 * n, K::zero);
    }
    fill(table, 0x2684, 0x2684, K::zero);
    fill(table, 0x26c0, 0x26c0, K::zero);
    for (unsigned q = 0; q < kQueues; ++q) {
        fill(table, txq_token_count(q), txq_token_count(q) + 8, K::storage);
    }
    fill(table, 0x2780, 0x2780, K::zero);
}

constexpr void fill_mac(Table& table) {
    using K = RegisterKind;
    fill(table, kGmacCtrl0, kGmacAutoneg, K::special);
    fill(table, kGmacStatus, kGmacStatus, K::special);
    fill(table, 0x2c14, 0x2c1c, K::storage);
    fill(table, kGmacCause, kGmacCause, K::clear_by_zero);
    fill(table, kGmacMask, 0x2c34, K::storage);
    fill(table, 0x2c38, 0x2c40, K::read_only);
    fill(table, 0x2c44, 0x2c94, K::storage);
    fill(table, 0x2c50, 0x2c54, K::read_only);  // QSGMII status, errors
    fill(table, 0x2cc0, 0x2cc8, K::storage);
    fill(table, 0x2ccc, 0x2ccc, K::read_only);
    fill(table, kLpiCounter, kLpiCounter, K::counter);
    fill(table, 0x2e00, 0x2ffc, K::storage);
    fill(table, kMib, kMib + kMibBytes - 4, K::counter);
    fill(table, 0x3080, 0x30fc, K::zero);  // 10.1: read by one driver
    fill(table, kDaSpecialMcast, kDaUnicast + 12, K::storage);
    fill(table, 0x3690, 0x36b8, K::storage);
    fill(table, kTxBadFcsCnt, kTxDropCnt, K::counter);
    fill(table, 0x3cf4, 0x3cf4, K::storage);
    fill(table, 0x3cfc, 0x3cfc, K::zero);  // write only
    fill(table, 0x3d00, 0x3ddc, K::storage);
    fill(table, kTxCmd1, 0x3ebc, K::storage);
}

constexpr Table kTable = [] {
    Table table{};
    fill_queues(table);
    fill_unit(table);
    fill_port(table);
    fill_mac(table);
    return table;
}();

static_assert(kTable[0x0000 / 4] == RegisterKind::none);

// Contents of the filter tables after power-up are undefined: here each entry passes to queue 2,
// so that a driver that does not clear them is found.
constexpr std::uint32_t kFilterGarbage = 0x05050505;

}  // namespace

RegisterKind register_kind(std::uint32_t offset) {
    if (offset % 4 != 0 || offset >= kRegionBytes) {
        return RegisterKind::none;
    }
    return kTable[offset / 4];
}

void power_on(Chip& chip, const MacAddress& mac) {
    for (auto& word : chip.regs) {
        word.store(0, std::memory_order_relaxed);
    }
    for (InterruptBank& bank : chip.banks) {
        for (std::uint32_t offset = kIntrNewCause; offset <= kIntrMiscMask; offset += 4) {
            bank.at(offset).store(0, std::memory_order_relaxed);
        }
    }
    for (auto* queues : {&chip.rx, &chip.tx}) {
        for (QueueState& state : *queues) {
            state.counters.reset();
            state.index.store(0, std::memory_order_relaxed);
            state.since_ns.store(0, std::memory_order_relaxed);
        }
    }
    chip.mib.reset();
    chip.phy.power_on();
    chip.link_status.store(0, std::memory_order_relaxed);
    chip.paused_until_ns.store(0, std::memory_order_relaxed);
    chip.pausing_until_ns.store(0, std::memory_order_relaxed);
    chip.set_reg(kUnitControl, kUnitControlRamInitDone);
    chip.set_reg(kBaseAddrEnable, 0x3f);
    chip.set_reg(kAccessProtect, 0xfff);
    chip.set_reg(kPortConfig, port_config_default(0));
    chip.set_reg(kVlanEthertype, 0x8100);
    chip.set_reg(kRxMinFrame, kRxMinFrameDefault);
    chip.set_reg(kGmacCtrl0, 0x8be4);
    chip.set_reg(kGmacCtrl2, 0xc040);
    chip.set_reg(kGmacAutoneg, 0x8000);
    chip.set_reg(kVersion, 0x10);
    for (unsigned n = 0; n < kFcTimers; ++n) {
        chip.set_reg(fc_timer(n), kFcTimerQuanta.max());
    }
    chip.set_reg(kMacHigh, (std::uint32_t{mac[0]} << 24U) | (std::uint32_t{mac[1]} << 16U) |
                               (std::uint32_t{mac[2]} << 8U) | mac[3]);
    chip.set_reg(kMacLow, (std::uint32_t{mac[4]} << 8U) | mac[5]);
    for (std::uint32_t offset = kDaSpecialMcast; offset < kDaUnicast + kDaUnicastEntries;
         offset += 4) {
        chip.set_reg(offset, kFilterGarbage);
    }
}

}  // namespace crema::neta::model
