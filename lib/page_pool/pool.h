// SPDX-License-Identifier: BSD-3-Clause
//
// What stands behind rte_mempool::pool_data of a pool with our ops; private to this room.
//
// The array cache of the owner is the mempool's own per-lcore cache: rte_pktmbuf_free() on the
// polling lcore and alloc_bulk() then meet in one array, without an indirect call. Everything else
// is the ring, sized for all objects, multi-producer and multi-consumer: any lcore may legally
// allocate from a rte_mempool.
//
// Who is home is never counted on the path: pages in the ring plus pages in lcore caches. Counters
// of the owner have one writer; those of other threads are relaxed adds, one per bulk.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include <rte_mempool.h>
#include <rte_ring.h>

#include "lib/base/counter.h"
#include "lib/page_pool/page_pool.h"

namespace crema::page_pool {

struct Pool {
    rte_ring* ring;
    bool paged;  // elements laid out as page.h says; false: a stock program's pool, any size
    std::atomic<unsigned> owner;
    /// Pages of the ring that nobody had yet. The ring is first in, first out, so they come first.
    std::atomic<std::uint32_t> unused;
    // Counters when the present owner took over, and what lay in its cache.
    std::uint64_t taken_base;
    std::uint64_t refilled_base;
    std::uint64_t flushed_base;
    std::uint64_t cached_base;

    alignas(RTE_CACHE_LINE_SIZE) OwnerCounter alloc_fast;
    OwnerCounter alloc_slow;
    OwnerCounter alloc_empty;
    OwnerCounter alloc_refill;
    OwnerCounter refilled;         // pages moved from the ring into the owner's cache
    OwnerCounter flushed;          // pages moved from the owner's cache to the ring
    OwnerCounter cache_full;       // pages the owner recycled to the ring
    OwnerCounter recycled_before;  // recycle_cached of former owners

    alignas(RTE_CACHE_LINE_SIZE) SharedCounter recycle_ring;
    SharedCounter foreign_fast;
    SharedCounter foreign_slow;
    SharedCounter foreign_empty;
    SharedCounter foreign_refill;
};

[[nodiscard]] inline Pool& pool_of(const rte_mempool* mempool) {
    return *static_cast<Pool*>(mempool->pool_data);
}

/// The owner's array cache when the calling thread is the owner, else null.
[[nodiscard]] inline rte_mempool_cache* cache_of_caller(const rte_mempool* mempool,
                                                        const Pool& pool) {
    const unsigned lcore = rte_lcore_id();
    if (lcore >= RTE_MAX_LCORE || lcore != pool.owner.load(std::memory_order_relaxed)) {
        return nullptr;
    }
    return &mempool->local_cache[lcore];
}

/// Index of our ops in this process's table; -1 before the first pool.
extern std::atomic<std::int32_t> our_ops_index;

/// Notes that `n` pages left the ring. True when the first of them was never used before.
inline bool take_unused(Pool& pool, std::uint32_t n) {
    std::uint32_t unused = pool.unused.load(std::memory_order_relaxed);
    while (unused != 0) {
        if (pool.unused.compare_exchange_weak(unused, unused - std::min(unused, n),
                                              std::memory_order_relaxed)) {
            return true;
        }
    }
    return false;
}

/// Marks, as rte_mempool::pool_config, a pool made by create().
extern const char paged_pool_tag;

}  // namespace crema::page_pool
