// SPDX-License-Identifier: BSD-3-Clause
//
// The chip's sequences as a port needs them: queue set-up (hardware page 5.3), start (5.4), stop
// (5.5), another frame size (5.7). Those that need no port are in lib/neta/sequences.h. Nothing
// here is on the packet path.
#include <algorithm>

#include "drivers/net/neta/port.h"
#include "lib/neta/sequences.h"

namespace crema::neta_pmd {
namespace {

void enable_queues(const Port& port) {
    constexpr std::uint32_t kXdpQueues = ((1U << kXdpTxQueues) - 1) << kAppTxQueues;
    port.registers().write(neta::kTxqCmd, port.tx_running | kXdpQueues);
    port.registers().write(neta::kRxqCmd, port.rx_running);
}

}  // namespace

void chip_init(Port& port) {
    neta::take_over(port.registers(), port.args.windows);
    counters_collect_hardware(port);  // reading clears; what was there belongs to nobody
    port.hardware = {};
}

void chip_program_rx_queue(Port& port, unsigned queue) {
    const vfio::Registers& registers = port.registers();
    const RxQueue& own = *port.rx[queue];
    const std::uint32_t buffer_units = rx_buffer_bytes(port.ethdev) / 8;
    registers.write(neta::rxq_base(queue), port.device->dma().iova_of(own.ring));
    registers.write(neta::rxq_size(queue),
                    neta::kRxqSizeBufSize.of(buffer_units) | neta::kRxqSizeDescNum.of(own.size));
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
    neta::open_shaper(registers, frame_bytes);
}

void chip_start(Port& port) {
    const vfio::Registers& registers = port.registers();
    const bool loopback = port.ethdev->data->dev_conf.lpbk_mode != 0;
    std::uint32_t control = registers.read(neta::kGmacCtrl1) & ~neta::kGmacCtrl1GmiiLoopback;
    registers.write(neta::kGmacCtrl1, control | (loopback ? neta::kGmacCtrl1GmiiLoopback : 0));
    chip_set_frame_size(port, port.frame_bytes_max.load(std::memory_order_relaxed));
    control = registers.read(neta::kGmacCtrl0);
    registers.write(neta::kGmacCtrl0, control | neta::kGmacCtrl0PortEn);
    link_force(port, !port.link_forced_down);
    enable_queues(port);
}

bool chip_stop(Port& port) {
    const vfio::Registers& registers = port.registers();
    const bool quiet = neta::quiet_queues(registers);
    neta::disable_mac(registers);
    neta::silence_interrupts(registers);
    neta::reset_dma(registers);
    link_force(port, false);
    return quiet;
}

void chip_enable_queue(const Port& port, std::uint32_t command, unsigned queue) {
    port.registers().write(command, neta::kQueueCmdEnable.of(1U << queue));
}

bool chip_disable_queue(const Port& port, std::uint32_t command, unsigned queue) {
    port.registers().write(command, neta::kQueueCmdDisable.of(1U << queue));
    return neta::wait_for(port.registers(), command, neta::kQueueCmdEnable.of(1U << queue), 0);
}

void chip_change_frame_size(Port& port, std::uint32_t frame_bytes) {
    const vfio::Registers& registers = port.registers();
    link_force(port, false);
    neta::quiet_queues(registers);
    chip_set_frame_size(port, frame_bytes);
    link_force(port, !port.link_forced_down);
    enable_queues(port);
}

}  // namespace crema::neta_pmd
