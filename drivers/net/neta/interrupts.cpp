// SPDX-License-Identifier: BSD-3-Clause
//
// Interrupts in ethdev's way: an application that found nothing sleeps on an event descriptor of
// its queue, and is told of link changes. The chip has one line, which reaches us as one descriptor
// of the device and is silent after each event until it is armed again. So the EAL's interrupt
// thread waits for it, and wakes the queues that the cause names: a queue that was woken is out of
// the mask until its thread asks again, and with no cause left in the mask the line is armed anew.
#include <cerrno>
#include <cstring>
#include <sys/eventfd.h>

#include "drivers/net/neta/port.h"
#include "lib/base/log.h"

namespace crema::neta_pmd {
namespace {

constexpr std::uint32_t kLinkCauses =
    neta::kIntrMiscLinkChange | neta::kIntrMiscPhyStatus | neta::kIntrMiscPcsSync;

/// With the lock held.
void write_mask(const Port& port) {
    const Interrupts& own = port.interrupts;
    port.registers().write(neta::kIntrNewMask,
                           neta::kIntrRxq.of(own.armed) | (own.link ? neta::kIntrMiscSummary : 0));
}

/// In the EAL's interrupt thread.
void dispatch(void* arg) {
    Port& port = *static_cast<Port*>(arg);
    Interrupts& own = port.interrupts;
    std::uint64_t count = 0;
    (void)::eventfd_read(rte_intr_fd_get(own.line), &count);
    const vfio::Registers& registers = port.registers();
    const std::uint32_t cause = registers.read(neta::kIntrNewCause);
    rte_spinlock_lock(&own.lock);
    const std::uint32_t woken = neta::kIntrRxq.get(cause) & own.armed;
    own.armed &= ~woken;
    write_mask(port);
    rte_spinlock_unlock(&own.lock);
    for (unsigned q = 0; q < neta::kQueues; ++q) {
        if ((woken & (1U << q)) != 0) {
            (void)::eventfd_write(own.events.at(q).get(), 1);
        }
    }
    if (own.link && (cause & neta::kIntrMiscSummary) != 0) {
        const std::uint32_t misc = registers.read(neta::kIntrMiscCause);
        registers.write(neta::kIntrMiscCause, ~misc);
        link_look(port);
    }
    port.device->rearm_interrupt();
}

Status no_room(const Port& port) {
    return fail(ENOMEM, "{}: the EAL has no room for its interrupts", name_of(port));
}

/// The vector of each queue, as ethdev wants to see it.
Status make_vectors(Port& port) {
    const int queues = port.ethdev->data->nb_rx_queues;
    rte_intr_handle* handle = rte_intr_instance_alloc(RTE_INTR_INSTANCE_F_PRIVATE);
    port.ethdev->intr_handle = handle;
    bool done = handle != nullptr && rte_intr_type_set(handle, RTE_INTR_HANDLE_VDEV) == 0 &&
                rte_intr_vec_list_alloc(handle, "neta", queues) == 0 &&
                rte_intr_nb_efd_set(handle, queues) == 0 &&
                rte_intr_efd_counter_size_set(handle, sizeof(std::uint64_t)) == 0;
    for (int q = 0; done && q < queues; ++q) {
        UniqueFd& event = port.interrupts.events.at(static_cast<std::size_t>(q));
        event = UniqueFd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
        if (!event.valid()) {
            return fail(errno, "{}: no eventfd: {}", name_of(port), std::strerror(errno));
        }
        done = rte_intr_efds_index_set(handle, q, event.get()) == 0 &&
               rte_intr_vec_list_index_set(handle, q, RTE_INTR_VEC_RXTX_OFFSET + q) == 0;
    }
    return done ? Status() : no_room(port);
}

Status attach_line(Port& port, int fd) {
    Interrupts& own = port.interrupts;
    own.line = rte_intr_instance_alloc(RTE_INTR_INSTANCE_F_PRIVATE);
    if (own.line == nullptr || rte_intr_type_set(own.line, RTE_INTR_HANDLE_EXT) != 0 ||
        rte_intr_fd_set(own.line, fd) != 0) {
        return no_room(port);
    }
    if (const int rc = rte_intr_callback_register(own.line, dispatch, &port); rc < 0) {
        rte_intr_instance_free(own.line);
        own.line = nullptr;
        return fail(-rc, "{}: the EAL cannot wait for its interrupt", name_of(port));
    }
    return {};
}

void drop_vectors(Port& port) {
    if (rte_intr_handle* handle = port.ethdev->intr_handle; handle != nullptr) {
        port.ethdev->intr_handle = nullptr;
        rte_intr_free_epoll_fd(handle);  // nobody sleeps on a port that is stopped
        rte_intr_vec_list_free(handle);
        rte_intr_instance_free(handle);
    }
    for (UniqueFd& event : port.interrupts.events) {
        event = UniqueFd();
    }
}

Status start_all(Port& port, bool rx) {
    auto fd = port.device->enable_interrupt();
    if (!fd) {
        return fail(fd.error().code, "{}: {}", name_of(port), fd.error().message);
    }
    if (rx) {
        if (auto made = make_vectors(port); !made) {
            return made;
        }
    }
    return attach_line(port, *fd);
}

/// Called by the thread that polls the queue. The cause is a level, "descriptors are occupied":
/// what was looked at must be reported before, and frames that are there already raise it at once.
int rx_interrupt_enable(rte_eth_dev* ethdev, std::uint16_t queue) {
    Port& port = port_of(ethdev);
    rx_refill(*port.rx.at(queue));
    rte_spinlock_lock(&port.interrupts.lock);
    port.interrupts.armed |= 1U << queue;
    write_mask(port);
    rte_spinlock_unlock(&port.interrupts.lock);
    return 0;
}

int rx_interrupt_disable(rte_eth_dev* ethdev, std::uint16_t queue) {
    Port& port = port_of(ethdev);
    rte_spinlock_lock(&port.interrupts.lock);
    port.interrupts.armed &= ~(1U << queue);
    write_mask(port);
    rte_spinlock_unlock(&port.interrupts.lock);
    return 0;
}

}  // namespace

Status interrupts_start(Port& port) {
    const rte_eth_intr_conf& wanted = port.ethdev->data->dev_conf.intr_conf;
    const bool rx = wanted.rxq != 0;
    if (!rx && wanted.lsc == 0) {
        return {};
    }
    const Status started = start_all(port, rx);
    port.interrupts.link = started.has_value() && wanted.lsc != 0;
    if (!started) {
        interrupts_stop(port);
    }
    return rx ? started : Status();  // link changes are also looked for (link.cpp)
}

void interrupts_show(Port& port) {
    if (port.interrupts.link) {
        port.registers().write(neta::kIntrMiscMask, kLinkCauses);
    }
    rte_spinlock_lock(&port.interrupts.lock);
    write_mask(port);
    rte_spinlock_unlock(&port.interrupts.lock);
}

void interrupts_stop(Port& port) {
    Interrupts& own = port.interrupts;
    if (own.line != nullptr) {
        rte_intr_callback_unregister_sync(own.line, dispatch, &port);
        rte_intr_instance_free(own.line);
        own.line = nullptr;
    }
    port.device->disable_interrupt();
    drop_vectors(port);
    own.armed = 0;
    own.link = false;
}

void interrupts_add_ops(eth_dev_ops& ops) {
    ops.rx_queue_intr_enable = rx_interrupt_enable;
    ops.rx_queue_intr_disable = rx_interrupt_disable;
}

}  // namespace crema::neta_pmd
