// SPDX-License-Identifier: BSD-3-Clause
//
// See sequences.h.
#include "lib/neta/sequences.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "lib/neta/registers.h"

namespace crema::neta {
namespace {

constexpr auto kSettle = std::chrono::microseconds(200);
constexpr auto kPatience = std::chrono::milliseconds(100);
constexpr auto kPoll = std::chrono::microseconds(10);

bool stop_queues(const vfio::Registers& registers, std::uint32_t command) {
    const std::uint32_t enabled = kQueueCmdEnable.get(registers.read(command));
    if (enabled == 0) {
        return true;
    }
    registers.write(command, kQueueCmdDisable.of(enabled));
    return wait_for(registers, command, kQueueCmdEnable.mask(), 0);
}

void open_window(const vfio::Registers& registers) {
    for (unsigned w = 0; w < kWindows; ++w) {
        registers.write(win_base(w), 0);
        registers.write(win_size(w), 0);
    }
    for (unsigned w = 0; w < kWindowRemaps; ++w) {
        registers.write(win_remap(w), 0);
    }
    registers.write(win_size(0), kWinSizeFull);
    registers.write(kBaseAddrEnable, kBaseAddrEnableWindow0);
    registers.write(kAccessProtect, kAccessProtectWindow0);
}

void clear_filters(const vfio::Registers& registers) {
    for (unsigned entry = 0; entry < kDaMcastEntries; entry += 4) {
        registers.write(kDaSpecialMcast + entry, 0);
        registers.write(kDaOtherMcast + entry, 0);
    }
    for (unsigned entry = 0; entry < kDaUnicastEntries; entry += 4) {
        registers.write(kDaUnicast + entry, 0);
    }
}

void leave_mac_reset(const vfio::Registers& registers) {
    std::uint32_t control = registers.read(kGmacCtrl2);
    control &= ~(kGmacCtrl2PortReset | kGmacCtrl2InbandAn);
    registers.write(kGmacCtrl2, control | kGmacCtrl2RgmiiEn);
    wait_for(registers, kGmacCtrl2, kGmacCtrl2PortReset, 0);
    registers.write(kClockDivider, registers.read(kClockDivider) & ~kClockDividerEnable);
}

}  // namespace

std::optional<std::uint32_t> read_until(const vfio::Registers& registers,
                                        std::uint32_t offset,
                                        std::uint32_t mask,
                                        std::uint32_t want,
                                        std::chrono::microseconds patience) {
    const auto end = std::chrono::steady_clock::now() + patience;
    for (;;) {
        const bool last = std::chrono::steady_clock::now() > end;
        const std::uint32_t value = registers.read(offset);
        if ((value & mask) == want) {
            return value;
        }
        if (last) {
            return std::nullopt;
        }
        std::this_thread::sleep_for(kPoll);
    }
}

bool wait_for(const vfio::Registers& registers,
              std::uint32_t offset,
              std::uint32_t mask,
              std::uint32_t want) {
    return read_until(registers, offset, mask, want, kPatience).has_value();
}

bool quiet_queues(const vfio::Registers& registers) {
    const bool rx_idle = stop_queues(registers, kRxqCmd);
    const bool tx_idle = stop_queues(registers, kTxqCmd);
    const bool fifo_empty =
        wait_for(registers, kPortStatus, kPortStatusTxFifoEmpty | kPortStatusTxInProgress,
                 kPortStatusTxFifoEmpty);
    std::this_thread::sleep_for(kSettle);
    return rx_idle && tx_idle && fifo_empty;
}

void disable_mac(const vfio::Registers& registers) {
    registers.write(kGmacCtrl0, registers.read(kGmacCtrl0) & ~kGmacCtrl0PortEn);
    std::this_thread::sleep_for(kSettle);
}

void reset_dma(const vfio::Registers& registers) {
    registers.write(kRxReset, kResetHold);
    registers.write(kTxReset, kResetHold);
    registers.write(kTxReset, 0);
    registers.write(kRxReset, 0);
}

void silence_interrupts(const vfio::Registers& registers) {
    for (const std::uint32_t cause : {kIntrNewCause, kIntrOldCause, kIntrMiscCause}) {
        registers.write(cause, 0);
    }
    for (const std::uint32_t mask :
         {kIntrNewMask, kIntrOldMask, kIntrMiscMask, kIntrEnable, kUnitMask}) {
        registers.write(mask, 0);
    }
}

void open_shaper(const vfio::Registers& registers, std::uint32_t frame_bytes) {
    const std::uint32_t bits = std::min(frame_bytes * 8, kTxMtuMax);
    registers.write(kTxMtu, bits);
    if (registers.read(kTxpTokenSize) < bits) {
        registers.write(kTxpTokenSize, bits);
    }
    for (unsigned queue = 0; queue < kQueues; ++queue) {
        if (registers.read(txq_token_size(queue)) < bits) {
            registers.write(txq_token_size(queue), bits);
        }
    }
}

void force_link(
    const vfio::Registers& registers, bool up, bool pause, std::uint32_t mbps, bool full_duplex) {
    std::uint32_t control = registers.read(kGmacAutoneg);
    if (up) {
        control &= ~kGmacAutonegForceClear;
        control |= kGmacAutonegForceLinkPass | (full_duplex ? kGmacAutonegFullDuplex : 0);
        control |= mbps == 1000 ? kGmacAutonegGmiiSpeed : mbps == 100 ? kGmacAutonegMiiSpeed : 0;
        control |= pause ? kGmacAutonegFlowCtrl : 0;
    } else {
        control &= ~kGmacAutonegForceLinkPass;
        control |= kGmacAutonegForceLinkDown;
    }
    registers.write(kGmacAutoneg, control);
}

bool any_window_open(const vfio::Registers& registers) {
    const std::uint32_t closed = registers.read(kBaseAddrEnable);
    const std::uint32_t access = registers.read(kAccessProtect);
    for (unsigned w = 0; w < kWindows; ++w) {
        if ((closed >> w & 1U) == 0 &&
            (access >> (2 * w) & kWindowAccessFull) == kWindowAccessFull) {
            return true;
        }
    }
    return false;
}

void take_over(const vfio::Registers& registers, Windows windows) {
    quiet_queues(registers);
    disable_mac(registers);
    if (windows == Windows::open) {
        open_window(registers);
    }
    silence_interrupts(registers);
    registers.write(kMbusRetry, kMbusRetryCycles);
    for (unsigned cpu = 0; cpu < kCpuMaps; ++cpu) {
        registers.write(cpu_map(cpu), kCpuMapAll);
    }
    registers.write(kTxqCmd1, 0);
    for (unsigned queue = 0; queue < kQueues; ++queue) {
        registers.write(txq_token_count(queue), 0);
        registers.write(txq_token_cfg(queue), 0);
    }
    reset_dma(registers);
    registers.write(kAccMode, kAccModeEnhanced);
    registers.write(kPortConfig, port_config_default(0));
    registers.write(kPortConfigExt, 0);
    registers.write(kTypePrio, 0);
    for (unsigned n = 0; n < kDscpRegisters; ++n) {
        registers.write(dscp_to_rxq(n), 0);
    }
    registers.write(kRxMinFrame, kRxMinFrameDefault);
    registers.write(kSdmaConfig, kSdmaConfigLittleEndian);
    registers.write(kUnitControl, registers.read(kUnitControl) & ~kUnitControlPhyPolling);
    clear_filters(registers);
    registers.write(kIntrEnable, kIntrEnableAll);
    registers.write(kUnitCause, 0);
    force_link(registers, false, false);  // before the MAC's mode bits change
    leave_mac_reset(registers);
}

}  // namespace crema::neta
