// SPDX-License-Identifier: BSD-3-Clause
//
// Making and releasing queues. A RX queue brings its own page pool: the mempool that the
// application names is accepted, as ethdev demands one, and not used. All memory comes from the
// EAL and so is mapped for the device already; that every page of a pool has an address is
// checked once here and never on the path.
#include <algorithm>
#include <bit>
#include <cerrno>
#include <new>

#include <rte_malloc.h>

#include "drivers/net/neta/port.h"
#include "drivers/net/neta/secondary.h"
#include "lib/base/log.h"
#include "lib/page_pool/holders.h"
#include "lib/page_pool/memory_model.h"
#include "lib/page_pool/page_pool.h"
#include "lib/page_pool/retire.h"

namespace crema::neta_pmd {
namespace {

constexpr std::uint32_t kRefillBatch = 32;

int refuse(const Error& error) {
    log::error("{}", error.message);
    return -error.code;
}

template <typename T>
Result<T*> ring_memory(const Port& port, const char* what, std::uint32_t n, unsigned node) {
    constexpr std::size_t kBytes = sizeof(T);  // NOLINT(bugprone-sizeof-expression): also pointers
    // At a multiple of its own size it never lies across two huge pages, which a device without
    // IOMMU would not see as neighbours.
    const std::size_t align =
        std::max<std::size_t>(std::bit_ceil(n * kBytes), neta::kRingAlign * 2);
    void* memory = rte_zmalloc_socket("neta_ring", n * kBytes, static_cast<unsigned>(align),
                                      static_cast<int>(node));
    if (memory == nullptr) {
        return fail(ENOMEM,
                    "{}: no DPDK memory for {} of {} descriptors: give the EAL more with -m",
                    name_of(port), what, n);
    }
    Translator translator;
    translator.attach(port.device->dma());
    if (translator.iova_of(memory, n * kBytes) == vfio::DmaSpace::kNoIova) {
        rte_free(memory);
        return fail(ENOSPC, "{}: the device cannot reach {} of {} descriptors in one piece",
                    name_of(port), what, n);
    }
    return static_cast<T*>(memory);
}

Status check_size(const Port& port, const char* kind, unsigned queue, std::uint32_t n) {
    if (n < kRingMin || n > kRingMax || n % 2 != 0) {
        return fail(EINVAL, "{}: {} queue {}: {} descriptors; want an even number from {} to {}",
                    name_of(port), kind, queue, n, kRingMin, kRingMax);
    }
    return {};
}

/// What the driver keeps in a ring, for who asks where pages are. Under traffic the polling thread
/// moves on meanwhile: words are read as they are, and page_pool looks at pages of its own only.
#if defined(__SANITIZE_THREAD__)
[[gnu::no_sanitize_thread]]
#endif
void list_rx(const void* self, page_pool::HeldPages& held) {
    const auto& queue = *static_cast<const RxQueue*>(self);
    for (std::uint32_t slot = 0; slot < queue.size; ++slot) {
        held.add(__atomic_load_n(&queue.pages[slot], __ATOMIC_RELAXED));
    }
}

#if defined(__SANITIZE_THREAD__)
[[gnu::no_sanitize_thread]]
#endif
void list_tx(const void* self, page_pool::HeldPages& held) {
    const auto& queue = *static_cast<const TxQueue*>(self);
    const std::uint32_t in_use = __atomic_load_n(&queue.in_use, __ATOMIC_RELAXED);
    std::uint32_t slot = __atomic_load_n(&queue.oldest, __ATOMIC_RELAXED);
    for (std::uint32_t i = 0; i < in_use; ++i) {
        const TxOwner owner = __atomic_load_n(&queue.owners[slot], __ATOMIC_RELAXED);
        held.add(reinterpret_cast<const rte_mbuf*>(owner & ~kTxChain));
        slot = queue.after(slot);
    }
}

Status check_mapped(const Port& port, const rte_mempool* pool) {
    const page_pool::Memory memory = page_pool::memory_of(pool);
    Translator translator;
    translator.attach(port.device->dma());
    auto* page = static_cast<std::uint8_t*>(memory.start);
    for (std::size_t offset = 0; offset < memory.bytes; offset += page_pool::kPageBytes) {
        if (translator.iova_of(page + offset, page_pool::kPageBytes) == vfio::DmaSpace::kNoIova) {
            return fail(ENOSPC,
                        "{}: the device cannot reach page pool {}: DPDK memory beyond 4 GiB of "
                        "device addresses; give the EAL less",
                        name_of(port), static_cast<const char*>(pool->name));
        }
    }
    return {};
}

Result<rte_mempool*> make_pool(Port& port,
                               unsigned queue,
                               std::uint32_t descriptors,
                               unsigned node) {
    const std::uint32_t least = descriptors + kPoolSlack;
    const std::uint32_t pages = port.args.pool.value_or(std::max(kPoolDefault, 4 * descriptors));
    if (pages < least) {
        return fail(EINVAL,
                    "{}: RX queue {}: pool={} is too small: {} descriptors need at least {} pages",
                    name_of(port), queue, pages, descriptors, least);
    }
    auto pool =
        page_pool::create({.name = fmt::format("neta{}q{}n{}", port.id, queue, port.pools_made++),
                           .pages = pages,
                           .numa_node = static_cast<int>(node),
                           .dma = {.direction = page_pool::DmaDirection::bidirectional,
                                   .sync = !port.device->coherent(),
                                   .offset = page_pool::kDmaOffset,
                                   .max_bytes = page_pool::kDmaBytes}});
    if (!pool) {
        return fail(pool.error().code, "{}: RX queue {}: {}", name_of(port), queue,
                    pool.error().message);
    }
    if (auto reachable = check_mapped(port, *pool); !reachable) {
        page_pool::retire(*pool);
        return forward_error(reachable);
    }
    return *pool;
}

void free_rx(Port& port, unsigned index) {
    RxQueue* queue = port.rx.at(index).get();
    if (queue == nullptr) {
        return;
    }
    page_pool::unregister_holder(queue);
    if (port.hooks != nullptr) {  // null: the port closes
        queue->hook->memory = {};
    }
    if (queue->pages != nullptr) {
        rx_drain(*queue);
    }
    page_pool::retire(queue->pool);
    rte_free(queue->ring);
    rte_free(queue->pages);
    port.rx.at(index).reset();
}

void free_tx(std::unique_ptr<TxQueue>& queue) {
    if (queue == nullptr) {
        return;
    }
    page_pool::unregister_holder(queue.get());
    if (queue->owners != nullptr) {
        tx_drain(*queue);
    }
    rte_free(queue->ring);
    rte_free(queue->owners);
    queue.reset();
}

Status make_rx(Port& port, unsigned index, std::uint32_t descriptors, unsigned node) {
    if (auto right = check_size(port, "RX", index, descriptors); !right) {
        return right;
    }
    free_rx(port, index);
    port.rx.at(index) = std::make_unique<RxQueue>();
    RxQueue& queue = *port.rx.at(index);
    queue.registers = port.registers();
    queue.hook = &port.hooks[index];
    queue.size = queue.empty = descriptors;
    queue.batch = std::min(kRefillBatch, descriptors / 4);
    queue.index = static_cast<std::uint16_t>(index);
    queue.port_id = port.id;
    queue.coherent = port.device->coherent();
    queue.frame_bytes_max = &port.frame_bytes_max;
    queue.translator.attach(port.device->dma());
    queue.counters = &port.rx_counters.at(index);
    auto pool = make_pool(port, index, descriptors, node);
    if (!pool) {
        return forward_error(pool);
    }
    queue.pool = *pool;
    const auto model = page_pool::make_memory_model(page_pool::MemoryType::page_pool, *pool);
    if (!model) {
        return forward_error(model);
    }
    queue.hook->memory = *model;
    auto ring = ring_memory<neta::RxDescriptor>(port, "a RX ring", descriptors, node);
    if (!ring) {
        return forward_error(ring);
    }
    queue.ring = *ring;
    auto pages = ring_memory<rte_mbuf*>(port, "a RX ring", descriptors, node);
    if (!pages) {
        return forward_error(pages);
    }
    queue.pages = *pages;
    page_pool::register_holder(&queue, fmt::format("in RX queue {} of {}", index, name_of(port)),
                               list_rx);
    return {};
}

Status make_tx(Port& port,
               std::unique_ptr<TxQueue>& place,
               unsigned hardware_queue,
               std::uint32_t descriptors,
               unsigned node) {
    if (auto right = check_size(port, "TX", hardware_queue, descriptors); !right) {
        return right;
    }
    free_tx(place);
    place = std::make_unique<TxQueue>();
    place->registers = port.registers();
    place->size = descriptors;
    place->hardware_queue = static_cast<std::uint16_t>(hardware_queue);
    place->frames = hardware_queue >= kAppTxQueues;
    place->coherent = port.device->coherent();
    place->translator.attach(port.device->dma());
    place->counters = &port.tx_counters.at(hardware_queue);
    auto ring = ring_memory<neta::TxDescriptor>(port, "a TX ring", descriptors, node);
    if (!ring) {
        return forward_error(ring);
    }
    place->ring = *ring;
    auto owners = ring_memory<TxOwner>(port, "a TX ring", descriptors, node);
    if (!owners) {
        return forward_error(owners);
    }
    place->owners = *owners;
    page_pool::register_holder(
        place.get(), fmt::format("in TX queue {} of {}", hardware_queue, name_of(port)), list_tx);
    return {};
}

int rx_queue_setup(rte_eth_dev* ethdev,
                   std::uint16_t index,
                   std::uint16_t descriptors,
                   unsigned node,
                   const rte_eth_rxconf* config,
                   rte_mempool* /*pool*/) {
    const auto hold = answers_hold();
    Port& port = port_of(ethdev);
    ethdev->data->rx_queues[index] = nullptr;
    if (auto made = make_rx(port, index, descriptors, node); !made) {
        free_rx(port, index);
        return refuse(made.error());
    }
    port.rx.at(index)->conf = *config;
    ethdev->data->rx_queues[index] = port.rx.at(index).get();
    return 0;
}

int tx_queue_setup(rte_eth_dev* ethdev,
                   std::uint16_t index,
                   std::uint16_t descriptors,
                   unsigned node,
                   const rte_eth_txconf* config) {
    Port& port = port_of(ethdev);
    ethdev->data->tx_queues[index] = nullptr;
    if (auto made = make_tx(port, port.tx.at(index), index, descriptors, node); !made) {
        free_tx(port.tx.at(index));
        return refuse(made.error());
    }
    port.tx.at(index)->conf = *config;
    ethdev->data->tx_queues[index] = port.tx.at(index).get();
    return 0;
}

void rx_queue_release(rte_eth_dev* ethdev, std::uint16_t index) {
    const auto hold = answers_hold();
    free_rx(port_of(ethdev), index);
    ethdev->data->rx_queues[index] = nullptr;
}

void tx_queue_release(rte_eth_dev* ethdev, std::uint16_t index) {
    free_tx(port_of(ethdev).tx.at(index));
    ethdev->data->tx_queues[index] = nullptr;
}

}  // namespace

Status queues_make_xdp(Port& port) {
    for (unsigned i = 0; i < kXdpTxQueues; ++i) {
        const auto node = static_cast<unsigned>(std::max(port.ethdev->data->numa_node, 0));
        if (auto made = make_tx(port, port.xdp_tx.at(i), kAppTxQueues + i, kRingDefault, node);
            !made) {
            return made;
        }
    }
    return {};
}

Status queues_fill(Port& port) {
    for (unsigned i = 0; i < port.ethdev->data->nb_rx_queues; ++i) {
        RxQueue& queue = *port.rx.at(i);
        chip_program_rx_queue(port, i);
        if ((port.rx_running & (1U << i)) == 0) {
            continue;
        }
        rx_refill(queue);
        if (queue.with_chip() == 0) {
            return fail(ENOBUFS,
                        "{}: RX queue {}: all {} pages of its pool are in use; free mbufs first",
                        name_of(port), i, queue.pool->size);
        }
    }
    for (unsigned i = 0; i < kAppTxQueues; ++i) {
        chip_program_tx_queue(port, i,
                              i < port.ethdev->data->nb_tx_queues ? port.tx.at(i).get() : nullptr);
    }
    for (unsigned i = 0; i < kXdpTxQueues; ++i) {
        chip_program_tx_queue(port, kAppTxQueues + i, port.xdp_tx.at(i).get());
    }
    return {};
}

void queues_drain(Port& port) {
    for (auto& queue : port.rx) {
        if (queue != nullptr) {
            rx_drain(*queue);
        }
    }
    for (auto& queue : port.tx) {
        if (queue != nullptr) {
            tx_drain(*queue);
        }
    }
    for (auto& queue : port.xdp_tx) {
        tx_drain(*queue);
    }
}

void queues_release_all(Port& port) {
    for (auto& queue : port.tx) {
        free_tx(queue);
    }
    for (auto& queue : port.xdp_tx) {
        free_tx(queue);
    }
    for (unsigned i = 0; i < kRxQueuesMax; ++i) {
        free_rx(port, i);
    }
    static_cast<void>(page_pool::reap_retired());
}

void queues_add_ops(eth_dev_ops& ops) {
    ops.rx_queue_setup = rx_queue_setup;
    ops.tx_queue_setup = tx_queue_setup;
    ops.rx_queue_release = rx_queue_release;
    ops.tx_queue_release = tx_queue_release;
}

}  // namespace crema::neta_pmd
