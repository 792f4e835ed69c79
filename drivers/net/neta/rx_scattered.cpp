// SPDX-License-Identifier: BSD-3-Clause
//
// Receiving frames that may lie in several buffers: used instead of receive() on ports with
// RTE_ETH_RX_OFFLOAD_SCATTER. The chip fills each buffer to its end and goes on in the next
// descriptor; the first one tells the length of the whole frame, FIRST and LAST mark its ends
// (hardware page 3.4). Pages become a chain of mbufs as they are; a last buffer that got nothing
// but bytes of the FCS goes home. The chip is told of buffers that end before the tail which
// programs never get (kPieceDmaBytes), so the first piece has the kernel's room behind it, and so
// does the last, which may grow.
//
// A chain is taken only when all of it is there and its marks and its length agree. Of a chain that
// does not, one fault is counted and every page goes home, up to LAST or the next FIRST. To a
// program that takes fragments the pages behind the first are such. With another program attached,
// a frame of several pages is a fault (its port had a small MTU when it was attached, so an honest
// device sends none).
#include <algorithm>
#include <array>

#include <rte_branch_prediction.h>
#include <rte_prefetch.h>

#include "drivers/net/neta/port.h"
#include "drivers/net/neta/rx_ring.h"
#include "lib/page_pool/page_pool.h"
#include "lib/vfio/dma_sync.h"

namespace crema::neta_pmd {
namespace {

using page_pool::kDataOffset;
using page_pool::kDmaOffset;
using page_pool::kFirstPieceBytesMax;
using page_pool::kPieceDmaBytes;

struct Written {
    std::uint32_t status;
    std::uint32_t size;

    [[nodiscard]] bool has(std::uint32_t bits) const { return (status & bits) != 0; }

    /// The chip's description of the frame is in memory. Needed of a first descriptor only: whether
    /// others get a size at all is not known (3.4).
    [[nodiscard]] bool described() const { return size != kPoisonSize; }

    [[nodiscard]] bool touched() const { return described() || status != 0; }
};

/// One line at a time, as chains make it uncertain how many will be looked at.
Written read_descriptor(const RxQueue& queue, std::uint32_t slot) {
    const neta::RxDescriptor& descriptor = queue.ring[slot];
    vfio::sync_for_cpu(&descriptor, neta::kDescriptorBytes, queue.coherent);
    return {.status = __atomic_load_n(&descriptor.status, __ATOMIC_RELAXED),
            .size = __atomic_load_n(&descriptor.data_size, __ATOMIC_RELAXED)};
}

/// What lies at the front of the ring.
struct Found {
    enum class Kind : std::uint8_t { unfinished, frame, refused, rest_of_refused };

    Kind kind;
    std::uint32_t descriptors = 0;  // that it takes
    Written first{};
    RxFault fault{};          // refused
    bool goes_on = false;     // refused, and more of it may follow
    bool needs_more = false;  // unfinished: more descriptors than are counted
};

Found refuse(std::uint32_t descriptors, RxFault fault, bool goes_on) {
    return {.kind = Found::Kind::refused,
            .descriptors = descriptors,
            .fault = fault,
            .goes_on = goes_on};
}

/// The descriptors behind `first`, which takes `count` in all.
Found check_chain(const RxQueue& queue, const Written& first, std::uint32_t count) {
    std::uint32_t slot = queue.next;
    for (std::uint32_t i = 1; i < count; ++i) {
        slot = queue.after(slot);
        const Written next = read_descriptor(queue, slot);
        const bool is_end = i + 1 == count;
        if (next.has(neta::kRxFirst)) {
            return refuse(i, RxFault::fragment, false);
        }
        if (next.has(neta::kRxLast) && !is_end) {
            return refuse(i + 1, RxFault::bad_size, false);
        }
        if (!next.has(neta::kRxLast) && is_end) {
            return next.touched() ? refuse(count, RxFault::fragment, true)
                                  : Found{.kind = Found::Kind::unfinished};
        }
    }
    return {.kind = Found::Kind::frame, .descriptors = count, .first = first};
}

Found find_frame(const RxQueue& queue, std::uint32_t len_max) {
    const Written first = read_descriptor(queue, queue.next);
    if (!first.has(neta::kRxFirst)) {
        if (!first.touched()) {
            return {.kind = Found::Kind::unfinished};
        }
        Found found = refuse(1, RxFault::fragment, !first.has(neta::kRxLast));
        if (queue.refusing) {
            found.kind = Found::Kind::rest_of_refused;
        }
        return found;
    }
    if (!first.described()) {
        return {.kind = Found::Kind::unfinished};
    }
    const bool whole = first.has(neta::kRxLast);
    const std::uint32_t len = first.size - kAround;  // wraps for sizes below: too large then
    if (first.has(neta::kRxError)) {
        return refuse(1, fault_of(first.status), !whole);
    }
    if (len - RTE_ETHER_HDR_LEN > len_max - RTE_ETHER_HDR_LEN) {
        return refuse(1, RxFault::bad_size, !whole);
    }
    const std::uint32_t count = (first.size + kPieceDmaBytes - 1) / kPieceDmaBytes;
    if (whole != (count == 1)) {
        return refuse(1, whole ? RxFault::bad_size : RxFault::fragment, !whole);
    }
    if (count > queue.ready) {
        return {.kind = Found::Kind::unfinished, .needs_more = true};
    }
    return check_chain(queue, first, count);
}

rte_mbuf* take_page(RxQueue& queue) {
    rte_mbuf* page = queue.pages[queue.next];
    queue.pages[queue.next] = nullptr;
    queue.next = queue.after(queue.next);
    --queue.ready;
    ++queue.empty;
    ++queue.unreported;
    return page;
}

void send_home(RxQueue& queue, std::uint32_t descriptors) {
    for (std::uint32_t i = 0; i < descriptors; ++i) {
        rte_mbuf* page = take_page(queue);
        page_pool::recycle_bulk(queue.pool, &page, 1);
    }
}

/// Takes the frame's pages and links them.
xdp::Frame take_frame(RxQueue& queue, const Found& found) {
    rte_mbuf* const head = take_page(queue);
    const std::uint32_t len = found.first.size - kAround;
    std::uint8_t* const buffer = page_pool::buffer_of(head);
    vfio::sync_for_cpu(buffer + kDmaOffset, std::min(found.first.size, kPieceDmaBytes),
                       queue.coherent);
    rte_prefetch0(buffer + kDataOffset);
    const std::uint32_t first_bytes = std::min(len, kFirstPieceBytesMax);
    std::uint32_t left = len - first_bytes;
    rte_mbuf* last = head;
    std::uint16_t fragments = 0;
    for (std::uint32_t i = 1; i < found.descriptors; ++i) {
        rte_mbuf* page = take_page(queue);
        const std::uint32_t bytes = std::min(left, kPieceDmaBytes);
        if (bytes == 0) {
            page_pool::recycle_bulk(queue.pool, &page, 1);
            continue;
        }
        std::uint8_t* const data = page_pool::buffer_of(page) + kDmaOffset;
        vfio::sync_for_cpu(data, bytes, queue.coherent);
        page_pool::to_mbuf(page, data, bytes, queue.port_id);
        last->next = page;
        last = page;
        left -= bytes;
        ++fragments;
    }
    return {.page = head,
            .data = buffer + kDataOffset,
            .len = first_bytes,
            .meta_len = 0,
            .fragments = fragments};
}

/// Frames from the front of the ring; bad ones go home.
std::uint32_t take_frames(RxQueue& queue,
                          xdp::Frame* frames,
                          std::uint32_t* statuses,
                          std::uint32_t wanted,
                          std::uint32_t len_max) {
    std::uint32_t good = 0;
    std::uint64_t bytes = 0;
    bool counted_again = false;
    while (good < wanted && queue.ready != 0) {
        const Found found = find_frame(queue, len_max);
        if (found.kind == Found::Kind::unfinished) {
            if (found.needs_more && !counted_again) {
                counted_again = true;
                look_at_count(queue);
                continue;
            }
            queue.counters->late.add(1);
            queue.ready = 0;  // reading the count again lets writes on their way arrive
            break;
        }
        if (found.kind == Found::Kind::frame) [[likely]] {
            queue.refusing = false;
            statuses[good] = found.first.status;
            frames[good++] = take_frame(queue, found);
            bytes += found.first.size - kAround;
            continue;
        }
        if (found.kind == Found::Kind::refused) {
            count_fault(queue, found.fault);
        }
        queue.refusing = found.goes_on;
        send_home(queue, found.descriptors);
    }
    queue.counters->packets.add(good);
    queue.counters->bytes.add(bytes);
    return good;
}

/// statuses null: a program may have changed the frames.
void make_mbufs(const RxQueue& queue,
                const xdp::Frame* frames,
                const std::uint32_t* statuses,
                rte_mbuf** mbufs,
                std::uint32_t n) {
    const std::uint32_t types = queue.type_mask.load(std::memory_order_relaxed);
    for (std::uint32_t i = 0; i < n; ++i) {
        mbufs[i] = xdp::to_mbuf(frames[i], queue.port_id);
        if (statuses != nullptr) {
            add_facts(queue, statuses[i], types, *mbufs[i]);
        }
    }
}

}  // namespace

std::uint16_t receive_scattered(void* queue_pointer, rte_mbuf** mbufs, std::uint16_t n) {
    RxQueue& queue = *static_cast<RxQueue*>(queue_pointer);
    follow_owner(queue);
    const std::uint32_t wanted = std::min<std::uint32_t>(n, xdp::kBurstMax);
    if (queue.ready < wanted) {
        look_at_count(queue);
    }
    std::array<xdp::Frame, xdp::kBurstMax> frames;       // NOLINT(*-init-variables): filled below
    std::array<std::uint32_t, xdp::kBurstMax> statuses;  // NOLINT(*-init-variables): as above
    const bool hooked = queue.hook->active.load(std::memory_order_acquire);
    const bool in_pieces = !hooked || queue.hook->takes_fragments.load(std::memory_order_relaxed);
    const std::uint32_t len_max = queue.frame_bytes_max->load(std::memory_order_relaxed);
    std::uint32_t count =
        take_frames(queue, frames.data(), statuses.data(), wanted,
                    in_pieces ? len_max : std::min(len_max, page_pool::kXdpFrameBytesMax));
    if (count != 0 && hooked) {
        count = queue.hook->run(queue.hook, frames.data(), count);
    }
    make_mbufs(queue, frames.data(), hooked ? nullptr : statuses.data(), mbufs, count);
    if (queue.empty >= queue.batch) {
        rx_refill(queue);
    }
    return static_cast<std::uint16_t>(count);
}

}  // namespace crema::neta_pmd
