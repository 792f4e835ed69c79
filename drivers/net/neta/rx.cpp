// SPDX-License-Identifier: BSD-3-Clause
//
// Receiving: read the chip's count, look at that many descriptors, run the program over the burst
// if there is one, make mbufs of what passes, give the chip new pages. One register read and one
// register write per burst; nothing per packet but descriptor, page and frame.
//
// Order (hardware page 4.5, 7.3): status register, barrier, descriptor lines synced and read,
// frame synced and read. A descriptor that still holds the poison was counted before it reached
// memory: stop there and come back. Descriptors go back in even-aligned pairs only (7.4), because
// two of them share a cache line.
//
// A device may lie: counts are clamped to what it was given, sizes to the page.
#include <algorithm>
#include <array>
#include <cstring>

#include <rte_branch_prediction.h>
#include <rte_prefetch.h>

#include "drivers/net/neta/port.h"
#include "drivers/net/neta/rx_ring.h"
#include "lib/page_pool/dma.h"
#include "lib/page_pool/page_pool.h"
#include "lib/vfio/dma_sync.h"

namespace crema::neta_pmd {
namespace {

using page_pool::kDataOffset;
using page_pool::kDmaOffset;

void sync_descriptors(const RxQueue& queue, std::uint32_t n) {
    if (queue.coherent) [[likely]] {
        return;
    }
    const std::uint32_t first = std::min(n, queue.size - queue.next);
    vfio::sync_for_cpu(&queue.ring[queue.next], first * neta::kDescriptorBytes, false);
    if (first < n) {
        vfio::sync_for_cpu(&queue.ring[0], (n - first) * neta::kDescriptorBytes, false);
    }
}

/// Takes up to `n` ready descriptors; good frames go to `frames`, bad ones home. kFacts: what the
/// chip says of each good frame goes to `statuses`.
template <bool kFacts>
std::uint32_t take_frames(RxQueue& queue,
                          xdp::Frame* frames,
                          [[maybe_unused]] std::uint32_t* statuses,
                          std::uint32_t n) {
    const std::uint32_t len_max = queue.frame_bytes_max->load(std::memory_order_relaxed);
    std::uint32_t good = 0;
    std::uint32_t taken = 0;
    std::uint64_t bytes = 0;
    std::uint32_t slot = queue.next;
    // Read once: the compiler must take any store below for one into the queue.
    const neta::RxDescriptor* const ring = queue.ring;
    rte_mbuf** const pages = queue.pages;
    const std::uint32_t slots = queue.size;
    const bool coherent = queue.coherent;
    sync_descriptors(queue, n);
    for (; taken < n; ++taken) {
        const neta::RxDescriptor& descriptor = ring[slot];
        const std::uint32_t status = __atomic_load_n(&descriptor.status, __ATOMIC_RELAXED);
        const std::uint32_t size = __atomic_load_n(&descriptor.data_size, __ATOMIC_RELAXED);
        if (size == kPoisonSize) [[unlikely]] {
            queue.counters->late.add(1);
            queue.ready = taken;  // reading the count again lets writes on their way arrive
            break;
        }
        rte_mbuf* page = pages[slot];
        pages[slot] = nullptr;
        slot = slot + 1 == slots ? 0 : slot + 1;
        const std::uint32_t len = size - kAround;  // wraps for sizes below: too large then
        if ((status & (kSingle | neta::kRxError)) != kSingle ||
            len - RTE_ETHER_HDR_LEN > len_max - RTE_ETHER_HDR_LEN) [[unlikely]] {
            count_fault(queue, fault_of(status));
            if (!coherent) {
                page_pool::note_touched(page, 0);
            }
            page_pool::recycle_bulk(queue.pool, &page, 1);
            continue;
        }
        std::uint8_t* buffer = page_pool::buffer_of(page);
        vfio::sync_for_cpu(buffer + kDmaOffset, size, coherent);
        if (!coherent) [[unlikely]] {
            page_pool::note_touched(page, size);
        }
        rte_prefetch0(buffer + kDataOffset);
        rte_prefetch0(page);
        bytes += len;
        if constexpr (kFacts) {
            statuses[good] = status;
        }
        frames[good++] = {
            .page = page, .data = buffer + kDataOffset, .len = len, .meta_len = 0, .fragments = 0};
    }
    queue.next = slot;
    queue.ready -= taken;
    queue.empty += taken;
    queue.unreported += taken;
    queue.counters->packets.add(good);
    queue.counters->bytes.add(bytes);
    return good;
}

/// Gives up to 64 pages to the chip, in pairs; returns how many descriptors became new.
std::uint32_t fill_slots(RxQueue& queue) {
    std::array<rte_mbuf*, xdp::kBurstMax> pages{};
    const std::uint32_t wanted =
        std::min<std::uint32_t>(queue.empty, static_cast<std::uint32_t>(pages.size())) & ~1U;
    std::uint32_t got = page_pool::alloc_bulk(queue.pool, pages.data(), wanted);
    if (got < wanted) [[unlikely]] {
        queue.counters->refill_short.add(wanted - got);
        if ((got & 1U) != 0) {
            page_pool::recycle_bulk(queue.pool, &pages[--got], 1);
        }
    }
    std::uint32_t slot = queue.refill_next;
    // As in take_frames().
    neta::RxDescriptor* const ring = queue.ring;
    rte_mbuf** const slot_pages = queue.pages;
    const std::uint32_t slots = queue.size;
    const bool coherent = queue.coherent;
    Translator translator = queue.translator;
    for (std::uint32_t i = 0; i < got; ++i) {
        std::uint8_t* dma = page_pool::buffer_of(pages[i]) + kDmaOffset;
        // No dirty line may be left: of what XDP had, those that came; else whoever had the page
        // may have written anywhere in it.
        if (!coherent) [[unlikely]] {
            vfio::sync_for_device(dma, page_pool::take_touched(pages[i], page_pool::kDmaBytes),
                                  false);
        }
        neta::RxDescriptor& descriptor = ring[slot];
        descriptor.status = 0;
        descriptor.pnc_info = kPoisonInfo;
        descriptor.data_size = kPoisonSize;
        descriptor.buf_addr = translator.iova_of(dma, page_pool::kDmaBytes);
        if ((slot & 1U) != 0) {
            vfio::sync_for_device(&ring[slot - 1], 2 * neta::kDescriptorBytes, coherent);
        }
        slot_pages[slot] = pages[i];
        slot = slot + 1 == slots ? 0 : slot + 1;
    }
    queue.translator = translator;
    queue.refill_next = slot;
    queue.empty -= got;
    return got;
}

[[gnu::always_inline]] inline void make_mbufs(const RxQueue& queue,
                                              const xdp::Frame* frames,
                                              rte_mbuf** mbufs,
                                              std::uint32_t n) {
    for (std::uint32_t i = 0; i < n; ++i) {
        page_pool::to_mbuf(frames[i].page, frames[i].data, frames[i].len, queue.port_id);
        mbufs[i] = frames[i].page;
    }
}

/// As make_mbufs(), with packet type and checksum flags as the queue was asked for them.
void make_mbufs_with_facts(const RxQueue& queue,
                           const xdp::Frame* frames,
                           const std::uint32_t* statuses,
                           rte_mbuf** mbufs,
                           std::uint32_t n) {
    const std::uint32_t types = queue.type_mask.load(std::memory_order_relaxed);
    for (std::uint32_t i = 0; i < n; ++i) {
        rte_mbuf* page = frames[i].page;
        page_pool::to_mbuf(page, frames[i].data, frames[i].len, queue.port_id);
        add_facts(queue, statuses[i], types, *page);
        mbufs[i] = page;
    }
}

template <bool kFacts>
std::uint16_t receive_burst(RxQueue& queue, rte_mbuf** mbufs, std::uint16_t n) {
    follow_owner(queue);
    const std::uint32_t wanted = std::min<std::uint32_t>(n, xdp::kBurstMax);
    if (queue.ready < wanted) {
        look_at_count(queue);
    }
    std::array<xdp::Frame, xdp::kBurstMax> frames;                    // NOLINT(*-init-variables)
    std::array<std::uint32_t, kFacts ? xdp::kBurstMax : 1> statuses;  // NOLINT(*-init-variables)
    const std::uint32_t ready = std::min(queue.ready, wanted);
    std::uint32_t count = 0;
    if (ready != 0) {
        count = take_frames<kFacts>(queue, frames.data(), statuses.data(), ready);
        const bool hooked = queue.hook->active.load(std::memory_order_acquire);
        if (count != 0 && hooked) {
            count = queue.hook->run(queue.hook, frames.data(), count);
        }
        // A program may have changed the frame since the chip looked at it: nothing is claimed.
        if (kFacts && !hooked) {
            make_mbufs_with_facts(queue, frames.data(), statuses.data(), mbufs, count);
        } else {
            make_mbufs(queue, frames.data(), mbufs, count);
        }
    }
    if (queue.empty >= queue.batch) {
        rx_refill(queue);
    }
    return static_cast<std::uint16_t>(count);
}

}  // namespace

void rx_refill(RxQueue& queue) {
    queue.translator.begin_burst();
    std::uint32_t fresh = 0;
    while (queue.empty >= 2) {
        const std::uint32_t got = fill_slots(queue);
        if (got == 0) {
            break;
        }
        fresh += got;
    }
    vfio::publish_barrier(queue.coherent);
    while (fresh != 0 || queue.unreported != 0) {
        const std::uint32_t processed = std::min(queue.unreported, neta::kUpdateMax);
        const std::uint32_t added = std::min(fresh, neta::kUpdateMax);
        queue.registers.write(
            neta::rxq_status_update(queue.index),
            neta::kRxqUpdateProcessed.of(processed) | neta::kRxqUpdateNew.of(added));
        queue.unreported -= processed;
        fresh -= added;
    }
}

std::uint32_t rx_waiting(const RxQueue& queue) {
    return std::min(claimed_by_chip(queue), queue.with_chip());
}

void rx_discard_received(RxQueue& queue) {
    look_at_count(queue);
    for (; queue.ready != 0; --queue.ready) {
        page_pool::recycle_bulk(queue.pool, &queue.pages[queue.next], 1);
        queue.pages[queue.next] = nullptr;
        queue.next = queue.after(queue.next);
        ++queue.empty;
        ++queue.unreported;
    }
    queue.refusing = false;
}

void rx_drain(RxQueue& queue) {
    for (std::uint32_t slot = 0; slot < queue.size; ++slot) {
        if (queue.pages[slot] != nullptr) {
            page_pool::recycle_bulk(queue.pool, &queue.pages[slot], 1);
            queue.pages[slot] = nullptr;
        }
    }
    queue.next = queue.refill_next = queue.ready = queue.unreported = 0;
    queue.refusing = false;
    queue.empty = queue.size;
}

std::uint16_t receive(void* queue, rte_mbuf** mbufs, std::uint16_t n) {
    return receive_burst<false>(*static_cast<RxQueue*>(queue), mbufs, n);
}

std::uint16_t receive_with_facts(void* queue, rte_mbuf** mbufs, std::uint16_t n) {
    return receive_burst<true>(*static_cast<RxQueue*>(queue), mbufs, n);
}

}  // namespace crema::neta_pmd
