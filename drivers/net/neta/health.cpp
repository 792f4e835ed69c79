// SPDX-License-Identifier: BSD-3-Clause
//
// Notices what only a full stop and a new start cure (hardware page 5.11), and tells the
// application once, by RTE_ETH_EVENT_INTR_RESET, as only it can order them:
// * a transmitter that hangs: descriptors are pending, the link is up, nobody asked for a pause,
//   and for five seconds the chip does not move on;
// * a device that had vanished and is there again.
#include <rte_ethdev.h>

#include "drivers/net/neta/port.h"
#include "lib/base/log.h"

namespace crema::neta_pmd {
namespace {

constexpr unsigned kLooksOfAHang = 50;  // at 100 ms
constexpr std::size_t kPauseFrames = (neta::kMibGoodFcRx - neta::kMib) / 4;

/// Does queue `q` stand where it stood at the last look, with work to do?
bool stands_still(const Port& port, Health& health, unsigned q) {
    const vfio::Registers& registers = port.registers();
    const std::uint32_t index = neta::kTxqIndexValue.get(registers.read(neta::txq_index(q)));
    const bool moved = index != health.tx_index.at(q);
    health.tx_index.at(q) = index;
    return !moved && neta::kTxqStatusPending.get(registers.read(neta::txq_status(q))) != 0;
}

}  // namespace

void health_start(Port& port) {
    port.health = {};
}

void health_look_for_return(Port& port) {
    if (!port.health.told_back && port.device->is_back()) {
        port.health.told_back = true;
        log::warning("{}: the device is back; reset the port", name_of(port));
        rte_eth_dev_callback_process(port.ethdev, RTE_ETH_EVENT_INTR_RESET, nullptr);
    }
}

void health_look(Port& port) {
    Health& health = port.health;
    counters_collect_hardware(port);
    const std::uint64_t pauses = port.hardware.mib.at(kPauseFrames);
    const bool excused =
        port.ethdev->data->dev_link.link_status == RTE_ETH_LINK_DOWN || pauses != health.pauses;
    health.pauses = pauses;
    // A queue that was stopped keeps what it has.
    const std::uint32_t enabled = neta::kQueueCmdEnable.get(port.registers().read(neta::kTxqCmd));
    bool hangs = false;
    for (unsigned q = 0; q < neta::kQueues; ++q) {
        const bool runs = (enabled & (1U << q)) != 0;
        const bool still = stands_still(port, health, q) && runs && !excused;
        health.still.at(q) = still ? health.still.at(q) + 1 : 0;
        hangs = hangs || health.still.at(q) >= kLooksOfAHang;
    }
    if (hangs && !health.told) {
        health.told = true;
        log::error("{}: the transmitter hangs; reset the port", name_of(port));
        rte_eth_dev_callback_process(port.ethdev, RTE_ETH_EVENT_INTR_RESET, nullptr);
    }
}

}  // namespace crema::neta_pmd
