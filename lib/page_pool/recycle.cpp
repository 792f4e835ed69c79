// SPDX-License-Identifier: BSD-3-Clause
//
// Taking pages and giving them back: the path side, a bulk at a time. The owner works on its array
// cache only and touches the ring once per kCacheRefill pages; any other thread uses the ring.
// No call here waits, allocates or fails: an empty pool yields fewer pages.
#include <algorithm>
#include <cstring>

#include <rte_mbuf.h>

#include "lib/base/check.h"
#include "lib/page_pool/pool.h"

namespace crema::page_pool {
namespace {

/// Fills the empty cache from the ring. One allocation is then "slow" (a page nobody had, as when
/// the kernel asks its page allocator) or "refill"; the others will be found in the cache.
enum class Refill { none, unused, returned };

Refill refill(Pool& pool, rte_mempool_cache* cache) {
    const unsigned moved =
        rte_ring_mc_dequeue_burst(pool.ring, &cache->objs[0], kCacheRefill, nullptr);
    if (moved == 0) {
        pool.alloc_empty.add(1);
        return Refill::none;
    }
    cache->len = moved;
    pool.refilled.add(moved);
    if (take_unused(pool, moved)) {
        pool.alloc_empty.add(1);
        return Refill::unused;
    }
    return Refill::returned;
}

std::uint32_t alloc_from_ring(Pool& pool, rte_mbuf** pages, std::uint32_t n) {
    const unsigned taken =
        rte_ring_mc_dequeue_burst(pool.ring, reinterpret_cast<void**>(pages), n, nullptr);
    if (taken == 0) {
        pool.foreign_empty.add(1);
        return 0;
    }
    if (take_unused(pool, taken)) {
        pool.foreign_empty.add(1);
        pool.foreign_slow.add(1);
    } else {
        pool.foreign_refill.add(1);
    }
    pool.foreign_fast.add(taken - 1);
    return taken;
}

}  // namespace

std::uint32_t alloc_bulk(rte_mempool* mempool, rte_mbuf** pages, std::uint32_t n) {
    if (n == 0) {
        return 0;
    }
    Pool& pool = pool_of(mempool);
    rte_mempool_cache* cache = cache_of_caller(mempool, pool);
    if (cache == nullptr) [[unlikely]] {
        return alloc_from_ring(pool, pages, n);
    }
    std::uint32_t taken = 0;
    std::uint32_t fast = 0;
    while (taken < n) {
        if (cache->len == 0) {
            const Refill from = refill(pool, cache);
            if (from == Refill::none) {
                break;
            }
            (from == Refill::unused ? pool.alloc_slow : pool.alloc_refill).add(1);
            pages[taken++] = static_cast<rte_mbuf*>(cache->objs[--cache->len]);
            continue;
        }
        const std::uint32_t part = std::min(n - taken, cache->len);
        cache->len -= part;
        std::memcpy(pages + taken, &cache->objs[cache->len], part * sizeof(void*));
        taken += part;
        fast += part;
    }
    pool.alloc_fast.add(fast);
    return taken;
}

void recycle_bulk(rte_mempool* mempool, rte_mbuf* const* pages, std::uint32_t n) {
    Pool& pool = pool_of(mempool);
    rte_mempool_cache* cache = cache_of_caller(mempool, pool);
    std::uint32_t kept = 0;
    if (cache != nullptr) [[likely]] {
        // Room may be negative: rte_pktmbuf_free() fills up to the flush threshold.
        kept = cache->len < kCacheMax ? std::min(n, kCacheMax - cache->len) : 0;
        std::memcpy(&cache->objs[cache->len], pages, kept * sizeof(void*));
        cache->len += kept;
        if (kept == n) {
            return;
        }
        pool.cache_full.add(n - kept);
    }
    pool.recycle_ring.add(n - kept);
    const unsigned done = rte_ring_mp_enqueue_bulk(
        pool.ring, reinterpret_cast<void* const*>(pages + kept), n - kept, nullptr);
    CREMA_CHECK(done == n - kept);  // the ring holds every page: one came home twice
}

void recycle_mixed(rte_mbuf* const* pages, std::uint32_t n) {
    for (std::uint32_t first = 0; first < n;) {
        rte_mempool* mempool = pages[first]->pool;
        std::uint32_t end = first + 1;
        while (end < n && pages[end]->pool == mempool) {
            ++end;
        }
        if (is_page_pool(mempool)) [[likely]] {
            recycle_bulk(mempool, pages + first, end - first);
        } else {  // a frame that a port of another driver received
            rte_mempool_put_bulk(mempool, reinterpret_cast<void* const*>(pages + first),
                                 end - first);
        }
        first = end;
    }
}

}  // namespace crema::page_pool
