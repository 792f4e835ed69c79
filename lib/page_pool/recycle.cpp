// SPDX-License-Identifier: BSD-3-Clause
//
// Taking pages and giving them back: the path side, a bulk at a time. The owner works on its array
// cache (direct.h) and touches the ring once per kCacheRefill pages; any other thread uses the
// ring. No call here waits, allocates or fails: an empty pool yields fewer pages.
//
// A run of pages of one pool is found by their addresses: no line of a page is read on its way
// home but the first one's.
#include <algorithm>

#include <rte_mbuf.h>

#include "lib/base/check.h"
#include "lib/page_pool/direct.h"
#include "lib/page_pool/pool.h"

namespace crema::page_pool {
namespace {

rte_mbuf** as_pages(void** objects) {
    return reinterpret_cast<rte_mbuf**>(objects);
}

void* const* as_objects(rte_mbuf* const* pages) {
    return reinterpret_cast<void* const*>(pages);
}

/// Of pages that came from the ring, those of another node than the pool's go to their store, the
/// others stay in pages[0..return).
std::uint32_t waive(Pool& pool, rte_mbuf** pages, std::uint32_t n) {
    const Chunk& wanted = pool.chunks[pool.active.load(std::memory_order_relaxed)];
    std::uint32_t kept = 0;
    for (std::uint32_t i = 0; i < n; ++i) {
        if (wanted.holds(pages[i])) {
            pages[kept++] = pages[i];
        } else {
            release_to_stores(pool, &pages[i], 1);
        }
    }
    pool.alloc_waive.add(n - kept);
    return kept;
}

/// Fills the empty cache from the ring; false: nothing there for it.
bool refill_from_ring(Pool& pool, rte_mempool_cache& cache) {
    std::uint32_t moved =
        rte_ring_mc_dequeue_burst(pool.ring, &cache.objs[0], kCacheRefill, nullptr);
    if (moved == 0) {
        pool.alloc_empty.add(1);
        return false;
    }
    if (pool.chunks_n.load(std::memory_order_relaxed) > 1) [[unlikely]] {
        moved = waive(pool, as_pages(&cache.objs[0]), moved);
    }
    cache.len = moved;
    pool.refilled.add(moved);
    return moved != 0;
}

/// One page from the stores; as in the kernel some more of order 0 come along, into the cache.
bool alloc_slow(Pool& pool, rte_mempool_cache& cache, rte_mbuf** page) {
    if (pool.order != 0) {
        if (take_from_stores(pool, page, 1) == 0) {
            return false;
        }
        pool.alloc_slow_high_order.add(1);
        pool.refilled.add(1);
        return true;
    }
    const std::uint32_t taken = take_from_stores(pool, as_pages(&cache.objs[0]), kCacheRefill);
    if (taken == 0) {
        return false;
    }
    pool.alloc_slow.add(1);
    pool.refilled.add(taken);
    cache.len = taken - 1;
    *page = static_cast<rte_mbuf*>(cache.objs[taken - 1]);
    return true;
}

/// For others than the owner.
std::uint32_t alloc_from_outside(Pool& pool, rte_mbuf** pages, std::uint32_t n) {
    std::uint32_t taken =
        rte_ring_mc_dequeue_burst(pool.ring, reinterpret_cast<void**>(pages), n, nullptr);
    if (taken != 0) {
        pool.foreign_refill.add(1);
        pool.foreign_fast.add(taken - 1);
    }
    if (taken == n) {
        return taken;
    }
    pool.foreign_empty.add(1);
    const std::uint32_t more = take_from_stores(pool, pages + taken, n - taken);
    if (more != 0) {
        pool.foreign_slow.add(1);
        pool.foreign_fast.add(more - 1);
    }
    return taken + more;
}

/// End of the run of pages that starts at `first` and lies in one pool.
std::uint32_t end_of_run(rte_mbuf* const* pages, std::uint32_t first, std::uint32_t n, bool ours) {
    const rte_mempool* const mempool = pages[first]->pool;
    std::uint32_t end = first + 1;
    if (ours) [[likely]] {
        const Pool& pool = pool_of(mempool);
        const Chunk& chunk = pool.chunks[pool.chunks[0].holds(pages[first]) ? 0 : 1];
        while (end < n && chunk.holds(pages[end])) {
            ++end;
        }
        return end;
    }
    while (end < n && pages[end]->pool == mempool) {
        ++end;
    }
    return end;
}

}  // namespace

std::uint32_t take_from_stores(Pool& pool, rte_mbuf** pages, std::uint32_t n) {
    const std::uint32_t chunks = pool.chunks_n.load(std::memory_order_acquire);
    const std::uint32_t wanted = pool.active.load(std::memory_order_relaxed);
    std::uint32_t taken = 0;
    for (std::uint32_t i = 0; i < chunks && taken < n; ++i) {
        // Where the wanted node has no more, a page of the other one serves.
        taken +=
            rte_ring_mc_dequeue_burst(pool.chunks[(wanted + i) % chunks].store,
                                      reinterpret_cast<void**>(pages + taken), n - taken, nullptr);
    }
    return taken;
}

void release_to_stores(Pool& pool, rte_mbuf* const* pages, std::uint32_t n) {
    const std::uint32_t chunks = pool.chunks_n.load(std::memory_order_acquire);
    for (std::uint32_t i = 0; i < n; ++i) {
        std::uint32_t at = 0;
        while (at < chunks && !pool.chunks[at].holds(pages[i])) {
            ++at;
        }
        // A page that has no room, or is of no chunk, came home twice or to the wrong pool.
        CREMA_CHECK(at < chunks && rte_ring_mp_enqueue(pool.chunks[at].store, pages[i]) == 0);
    }
}

// Counted before the pages are home: when the last one is, the pool may go at any moment.
void put_home(Pool& pool, rte_mbuf* const* pages, std::uint32_t n) {
    pool.recycle_ring.add(n);
    const std::uint32_t done = rte_ring_mp_enqueue_burst(pool.ring, as_objects(pages), n, nullptr);
    if (done != n) [[unlikely]] {
        // Otherwise it has room for every page: one came home twice.
        CREMA_CHECK(pool.ring_is_short.load(std::memory_order_relaxed));
        pool.recycle_ring.add(std::uint64_t{0} - (n - done));
        pool.recycle_ring_full.add(n - done);
        release_to_stores(pool, pages + done, n - done);
    }
}

std::uint32_t alloc_past_cache(Pool& pool, rte_mbuf** pages, std::uint32_t n) {
    rte_mempool_cache& cache = *pool.cache;
    std::uint32_t taken = 0;
    std::uint32_t fast = 0;
    while (taken < n) {
        if (cache.len == 0) {
            if (refill_from_ring(pool, cache)) {
                pool.alloc_refill.add(1);
                pages[taken++] = static_cast<rte_mbuf*>(cache.objs[--cache.len]);
            } else if (alloc_slow(pool, cache, pages + taken)) {
                ++taken;
            } else {
                break;
            }
            continue;
        }
        const std::uint32_t part = std::min(n - taken, cache.len);
        cache.len -= part;
        detail::copy_pages(pages + taken, &cache.objs[cache.len], part);
        taken += part;
        fast += part;
    }
    pool.alloc_fast.add(fast);
    return taken;
}

void recycle_past_cache(Pool& pool, rte_mbuf* const* pages, std::uint32_t n) {
    rte_mempool_cache& cache = *pool.cache;
    const std::uint32_t kept = cache.len < kCacheMax ? std::min(n, kCacheMax - cache.len) : 0;
    detail::copy_pages(&cache.objs[cache.len], pages, kept);
    cache.len += kept;
    pool.cache_full.add(n - kept);
    put_home(pool, pages + kept, n - kept);
}

std::uint32_t alloc_bulk(rte_mempool* mempool, rte_mbuf** pages, std::uint32_t n) {
    if (n == 0) {
        return 0;
    }
    Pool& pool = pool_of(mempool);
    if (cache_of_caller(mempool, pool) == nullptr) [[unlikely]] {
        return alloc_from_outside(pool, pages, n);
    }
    return alloc_bulk_direct(mempool, pages, n);
}

void recycle_bulk(rte_mempool* mempool, rte_mbuf* const* pages, std::uint32_t n) {
    Pool& pool = pool_of(mempool);
    if (cache_of_caller(mempool, pool) == nullptr) [[unlikely]] {
        put_home(pool, pages, n);
        return;
    }
    recycle_bulk_direct(mempool, pages, n);
}

void recycle_mixed(rte_mbuf* const* pages, std::uint32_t n) {
    for (std::uint32_t first = 0; first < n;) {
        rte_mempool* const mempool = pages[first]->pool;
        const bool ours = is_page_pool(mempool);
        const std::uint32_t end = end_of_run(pages, first, n, ours);
        if (ours) [[likely]] {
            recycle_bulk(mempool, pages + first, end - first);
        } else {  // a frame that a port of another driver received
            rte_mempool_put_bulk(mempool, as_objects(pages + first), end - first);
        }
        first = end;
    }
}

void put_mixed(rte_mbuf* const* mbufs, std::uint32_t n) {
    constexpr std::uint32_t kAtOnce = 64;
    rte_mbuf* homebound[kAtOnce];  // NOLINT(*-avoid-c-arrays): [0, count) is set
    std::uint32_t count = 0;
    for (std::uint32_t i = 0; i < n; ++i) {
        if (count == kAtOnce) {
            recycle_mixed(homebound, count);
            count = 0;
        }
        rte_mempool* const mempool = mbufs[i]->pool;
        if (rte_mbuf* const last = rte_pktmbuf_prefree_seg(mbufs[i]); last != nullptr) {
            homebound[count++] = last;
        } else if (is_page_pool(mempool)) {
            pool_of(mempool).released_ref.add(1);
        }
    }
    recycle_mixed(homebound, count);
}

}  // namespace crema::page_pool
