// SPDX-License-Identifier: BSD-3-Clause
//
// Starting and stopping one queue while the port runs, and what can be asked about a queue. The
// chip has an enable bit for each queue and a DMA reset only for all of them: descriptors that were
// given away cannot be taken back. So a stopped RX queue keeps its empty pages in the ring, and
// what it had received is dropped; a TX queue is stopped when it has sent what it was given.
#include <cerrno>

#include <rte_cycles.h>
#include <rte_string_fns.h>

#include "drivers/net/neta/port.h"
#include "lib/base/log.h"
#include "lib/page_pool/page_pool.h"

namespace crema::neta_pmd {
namespace {

constexpr unsigned kPollUs = 10;
constexpr unsigned kPolls = 10000;  // 100 ms

int rx_queue_start(rte_eth_dev* ethdev, std::uint16_t index) {
    Port& port = port_of(ethdev);
    RxQueue& queue = *port.rx.at(index);
    rx_refill(queue);
    if (queue.with_chip() == 0) {
        log::error("{}: RX queue {}: all pages of its pool are in use; free mbufs first",
                   name_of(port), index);
        return -ENOBUFS;
    }
    chip_enable_queue(port, neta::kRxqCmd, index);
    port.rx_running |= 1U << index;
    ethdev->data->rx_queue_state[index] = RTE_ETH_QUEUE_STATE_STARTED;
    return 0;
}

int rx_queue_stop(rte_eth_dev* ethdev, std::uint16_t index) {
    Port& port = port_of(ethdev);
    if (!chip_disable_queue(port, neta::kRxqCmd, index)) {
        log::error("{}: RX queue {} does not come to rest", name_of(port), index);
        return -EIO;
    }
    RxQueue& queue = *port.rx.at(index);
    rx_discard_received(queue);
    rx_refill(queue);
    port.rx_running &= ~(1U << index);
    ethdev->data->rx_queue_state[index] = RTE_ETH_QUEUE_STATE_STOPPED;
    return 0;
}

int tx_queue_start(rte_eth_dev* ethdev, std::uint16_t index) {
    Port& port = port_of(ethdev);
    chip_enable_queue(port, neta::kTxqCmd, index);
    port.tx_running |= 1U << index;
    ethdev->data->tx_queue_state[index] = RTE_ETH_QUEUE_STATE_STARTED;
    return 0;
}

int tx_queue_stop(rte_eth_dev* ethdev, std::uint16_t index) {
    Port& port = port_of(ethdev);
    const vfio::Registers& registers = port.registers();
    for (unsigned i = 0; i < kPolls; ++i) {
        if (neta::kTxqStatusPending.get(registers.read(neta::txq_status(index))) == 0) {
            break;
        }
        rte_delay_us_block(kPollUs);
    }
    if (!chip_disable_queue(port, neta::kTxqCmd, index)) {
        log::error("{}: TX queue {} does not come to rest", name_of(port), index);
        return -EIO;
    }
    TxQueue& queue = *port.tx.at(index);
    tx_reclaim(queue);
    if (queue.in_use != 0) {
        log::warning(
            "{}: TX queue {} stopped with {} descriptors not sent: they wait for its start",
            name_of(port), index, queue.in_use);
    }
    port.tx_running &= ~(1U << index);
    ethdev->data->tx_queue_state[index] = RTE_ETH_QUEUE_STATE_STOPPED;
    return 0;
}

std::uint32_t rx_queue_count(void* queue) {
    return rx_waiting(*static_cast<const RxQueue*>(queue));
}

int rx_descriptor_status(void* queue_pointer, std::uint16_t offset) {
    const RxQueue& queue = *static_cast<const RxQueue*>(queue_pointer);
    if (offset >= queue.size) {
        return -EINVAL;
    }
    if (offset < rx_waiting(queue)) {
        return RTE_ETH_RX_DESC_DONE;
    }
    return offset < queue.with_chip() ? RTE_ETH_RX_DESC_AVAIL : RTE_ETH_RX_DESC_UNAVAIL;
}

/// offset: counted from the descriptor that the next mbuf will take.
int tx_descriptor_status(void* queue_pointer, std::uint16_t offset) {
    const TxQueue& queue = *static_cast<const TxQueue*>(queue_pointer);
    if (offset >= queue.size) {
        return -EINVAL;
    }
    const bool done = offset < queue.room() || offset - queue.room() < tx_sent(queue);
    return done ? RTE_ETH_TX_DESC_DONE : RTE_ETH_TX_DESC_FULL;
}

void rx_queue_info(rte_eth_dev* ethdev, std::uint16_t index, rte_eth_rxq_info* info) {
    const RxQueue& queue = *port_of(ethdev).rx.at(index);
    info->mp = queue.pool;  // ours, whatever the application named
    info->conf = queue.conf;
    info->conf.rx_free_thresh = static_cast<std::uint16_t>(queue.batch);
    info->conf.rx_drop_en = 1;  // a queue without descriptors drops, and only its own frames
    info->scattered_rx = ethdev->data->scattered_rx;
    info->nb_desc = static_cast<std::uint16_t>(queue.size);
    info->rx_buf_size = static_cast<std::uint16_t>(rx_buffer_bytes(ethdev));
}

void tx_queue_info(rte_eth_dev* ethdev, std::uint16_t index, rte_eth_txq_info* info) {
    const TxQueue& queue = *port_of(ethdev).tx.at(index);
    info->conf = queue.conf;
    info->nb_desc = static_cast<std::uint16_t>(queue.size);
}

int burst_mode(const char* what, rte_eth_burst_mode* mode) {
    rte_strscpy(static_cast<char*>(mode->info), what, sizeof(mode->info));
    return 0;
}

int rx_burst_mode(rte_eth_dev* ethdev, std::uint16_t /*index*/, rte_eth_burst_mode* mode) {
    return burst_mode(path_rx_name(port_of(ethdev)), mode);
}

int tx_burst_mode(rte_eth_dev* ethdev, std::uint16_t /*index*/, rte_eth_burst_mode* mode) {
    return burst_mode(path_tx_name(port_of(ethdev)), mode);
}

int tx_done_cleanup(void* queue, std::uint32_t free_count) {
    static_cast<void>(free_count);  // all that was sent costs no more than a part of it
    return static_cast<int>(tx_reclaim(*static_cast<TxQueue*>(queue)));
}

}  // namespace

void queue_control_add_ops(eth_dev_ops& ops) {
    ops.rx_queue_start = rx_queue_start;
    ops.rx_queue_stop = rx_queue_stop;
    ops.tx_queue_start = tx_queue_start;
    ops.tx_queue_stop = tx_queue_stop;
    ops.rxq_info_get = rx_queue_info;
    ops.txq_info_get = tx_queue_info;
    ops.rx_burst_mode_get = rx_burst_mode;
    ops.tx_burst_mode_get = tx_burst_mode;
    ops.tx_done_cleanup = tx_done_cleanup;
}

void queue_control_attach(rte_eth_dev& ethdev) {
    ethdev.rx_queue_count = rx_queue_count;
    ethdev.rx_descriptor_status = rx_descriptor_status;
    ethdev.tx_descriptor_status = tx_descriptor_status;
}

}  // namespace crema::neta_pmd
