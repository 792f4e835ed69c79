// SPDX-License-Identifier: BSD-3-Clause
//
// RX interrupts in ethdev's way: an application that found nothing sleeps on an event descriptor of
// its queue. The chip has one line, which reaches us as one descriptor of the device and is silent
// after each event until it is armed again; two threads that sleep on it would take each other's
// events. So a port with RX interrupts has one RX queue.
#include <cerrno>

#include <rte_interrupts.h>

#include "drivers/net/neta/port.h"
#include "lib/base/log.h"

namespace crema::neta_pmd {
namespace {

Status fill_handle(rte_intr_handle* handle, int fd) {
    const bool done = rte_intr_type_set(handle, RTE_INTR_HANDLE_VDEV) == 0 &&
                      rte_intr_vec_list_alloc(handle, "neta", 1) == 0 &&
                      rte_intr_nb_efd_set(handle, 1) == 0 &&
                      rte_intr_efds_index_set(handle, 0, fd) == 0 &&
                      rte_intr_efd_counter_size_set(handle, sizeof(std::uint64_t)) == 0 &&
                      rte_intr_vec_list_index_set(handle, 0, RTE_INTR_VEC_RXTX_OFFSET) == 0;
    return done ? Status{} : Status(fail(ENOMEM, "the EAL has no room for its interrupt"));
}

/// Called by the thread that polls the queue. The cause is a level, "descriptors are occupied":
/// what was looked at must be reported before, and frames that are there already raise it at once.
int rx_interrupt_enable(rte_eth_dev* ethdev, std::uint16_t queue) {
    const Port& port = port_of(ethdev);
    rx_refill(*port.rx.at(queue));
    port.registers().write(neta::kIntrNewMask, neta::kIntrRxq.of(1U << queue));
    port.device->rearm_interrupt();
    return 0;
}

int rx_interrupt_disable(rte_eth_dev* ethdev, std::uint16_t /*queue*/) {
    port_of(ethdev).registers().write(neta::kIntrNewMask, 0);
    return 0;
}

}  // namespace

Status rx_interrupt_start(Port& port) {
    const rte_eth_dev_data& data = *port.ethdev->data;
    if (data.dev_conf.intr_conf.rxq == 0) {
        return {};
    }
    if (data.nb_rx_queues != 1) {
        return fail(ENOTSUP, "{}: the chip has one interrupt line: want one RX queue, not {}",
                    name_of(port), data.nb_rx_queues);
    }
    auto fd = port.device->enable_interrupt();
    if (!fd) {
        return fail(fd.error().code, "{}: {}", name_of(port), fd.error().message);
    }
    port.ethdev->intr_handle = rte_intr_instance_alloc(RTE_INTR_INSTANCE_F_PRIVATE);
    if (auto filled = fill_handle(port.ethdev->intr_handle, *fd); !filled) {
        rx_interrupt_stop(port);
        return fail(filled.error().code, "{}: {}", name_of(port), filled.error().message);
    }
    return {};
}

void rx_interrupt_stop(Port& port) {
    rte_intr_handle* handle = port.ethdev->intr_handle;
    if (handle == nullptr) {
        return;
    }
    port.ethdev->intr_handle = nullptr;
    port.device->disable_interrupt();
    rte_intr_free_epoll_fd(handle);  // nobody sleeps on a port that is stopped
    rte_intr_vec_list_free(handle);
    rte_intr_instance_free(handle);
}

void rx_interrupt_add_ops(eth_dev_ops& ops) {
    ops.rx_queue_intr_enable = rx_interrupt_enable;
    ops.rx_queue_intr_disable = rx_interrupt_disable;
}

}  // namespace crema::neta_pmd
