// SPDX-License-Identifier: BSD-3-Clause
//
// What stands behind rte_mempool::pool_data of a pool with our ops. For this room, and for the
// inlines of direct.h.
//
// A page at home is in one of three places, which are asked in this order, as in the kernel:
//   the array cache   of the owner: the mempool's own per-lcore cache. rte_pktmbuf_free() on the
//                     polling lcore and alloc_bulk() then meet in one array, without an indirect
//                     call (lcore caches of others exist, too; see page_pool.h)
//   the ring          what came home from elsewhere; multi-producer and multi-consumer: any lcore
//                     may legally allocate from a rte_mempool
//   a store           per chunk of memory: pages that are nobody's, which stands for the kernel's
//                     page allocator. All pages start there; what the ring has no room for, and
//                     what lies on another node than the pool wants, goes back there ("released")
//
// Who is home is never counted on the path: ring, stores and lcore caches know what they hold.
// Counters of the owner have one writer; those of other threads are relaxed adds, one per bulk.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include <rte_mempool.h>
#include <rte_ring.h>

#include "lib/base/counter.h"
#include "lib/page_pool/page_pool.h"

namespace crema::page_pool {

inline constexpr std::uint32_t kChunksMax = 2;  // nodes that a pool can have memory on

/// Memory of one node, and those of its pages that are in the store.
struct Chunk {
    std::uint8_t* start;
    std::size_t bytes;
    int node;         // as asked for; -1: any
    rte_ring* store;  // room for all of the chunk's pages

    [[nodiscard]] bool holds(const void* page) const {
        return static_cast<std::size_t>(static_cast<const std::uint8_t*>(page) - start) < bytes;
    }
};

// What others write lies in lines of its own, on purpose.
// NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding)
struct Pool {
    rte_ring* ring;
    rte_mempool_cache* cache;  // the owner's array cache; null: no owner. For the owner only
    std::atomic<unsigned> owner;
    std::atomic<std::uint32_t> chunks_n;
    std::atomic<std::uint32_t> active;  // chunk that slow allocations are served from
    bool paged;  // laid out as page.h says; false: a stock program's pool, any element
    std::uint8_t order;
    std::atomic<bool> ring_is_short;  // holds fewer than all pages
    DmaConfig dma;
    std::array<Chunk, kChunksMax> chunks;

    // Counters when the present owner took over, and what lay in its cache.
    std::uint64_t taken_base;
    std::uint64_t refilled_base;
    std::uint64_t flushed_base;
    std::uint64_t cached_base;

    // The page that fragments are cut from; the owner's.
    rte_mbuf* fragment_page;
    std::uint32_t fragment_offset;
    std::uint32_t fragment_users;

    alignas(RTE_CACHE_LINE_SIZE) OwnerCounter alloc_fast;
    OwnerCounter alloc_slow;
    OwnerCounter alloc_slow_high_order;
    OwnerCounter alloc_empty;
    OwnerCounter alloc_refill;
    OwnerCounter alloc_waive;
    OwnerCounter fragments;        // cut from a page that was there
    OwnerCounter refilled;         // pages moved into the owner's cache, or past it to the owner
    OwnerCounter flushed;          // pages moved from the owner's cache to the ring or the stores
    OwnerCounter cache_full;       // pages the owner recycled to the ring
    OwnerCounter recycled_before;  // recycle_cached of former owners

    alignas(RTE_CACHE_LINE_SIZE) SharedCounter recycle_ring;
    SharedCounter recycle_ring_full;
    SharedCounter released_ref;
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

/// Index of our ops in this process's table.
extern std::int32_t our_ops_index;

/// What create() tells the ops of the mempool it makes, by way of pool_config.
struct Setup {
    std::uint32_t order;
    std::uint32_t ring_pages;
    DmaConfig dma;
    int node;  // of the chunk that is added next
};

/// Room for exactly `pages` pointers, in DPDK memory that has no name; null: no memory.
[[nodiscard]] rte_ring* make_store(std::uint32_t pages, int node);

/// Takes pages [0, n) in: ring first, then the stores. No cache.
void put_home(Pool& pool, rte_mbuf* const* pages, std::uint32_t n);

/// To the stores of the chunks that the pages lie in.
void release_to_stores(Pool& pool, rte_mbuf* const* pages, std::uint32_t n);

/// Up to n pages from the stores, those of the active chunk first.
[[nodiscard]] std::uint32_t take_from_stores(Pool& pool, rte_mbuf** pages, std::uint32_t n);

}  // namespace crema::page_pool
