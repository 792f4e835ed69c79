// SPDX-License-Identifier: BSD-3-Clause
//
// Sending: free what the chip has sent, write descriptors, ring the doorbell once per burst.
// Two kinds of caller share all of it but the buffers: applications send mbufs (also chains, shared
// and indirect ones, from any pool in DPDK memory), XDP programs send pages.
//
// A buffer that no mapped range covers is refused and counted, never sent wrong. Rules of the chip:
// all words of a frame's descriptors are in memory before the doorbell covers them (hardware page
// 3.5, 4.5); SENT counts descriptors; both counter fields take at most 255 per write (4.2).
//
// RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE is not offered: frames that were received lie in our page
// pools, not in the pool the application named, so "all from one pool" cannot be promised to us.
#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include <rte_branch_prediction.h>
#include <rte_errno.h>
#include <rte_mbuf.h>

#include "drivers/net/neta/offloads.h"
#include "drivers/net/neta/port.h"
#include "lib/base/check.h"
#include "lib/base/prefetch.h"
#include "lib/page_pool/page_pool.h"
#include "lib/vfio/dma_sync.h"

namespace crema::neta_pmd {
namespace {

/// The count of sent descriptors is read (an uncached access, which waits for the bus) when this
/// many may have been, or a quarter of the ring: mbufs of an application, and pages of programs, of
/// which RX rings have need soon.
constexpr std::uint32_t kReclaimMbufsAt = 128;
constexpr std::uint32_t kReclaimPagesAt = 32;
constexpr std::uint32_t kHomeBatch = 64;

/// Collects mbufs that go home to the same pool.
class Homebound {
  public:
    void add(rte_mbuf* mbuf) {
        if (count_ == kHomeBatch || (count_ != 0 && mbuf->pool != pool_)) {
            flush();
        }
        pool_ = mbuf->pool;
        mbufs_[count_++] = mbuf;
    }

    void flush() {
        if (count_ != 0) {
            rte_mempool_put_bulk(pool_, reinterpret_cast<void* const*>(mbufs_.data()), count_);
            count_ = 0;
        }
    }

  private:
    rte_mempool* pool_ = nullptr;
    std::uint32_t count_ = 0;
    std::array<rte_mbuf*, kHomeBatch> mbufs_;  // NOLINT(*-member-init): [0, count_) is set
};

void free_mbuf(Homebound& home, TxOwner owner) {
    if ((owner & kTxChain) != 0) {
        rte_pktmbuf_free(reinterpret_cast<rte_mbuf*>(owner & ~kTxChain));
        return;
    }
    auto* mbuf = reinterpret_cast<rte_mbuf*>(owner);
    // One segment: `next` is null by the mbuf's rules and its cache line need not be read.
    if (rte_mbuf_refcnt_read(mbuf) == 1 && RTE_MBUF_DIRECT(mbuf)) [[likely]] {
        home.add(mbuf);
        return;
    }
    if (rte_mbuf* rest = rte_pktmbuf_prefree_seg(mbuf); rest != nullptr) {
        home.add(rest);
    }
}

// Owners of free slots stay as they are: whoever fills a slot writes its owner.
void release_mbufs(TxQueue& queue, std::uint32_t n) {
    Homebound home;
    const TxOwner* const owners = queue.owners;
    const std::uint32_t slots = queue.size;
    std::uint32_t slot = queue.oldest;
    for (std::uint32_t i = 0; i < n; ++i) {
        const TxOwner owner = owners[slot];
        if (owner != 0) [[likely]] {
            free_mbuf(home, owner);
        }
        slot = slot + 1 == slots ? 0 : slot + 1;
    }
    home.flush();
    queue.oldest = slot;
}

void release_pages(TxQueue& queue, std::uint32_t n) {
    while (n != 0) {
        const std::uint32_t part = std::min({n, kHomeBatch, queue.size - queue.oldest});
        page_pool::recycle_mixed(reinterpret_cast<rte_mbuf**>(&queue.owners[queue.oldest]), part);
        queue.oldest += part;
        queue.oldest = queue.oldest == queue.size ? 0 : queue.oldest;
        n -= part;
    }
}

void release(TxQueue& queue, std::uint32_t n) {
    if (queue.frames) {
        release_pages(queue, n);
    } else {
        release_mbufs(queue, n);
    }
    queue.in_use -= n;
}

/// Tells the chip of `added` new descriptors and of those given back since.
void doorbell(TxQueue& queue, std::uint32_t added) {
    vfio::publish_barrier(queue.coherent);
    do {
        const std::uint32_t sent = std::min(queue.unacknowledged, neta::kUpdateMax);
        const std::uint32_t pending = std::min(added, neta::kUpdateMax);
        queue.registers.write(
            neta::txq_update(queue.hardware_queue),
            neta::kTxqUpdateAddPending.of(pending) | neta::kTxqUpdateDecSent.of(sent));
        queue.unacknowledged -= sent;
        added -= pending;
    } while (added != 0 || queue.unacknowledged != 0);
}

/// wanted 0: the caller sends nothing, he is after what was sent.
void make_room(TxQueue& queue, std::uint32_t wanted) {
    const std::uint32_t enough =
        std::min(queue.frames ? kReclaimPagesAt : kReclaimMbufsAt, queue.size / 4);
    if (queue.in_use >= enough || queue.room() < wanted || wanted == 0) {
        tx_reclaim(queue);
    }
}

/// Lines of the next n descriptors, two in each: the chip, or a model of it, read them last, and
/// one by one each would be waited for.
void prefetch_descriptors(const TxQueue& queue, std::uint32_t n) {
    constexpr std::uint32_t kPerLine = vfio::kDmaLineBytes / neta::kDescriptorBytes;
    std::uint32_t slot = queue.next;
    for (std::uint32_t i = 0; i < n; i += kPerLine) {
        prefetch_for_write(&queue.ring[slot]);
        slot += kPerLine;
        slot = slot < queue.size ? slot : slot - queue.size;
    }
}

/// Writes one descriptor; false when no mapped range covers the data.
[[gnu::always_inline]] inline bool write_descriptor(TxQueue& queue,
                                                    std::uint32_t slot,
                                                    std::uint32_t command,
                                                    const void* data,
                                                    std::uint32_t len) {
    const std::uint32_t iova = queue.translator.iova_of(data, len);
    if (iova == vfio::DmaSpace::kNoIova) [[unlikely]] {
        return false;
    }
    vfio::sync_for_device(data, len, queue.coherent);
    neta::TxDescriptor& descriptor = queue.ring[slot];
    descriptor.command = command;
    descriptor.csum_l4 = 0;
    descriptor.data_size = static_cast<std::uint16_t>(len);
    descriptor.buf_addr = iova;
    descriptor.hw_command = 0;
    vfio::sync_for_device(&descriptor, neta::kDescriptorBytes, queue.coherent);
    return true;
}

/// Command bits about checksums; nothing in them: kTxNoSums.
constexpr std::uint32_t kTxNoSums = neta::kTxL4Csum.of(neta::kTxL4CsumNone);
constexpr std::uint32_t kTxRefused = ~0U;

/// The bits for a mbuf that asks for checksums, or kTxRefused.
std::uint32_t sums_for(TxQueue& queue, rte_mbuf& mbuf) {
    const SumsPlan plan = plan_sums(mbuf, queue.sum_limit);
    if (plan.by == SumsBy::chip) [[likely]] {
        return plan.command;
    }
    if (plan.by == SumsBy::nobody || sums_in_software(mbuf) != 0) {
        return kTxRefused;
    }
    queue.counters->software_sums.add(1);
    return kTxNoSums;
}

/// Descriptors used for the chain `first`; 0 when it cannot be sent. Segments without data take
/// none. The caller has checked that every segment would find a slot.
std::uint32_t write_chain(TxQueue& queue, rte_mbuf* first, std::uint32_t sums) {
    std::uint32_t slot = queue.next;
    std::uint32_t last = slot;
    std::uint32_t used = 0;
    std::uint32_t bytes = 0;
    std::uint32_t command = sums | neta::kTxFirst;
    for (const rte_mbuf* segment = first; segment != nullptr; segment = segment->next) {
        if (segment->data_len == 0) {
            continue;
        }
        if (used == queue.room() ||
            !write_descriptor(queue, slot, command, rte_pktmbuf_mtod(segment, const void*),
                              segment->data_len)) {
            return 0;
        }
        bytes += segment->data_len;
        queue.owners[slot] = 0;
        last = slot;
        slot = queue.after(slot);
        ++used;
        command = 0;
    }
    if (used == 0 || bytes > kFrameBytesLimit) {
        return 0;
    }
    queue.ring[last].command |= neta::kTxLast | neta::kTxZeroPad;
    vfio::sync_for_device(&queue.ring[last], neta::kDescriptorBytes, queue.coherent);
    queue.owners[last] = reinterpret_cast<TxOwner>(first) | kTxChain;
    queue.next = slot;
    return used;
}

/// As write_chain(), for the usual mbuf of one segment, and into `slot`; `next` is the caller's to
/// move.
[[gnu::always_inline]] inline std::uint32_t write_single(TxQueue& queue,
                                                         std::uint32_t slot,
                                                         rte_mbuf* mbuf,
                                                         std::uint32_t sums) {
    constexpr std::uint32_t kWhole = neta::kTxFirst | neta::kTxLast | neta::kTxZeroPad;
    static_assert((kWhole | kTxNoSums) == neta::kTxSingle);
    const std::uint32_t len = mbuf->data_len;
    if (len - 1 >= kFrameBytesLimit ||
        !write_descriptor(queue, slot, kWhole | sums, rte_pktmbuf_mtod(mbuf, const void*), len))
        [[unlikely]] {
        return 0;
    }
    queue.owners[slot] = reinterpret_cast<TxOwner>(mbuf);
    return 1;
}

struct Pieces {
    std::uint32_t bytes = 0;  // 0: the frame was not taken, and nothing has changed
    std::uint32_t next = 0;   // slot behind the last one
};

/// Writes the descriptors of a frame with fragments, one for each page, from `slot` on; `before`
/// slots in front of it are not in the queue's count yet. All of them or none: pages are the
/// queue's, each in its own slot and no longer linked, when the last descriptor is written.
[[gnu::cold, gnu::noinline]] Pieces write_pieces(TxQueue& queue,
                                                 std::uint32_t slot,
                                                 const xdp::Frame& frame,
                                                 std::uint32_t before) {
    const std::uint32_t wanted = before + 1 + frame.fragments;
    if (wanted > queue.room()) {
        tx_reclaim(queue);
    }
    const std::uint32_t bytes = xdp::bytes_of(frame);
    if (wanted > queue.room() || bytes > kFrameBytesLimit ||
        !write_descriptor(queue, slot, kTxNoSums | neta::kTxFirst, frame.data, frame.len)) {
        return {};
    }
    std::uint32_t last = slot;
    for (const rte_mbuf* page = frame.page->next; page != nullptr; page = page->next) {
        last = queue.after(last);
        const bool ends = page->next == nullptr;
        const std::uint32_t command = ends ? neta::kTxLast | neta::kTxZeroPad : 0;
        if (!write_descriptor(queue, last, command, rte_pktmbuf_mtod(page, const void*),
                              page->data_len)) {
            return {};
        }
    }
    for (rte_mbuf* page = frame.page; page != nullptr;) {
        rte_mbuf* const next = std::exchange(page->next, nullptr);
        page->nb_segs = 1;
        queue.owners[slot] = reinterpret_cast<TxOwner>(page);
        slot = queue.after(slot);
        page = next;
    }
    return {.bytes = bytes, .next = slot};
}

template <bool kSums>
std::uint16_t transmit_burst(TxQueue& queue, rte_mbuf** mbufs, std::uint16_t n) {
    make_room(queue, n);
    prefetch_descriptors(queue, n);
    queue.translator.begin_burst();
    std::uint32_t added = 0;
    std::uint64_t packets = 0;
    std::uint64_t bytes = 0;
    std::uint16_t taken = 0;
    // The queue's own, kept here: the compiler must take any store below for one into it.
    const std::uint32_t slots = queue.size;
    std::uint32_t room = queue.room();
    std::uint32_t next = queue.next;
    for (; taken < n; ++taken) {
        rte_mbuf* mbuf = mbufs[taken];
        const std::uint32_t segments = mbuf->nb_segs;
        // A chain longer than the ring can never be sent: it is refused, not kept waiting.
        if (segments > room && segments <= slots) [[unlikely]] {
            queue.counters->full.add(n - taken);
            break;
        }
        std::uint32_t sums = kTxNoSums;
        if (kSums && (mbuf->ol_flags & (kTxSumFlags | kTxForeignFlags)) != 0) {
            sums = sums_for(queue, *mbuf);
        }
        const std::uint32_t len = mbuf->pkt_len;
        std::uint32_t used = 0;
        if (!kSums || sums != kTxRefused) [[likely]] {
            if (segments == 1) [[likely]] {
                used = write_single(queue, next, mbuf, sums);
                next = used == 0 ? next : (next + 1 == slots ? 0 : next + 1);
            } else {
                queue.next = next;
                queue.in_use = slots - room;
                used = write_chain(queue, mbuf, sums);
                next = queue.next;
            }
        }
        if (used == 0) [[unlikely]] {
            queue.counters->errors.add(1);
            rte_pktmbuf_free(mbuf);
            continue;
        }
        room -= used;
        added += used;
        bytes += len;
        ++packets;
    }
    queue.next = next;
    queue.in_use = slots - room;
    if (added != 0) {
        queue.counters->packets.add(packets);
        queue.counters->bytes.add(bytes);
        doorbell(queue, added);
    }
    return taken;
}

/// 0, or why the mbuf could not be sent as it is.
int prepare_one(TxQueue& queue, rte_mbuf& mbuf) {
    if (mbuf.pkt_len - 1 >= kFrameBytesLimit || mbuf.nb_segs > queue.size) {
        return EINVAL;
    }
    if ((mbuf.ol_flags & (kTxSumFlags | kTxForeignFlags)) == 0) {
        return 0;
    }
    const SumsPlan plan = plan_sums(mbuf, queue.sum_limit);
    if (plan.by != SumsBy::software) {
        return plan.error;
    }
    const int error = sums_in_software(mbuf);
    queue.counters->software_sums.add(error == 0 ? 1 : 0);
    return error;
}

}  // namespace

std::uint32_t tx_sent(const TxQueue& queue) {
    const std::uint32_t status = queue.registers.read(neta::txq_status(queue.hardware_queue));
    vfio::consume_barrier(queue.coherent);
    const std::uint32_t sent = neta::kTxqStatusSent.get(status);
    return sent > queue.unacknowledged ? sent - queue.unacknowledged : 0;
}

std::uint32_t tx_reclaim(TxQueue& queue) {
    std::uint32_t done = tx_sent(queue);
    if (done > queue.in_use) [[unlikely]] {
        queue.counters->lies.add(1);
        done = queue.in_use;
    }
    release(queue, done);
    queue.unacknowledged += done;
    return done;
}

void tx_drain(TxQueue& queue) {
    release(queue, queue.in_use);
    queue.next = queue.oldest = queue.unacknowledged = 0;
}

std::uint16_t transmit(void* queue, rte_mbuf** mbufs, std::uint16_t n) {
    return transmit_burst<false>(*static_cast<TxQueue*>(queue), mbufs, n);
}

std::uint16_t transmit_with_sums(void* queue, rte_mbuf** mbufs, std::uint16_t n) {
    return transmit_burst<true>(*static_cast<TxQueue*>(queue), mbufs, n);
}

std::uint16_t prepare(void* queue, rte_mbuf** mbufs, std::uint16_t n) {
    for (std::uint16_t i = 0; i < n; ++i) {
        if (const int error = prepare_one(*static_cast<TxQueue*>(queue), *mbufs[i]); error != 0) {
            rte_errno = error;
            return i;
        }
    }
    return n;
}

std::uint32_t transmit_frames(void* port_pointer,
                              std::uint32_t slot,
                              const xdp::Frame* frames,
                              std::uint32_t n) {
    Port& port = *static_cast<Port*>(port_pointer);
    TxQueue* queue = port.xdp_tx[slot % kXdpTxQueues].get();
    if (queue == nullptr) {
        return 0;
    }
    rte_spinlock_lock(&queue->lock);
    std::uint32_t taken = 0;
    // A closing port clears it before it takes the locks once: nobody sends after that.
    if (port.takes_frames.load(std::memory_order_relaxed)) {
        make_room(*queue, n);
        queue->translator.begin_burst();
        std::uint32_t room = std::min(n, queue->room());  // frames, as long as each is one page
        prefetch_descriptors(*queue, room);
        TxOwner* const owners = queue->owners;
        std::uint32_t next = queue->next;
        std::uint32_t fragments = 0;
        std::uint64_t bytes = 0;
        for (; taken < room; ++taken) {
            const xdp::Frame& frame = frames[taken];
            if (frame.fragments != 0) [[unlikely]] {
                const Pieces sent = write_pieces(*queue, next, frame, taken + fragments);
                if (sent.bytes == 0) {
                    break;
                }
                next = sent.next;
                bytes += sent.bytes;
                fragments += frame.fragments;
                room = std::min(n, queue->room() - fragments);
                continue;
            }
            if (frame.len - 1 >= kFrameBytesLimit ||
                !write_descriptor(*queue, next, neta::kTxSingle, frame.data, frame.len)) {
                break;
            }
            owners[next] = reinterpret_cast<TxOwner>(frame.page);
            next = queue->after(next);
            bytes += frame.len;
        }
        queue->next = next;
        if (taken != 0) {
            queue->in_use += taken + fragments;
            queue->counters->packets.add(taken);
            queue->counters->bytes.add(bytes);
            doorbell(*queue, taken + fragments);
        }
    }
    queue->counters->errors.add(n - taken);
    rte_spinlock_unlock(&queue->lock);
    return taken;
}

}  // namespace crema::neta_pmd
