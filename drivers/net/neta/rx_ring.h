// SPDX-License-Identifier: BSD-3-Clause
//
// What both ways of receiving do with the ring: count, clamp, read a descriptor, name a fault.
#pragma once

#include <algorithm>
#include <cstdint>

#include <rte_lcore.h>

#include "drivers/net/neta/offloads.h"
#include "drivers/net/neta/queue.h"
#include "lib/page_pool/page_pool.h"
#include "lib/vfio/dma_sync.h"

namespace crema::neta_pmd {

/// Bytes of a descriptor's size that are not frame.
inline constexpr std::uint32_t kAround = page_pool::kMarvellHeaderBytes + page_pool::kFcsBytes;
inline constexpr std::uint32_t kSingle = neta::kRxFirst | neta::kRxLast;

/// Descriptors that nobody looked at, as the chip says, which may lie.
[[nodiscard]] inline std::uint32_t claimed_by_chip(const RxQueue& queue) {
    const std::uint32_t status = queue.registers.read(neta::rxq_status(queue.index));
    vfio::consume_barrier(queue.coherent);
    const std::uint32_t occupied = neta::kRxqStatusOccupied.get(status);
    return occupied > queue.unreported ? occupied - queue.unreported : 0;
}

/// How many descriptors the chip has filled and nobody looked at.
inline void look_at_count(RxQueue& queue) {
    const std::uint32_t ready = claimed_by_chip(queue);
    if (ready > queue.with_chip()) [[unlikely]] {
        queue.counters->lies.add(1);
        queue.ready = queue.with_chip();
        return;
    }
    queue.ready = ready;
}

/// Of a descriptor that is no good frame in one buffer.
[[nodiscard]] inline RxFault fault_of(std::uint32_t status) {
    if ((status & neta::kRxError) == 0) {
        return (status & kSingle) == kSingle ? RxFault::bad_size : RxFault::fragment;
    }
    return static_cast<RxFault>(neta::kRxErrorCode.get(status));
}

inline void count_fault(RxQueue& queue, RxFault fault) {
    queue.counters->faults[static_cast<std::size_t>(fault)].add(1);
}

/// What the chip found out, as the queue was asked for it. types: type_mask, read once a burst.
[[gnu::always_inline]] inline void add_facts(const RxQueue& queue,
                                             std::uint32_t status,
                                             std::uint32_t types,
                                             rte_mbuf& mbuf) {
    const RxFacts facts = rx_facts(status);
    mbuf.packet_type = facts.packet_type & types;
    mbuf.ol_flags = facts.flags & queue.flags_mask;
}

/// Whoever polls owns the pool's cache: start and a first flush run on another core.
inline void follow_owner(RxQueue& queue) {
    const unsigned lcore = rte_lcore_id();
    if (lcore != queue.owner) [[unlikely]] {
        queue.owner = lcore;
        page_pool::set_owner(queue.pool, lcore);
    }
}

}  // namespace crema::neta_pmd
