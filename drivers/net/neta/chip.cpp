// SPDX-License-Identifier: BSD-3-Clause
//
// The chip's sequences: take-over and initialisation (hardware page 5.2), queue set-up (5.3),
// start (5.4), stop (5.5), another frame size (5.7). Nothing here is on the packet path.
//
// The interface mode is left as the boot firmware or the board set it (5.6, last paragraph): the
// driver only takes the MAC out of reset and forces the link.
#include <algorithm>

#include <rte_cycles.h>

#include "drivers/net/neta/port.h"

namespace crema::neta_pmd {
namespace {

constexpr unsigned kSettleUs = 200;
constexpr unsigned kPollUs = 10;
constexpr unsigned kPolls = 10000;  // 100 ms

/// Polls until (register & mask) == want.
bool wait_for(const vfio::Registers& registers,
              std::uint32_t offset,
              std::uint32_t mask,
              std::uint32_t want) {
    for (unsigned i = 0; i < kPolls; ++i) {
        if ((registers.read(offset) & mask) == want) {
            return true;
        }
        rte_delay_us_block(kPollUs);
    }
    return false;
}

bool stop_queues(const vfio::Registers& registers, std::uint32_t command) {
    const std::uint32_t enabled = neta::kQueueCmdEnable.get(registers.read(command));
    if (enabled == 0) {
        return true;
    }
    registers.write(command, neta::kQueueCmdDisable.of(enabled));
    return wait_for(registers, command, neta::kQueueCmdEnable.mask(), 0);
}

/// 5.5 steps 1-4: queues disabled, FIFO empty and transmitter idle.
bool quiet_queues(const vfio::Registers& registers) {
    const bool rx_idle = stop_queues(registers, neta::kRxqCmd);
    const bool tx_idle = stop_queues(registers, neta::kTxqCmd);
    const bool fifo_empty = wait_for(registers, neta::kPortStatus,
                                     neta::kPortStatusTxFifoEmpty | neta::kPortStatusTxInProgress,
                                     neta::kPortStatusTxFifoEmpty);
    rte_delay_us_block(kSettleUs);
    return rx_idle && tx_idle && fifo_empty;
}

void disable_mac(const vfio::Registers& registers) {
    registers.write(neta::kGmacCtrl0, registers.read(neta::kGmacCtrl0) & ~neta::kGmacCtrl0PortEn);
    rte_delay_us_block(kSettleUs);
}

void reset_dma(const vfio::Registers& registers) {
    registers.write(neta::kRxReset, neta::kResetHold);
    registers.write(neta::kTxReset, neta::kResetHold);
    registers.write(neta::kTxReset, 0);
    registers.write(neta::kRxReset, 0);
}

void open_window(const vfio::Registers& registers) {
    for (unsigned w = 0; w < neta::kWindows; ++w) {
        registers.write(neta::win_base(w), 0);
        registers.write(neta::win_size(w), 0);
    }
    for (unsigned w = 0; w < neta::kWindowRemaps; ++w) {
        registers.write(neta::win_remap(w), 0);
    }
    registers.write(neta::win_size(0), neta::kWinSizeFull);
    registers.write(neta::kBaseAddrEnable, neta::kBaseAddrEnableWindow0);
    registers.write(neta::kAccessProtect, neta::kAccessProtectWindow0);
}

void silence_interrupts(const vfio::Registers& registers) {
    for (const std::uint32_t cause :
         {neta::kIntrNewCause, neta::kIntrOldCause, neta::kIntrMiscCause}) {
        registers.write(cause, 0);
    }
    for (const std::uint32_t mask : {neta::kIntrNewMask, neta::kIntrOldMask, neta::kIntrMiscMask,
                                     neta::kIntrEnable, neta::kUnitMask}) {
        registers.write(mask, 0);
    }
}

void clear_filters(const vfio::Registers& registers) {
    for (unsigned entry = 0; entry < neta::kDaMcastEntries; entry += 4) {
        registers.write(neta::kDaSpecialMcast + entry, 0);
        registers.write(neta::kDaOtherMcast + entry, 0);
    }
    for (unsigned entry = 0; entry < neta::kDaUnicastEntries; entry += 4) {
        registers.write(neta::kDaUnicast + entry, 0);
    }
}

void leave_mac_reset(const vfio::Registers& registers) {
    std::uint32_t control = registers.read(neta::kGmacCtrl2);
    control &= ~(neta::kGmacCtrl2PortReset | neta::kGmacCtrl2InbandAn);
    registers.write(neta::kGmacCtrl2, control | neta::kGmacCtrl2RgmiiEn);
    wait_for(registers, neta::kGmacCtrl2, neta::kGmacCtrl2PortReset, 0);
    registers.write(neta::kClockDivider,
                    registers.read(neta::kClockDivider) & ~neta::kClockDividerEnable);
}

/// Tokens larger than any frame, so that nothing is shaped (2.3.11).
void open_shaper(const vfio::Registers& registers, std::uint32_t frame_bytes) {
    const std::uint32_t bits = std::min(frame_bytes * 8, neta::kTxMtuMax);
    registers.write(neta::kTxMtu, bits);
    if (registers.read(neta::kTxpTokenSize) < bits) {
        registers.write(neta::kTxpTokenSize, bits);
    }
    for (unsigned queue = 0; queue < neta::kQueues; ++queue) {
        if (registers.read(neta::txq_token_size(queue)) < bits) {
            registers.write(neta::txq_token_size(queue), bits);
        }
    }
}

void enable_queues(const Port& port) {
    constexpr std::uint32_t kXdpQueues = ((1U << kXdpTxQueues) - 1) << kAppTxQueues;
    port.registers().write(neta::kTxqCmd, port.tx_running | kXdpQueues);
    port.registers().write(neta::kRxqCmd, port.rx_running);
}

/// The chip has no hash. VLAN priority is what it steers by: priorities are spread evenly.
void steer_by_vlan_priority(const Port& port) {
    const unsigned queues = std::max<unsigned>(port.ethdev->data->nb_rx_queues, 1);
    std::uint32_t map = 0;
    for (unsigned priority = 0; priority < 8; ++priority) {
        map |= (priority * queues / 8) << (3 * priority);
    }
    port.registers().write(neta::kVlanPrioToRxq, map);
}

}  // namespace

void chip_init(Port& port) {
    const vfio::Registers& registers = port.registers();
    quiet_queues(registers);
    disable_mac(registers);
    open_window(registers);
    silence_interrupts(registers);
    registers.write(neta::kMbusRetry, neta::kMbusRetryCycles);
    for (unsigned cpu = 0; cpu < neta::kCpuMaps; ++cpu) {
        registers.write(neta::cpu_map(cpu), neta::kCpuMapAll);
    }
    registers.write(neta::kTxqCmd1, 0);
    for (unsigned queue = 0; queue < neta::kQueues; ++queue) {
        registers.write(neta::txq_token_count(queue), 0);
        registers.write(neta::txq_token_cfg(queue), 0);
    }
    reset_dma(registers);
    registers.write(neta::kAccMode, neta::kAccModeEnhanced);
    registers.write(neta::kPortConfig, neta::port_config_default(0));
    registers.write(neta::kPortConfigExt, 0);
    registers.write(neta::kTypePrio, 0);
    for (unsigned n = 0; n < neta::kDscpRegisters; ++n) {
        registers.write(neta::dscp_to_rxq(n), 0);
    }
    registers.write(neta::kRxMinFrame, neta::kRxMinFrameDefault);
    registers.write(neta::kSdmaConfig, neta::kSdmaConfigLittleEndian);
    registers.write(neta::kUnitControl,
                    registers.read(neta::kUnitControl) & ~neta::kUnitControlPhyPolling);
    clear_filters(registers);
    registers.write(neta::kIntrEnable, neta::kIntrEnableAll);
    counters_collect_hardware(port);  // reading clears; what was there belongs to nobody
    port.hardware = {};
    registers.write(neta::kUnitCause, 0);
    leave_mac_reset(registers);
    link_force(port, false);
}

void chip_program_rx_queue(Port& port, unsigned queue) {
    const vfio::Registers& registers = port.registers();
    const RxQueue& own = *port.rx[queue];
    constexpr std::uint32_t kBufferUnits = page_pool::kDmaBytes / 8;
    registers.write(neta::rxq_base(queue), port.device->dma().iova_of(own.ring));
    registers.write(neta::rxq_size(queue),
                    neta::kRxqSizeBufSize.of(kBufferUnits) | neta::kRxqSizeDescNum.of(own.size));
    registers.write(neta::rxq_threshold(queue), 0);
    registers.write(neta::rxq_config(queue), 0);  // buffers by descriptor, offset 0
}

void chip_program_tx_queue(Port& port, unsigned queue, const TxQueue* ring) {
    const vfio::Registers& registers = port.registers();
    if (ring == nullptr) {
        registers.write(neta::txq_base(queue), 0);
        registers.write(neta::txq_size(queue), 0);
        return;
    }
    registers.write(neta::txq_token_cfg(queue), neta::kTxqTokenCfgMax);
    registers.write(neta::txq_token_count(queue), neta::kTxqTokenCountMax);
    registers.write(neta::txq_base(queue), port.device->dma().iova_of(ring->ring));
    registers.write(neta::txq_size(queue), neta::kTxqSizeDescNum.of(ring->size));
}

void chip_set_frame_size(Port& port, std::uint32_t frame_bytes) {
    const vfio::Registers& registers = port.registers();
    const std::uint32_t wire = frame_bytes + neta::kFcsBytes;
    std::uint32_t control = registers.read(neta::kGmacCtrl0);
    control = neta::kGmacCtrl0MaxRxSize.set(control, (wire + 1) / 2) | neta::kGmacCtrl0MibEn;
    registers.write(neta::kGmacCtrl0, control);
    open_shaper(registers, frame_bytes);
}

void chip_start(Port& port) {
    const vfio::Registers& registers = port.registers();
    const bool loopback = port.ethdev->data->dev_conf.lpbk_mode != 0;
    std::uint32_t control = registers.read(neta::kGmacCtrl1) & ~neta::kGmacCtrl1GmiiLoopback;
    registers.write(neta::kGmacCtrl1, control | (loopback ? neta::kGmacCtrl1GmiiLoopback : 0));
    chip_set_frame_size(port, port.frame_bytes_max.load(std::memory_order_relaxed));
    steer_by_vlan_priority(port);
    control = registers.read(neta::kGmacCtrl0);
    registers.write(neta::kGmacCtrl0, control | neta::kGmacCtrl0PortEn);
    link_force(port, !port.link_forced_down);
    enable_queues(port);
}

bool chip_stop(Port& port) {
    const vfio::Registers& registers = port.registers();
    const bool quiet = quiet_queues(registers);
    disable_mac(registers);
    silence_interrupts(registers);
    reset_dma(registers);
    link_force(port, false);
    return quiet;
}

void chip_enable_queue(const Port& port, std::uint32_t command, unsigned queue) {
    port.registers().write(command, neta::kQueueCmdEnable.of(1U << queue));
}

bool chip_disable_queue(const Port& port, std::uint32_t command, unsigned queue) {
    port.registers().write(command, neta::kQueueCmdDisable.of(1U << queue));
    return wait_for(port.registers(), command, neta::kQueueCmdEnable.of(1U << queue), 0);
}

void chip_change_frame_size(Port& port, std::uint32_t frame_bytes) {
    const vfio::Registers& registers = port.registers();
    link_force(port, false);
    quiet_queues(registers);
    chip_set_frame_size(port, frame_bytes);
    link_force(port, !port.link_forced_down);
    enable_queues(port);
}

}  // namespace crema::neta_pmd
