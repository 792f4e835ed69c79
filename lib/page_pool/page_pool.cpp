// SPDX-License-Identifier: BSD-3-Clause
//
// Making, destroying and looking at pools: the control side. Memory is chunks.cpp, the path side is
// recycle.cpp.
#include "lib/page_pool/page_pool.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include <rte_errno.h>
#include <rte_mbuf.h>

#include "lib/base/check.h"
#include "lib/page_pool/chunks.h"
#include "lib/page_pool/dma.h"
#include "lib/page_pool/fragments.h"
#include "lib/page_pool/holders.h"
#include "lib/page_pool/pool.h"

namespace crema::page_pool {

constinit std::atomic<bool> any_pool_is_synced{false};

namespace {

constexpr std::size_t kNameMax = RTE_MEMPOOL_NAMESIZE - 4;  // one prefix more for the memory

/// Pages the owner ever took out of its cache, or past it.
std::uint64_t taken_by_owner(const Pool& pool) {
    return pool.alloc_fast.get() + pool.alloc_slow.get() + pool.alloc_slow_high_order.get() +
           pool.alloc_refill.get();
}

/// Pages placed in the present owner's cache since it took over: what went out of it and is in it
/// now, less what was in it then and what came from ring and stores. Counting each free would need
/// a hook in rte_pktmbuf_free().
std::uint64_t recycled_by_owner(const rte_mempool* mempool, const Pool& pool) {
    const unsigned owner = pool.owner.load(std::memory_order_relaxed);
    if (owner >= RTE_MAX_LCORE) {
        return 0;
    }
    const std::uint64_t out = taken_by_owner(pool) - pool.taken_base + pool.flushed.get() -
                              pool.flushed_base + mempool->local_cache[owner].len;
    const std::uint64_t in = pool.refilled.get() - pool.refilled_base + pool.cached_base;
    return out > in ? out - in : 0;
}

std::uint32_t pages_at_home(const rte_mempool* mempool) {
    return rte_mempool_avail_count(mempool);
}

Status check_dma(const Config& config) {
    const DmaConfig& dma = config.dma;
    if (dma.direction == DmaDirection::none) {
        if (dma.sync) {
            return fail(EINVAL, "page pool {}: sync for a device, and no DMA direction",
                        config.name);
        }
        return {};
    }
    const std::uint32_t buffer = buffer_bytes(config.order);
    if (dma.sync && dma.max_bytes == 0) {
        return fail(EINVAL, "page pool {}: sync for a device of no bytes", config.name);
    }
    if (dma.offset % RTE_CACHE_LINE_SIZE != 0 || dma.offset > buffer ||
        dma.max_bytes > buffer - dma.offset) {
        return fail(EINVAL,
                    "page pool {}: DMA of {} bytes at {}: the offset is a multiple of {} and a "
                    "page of order {} has {} bytes",
                    config.name, dma.max_bytes, dma.offset, RTE_CACHE_LINE_SIZE, config.order,
                    buffer);
    }
    return {};
}

Status check(const Config& config) {
    if (config.pages < kCacheRefill) {
        return fail(EINVAL, "page pool {}: {} pages are too few, it needs at least {}", config.name,
                    config.pages, kCacheRefill);
    }
    if (config.name.empty() || config.name.size() > kNameMax) {
        return fail(EINVAL, "page pool '{}': a name has 1 to {} characters", config.name, kNameMax);
    }
    if (config.order > kOrderMax) {
        return fail(EINVAL, "page pool {}: pages of order {}: at most {}, {} bytes", config.name,
                    config.order, kOrderMax, page_bytes(kOrderMax));
    }
    return check_dma(config);
}

/// Steps of create() after the empty pool exists; the caller frees the pool when one fails.
Status fill(rte_mempool* mempool, const Config& config) {
    rte_pktmbuf_pool_private shape{};
    shape.mbuf_data_room_size = static_cast<std::uint16_t>(buffer_bytes(config.order));
    rte_pktmbuf_pool_init(mempool, &shape);
    const int chosen = rte_mempool_set_ops_byname(mempool, kOpsName, nullptr);
    CREMA_CHECK(chosen == 0 && mempool->header_size == kObjectHeaderBytes);
    const std::uint32_t ring = config.pool_size == 0 ? config.pages : config.pool_size;
    const SetupScope scope(*mempool, {.order = config.order,
                                      .ring_pages = std::min(ring, config.pages),
                                      .dma = config.dma,
                                      .node = config.numa_node});
    return add_chunk(*mempool, config.pages);
}

/// What lies in lcore caches goes to ring and stores. Nobody may use the pool.
void flush_caches(rte_mempool* mempool) {
    for (unsigned lcore = 0; mempool->cache_size != 0 && lcore < RTE_MAX_LCORE; ++lcore) {
        rte_mempool_cache_flush(&mempool->local_cache[lcore], mempool);
    }
}

}  // namespace

Result<rte_mempool*> create(const Config& config) {
    if (auto fits = check(config); !fits) {
        return forward_error(fits);
    }
    // The lcore caches of a mempool may hold 1.5 times their size.
    const std::uint32_t cache = config.lcore_caches ? std::min(kCacheMax, config.pages * 2 / 3) : 0;
    rte_mempool* mempool = rte_mempool_create_empty(
        config.name.c_str(), config.pages, sizeof(rte_mbuf) + buffer_bytes(config.order), cache,
        sizeof(rte_pktmbuf_pool_private), config.numa_node, RTE_MEMPOOL_F_NO_SPREAD);
    if (mempool == nullptr) {
        return fail(rte_errno == EEXIST ? EEXIST : ENOMEM, "page pool {} of {} pages: {}",
                    config.name, config.pages, rte_strerror(rte_errno));
    }
    if (auto filled = fill(mempool, config); !filled) {
        rte_mempool_free(mempool);
        return forward_error(filled);
    }
    if (config.dma.sync) {
        any_pool_is_synced.store(true, std::memory_order_relaxed);
    }
    return mempool;
}

Status destroy(rte_mempool* mempool) {
    if (mempool == nullptr) {
        return {};
    }
    drop_fragment_page(mempool);
    const std::uint32_t home = pages_at_home(mempool);
    if (home != mempool->size) {
        return fail(EBUSY,
                    "page pool {}: {} of {} pages are still in use ({}); free their mbufs "
                    "first",
                    static_cast<const char*>(mempool->name), mempool->size - home, mempool->size,
                    describe(holders_of(mempool)));
    }
    flush_caches(mempool);
    CREMA_CHECK(pages_at_home(mempool) == mempool->size);
    rte_mempool_free(mempool);
    return {};
}

bool is_page_pool(const rte_mempool* mempool) {
    return mempool->ops_index == our_ops_index && pool_of(mempool).paged;
}

void set_owner(rte_mempool* mempool, unsigned lcore_id) {
    CREMA_CHECK(mempool->cache_size != 0);
    Pool& pool = pool_of(mempool);
    if (pool.owner.load(std::memory_order_relaxed) == lcore_id) {
        return;
    }
    pool.recycled_before.add(recycled_by_owner(mempool, pool));
    pool.taken_base = taken_by_owner(pool);
    pool.refilled_base = pool.refilled.get();
    pool.flushed_base = pool.flushed.get();
    pool.cache = lcore_id < RTE_MAX_LCORE ? &mempool->local_cache[lcore_id] : nullptr;
    pool.cached_base = pool.cache != nullptr ? pool.cache->len : 0;
    pool.owner.store(lcore_id, std::memory_order_relaxed);
}

Status set_node(rte_mempool* mempool, int node) {
    Pool& pool = pool_of(mempool);
    if (node < 0 || node == pool.chunks[pool.active.load(std::memory_order_relaxed)].node) {
        return {};
    }
    const std::uint32_t chunks = pool.chunks_n.load(std::memory_order_relaxed);
    std::uint32_t at = 0;
    while (at < chunks && pool.chunks[at].node != node) {
        ++at;
    }
    if (at == kChunksMax) {
        return fail(ENOSPC, "page pool {}: no memory on node {}: it has memory on {} others",
                    static_cast<const char*>(mempool->name), node, kChunksMax);
    }
    if (at == chunks) {
        const auto pages =
            static_cast<std::uint32_t>(pool.chunks[0].bytes / page_bytes(pool.order));
        const SetupScope scope(
            *mempool, {.order = pool.order, .ring_pages = 0, .dma = pool.dma, .node = node});
        pool.ring_is_short.store(true, std::memory_order_relaxed);
        mempool->size += pages;
        if (auto added = add_chunk(*mempool, pages); !added) {
            mempool->size -= pages;
            return added;
        }
    }
    pool.active.store(at, std::memory_order_release);
    // What is at hand is of the old node.
    if (rte_mempool_cache* const cache = pool.cache; cache != nullptr && cache->len != 0) {
        release_to_stores(pool, reinterpret_cast<rte_mbuf**>(&cache->objs[0]), cache->len);
        pool.flushed.add(cache->len);
        cache->len = 0;
    }
    return {};
}

Stats stats(const rte_mempool* mempool) {
    const Pool& pool = pool_of(mempool);
    Stats result;
    result.alloc_fast = pool.alloc_fast.get() + pool.foreign_fast.get() + pool.fragments.get();
    result.alloc_slow = pool.alloc_slow.get();
    result.alloc_slow_high_order = pool.alloc_slow_high_order.get();
    (pool.order == 0 ? result.alloc_slow : result.alloc_slow_high_order) += pool.foreign_slow.get();
    result.alloc_empty = pool.alloc_empty.get() + pool.foreign_empty.get();
    result.alloc_refill = pool.alloc_refill.get() + pool.foreign_refill.get();
    result.alloc_waive = pool.alloc_waive.get();
    result.recycle_cached = pool.recycled_before.get() + recycled_by_owner(mempool, pool);
    result.recycle_cache_full = pool.cache_full.get();
    result.recycle_ring = pool.recycle_ring.get();
    result.recycle_ring_full = pool.recycle_ring_full.get();
    result.recycle_released_ref = pool.released_ref.get();
    result.pages = mempool->size;
    result.in_flight = mempool->size - pages_at_home(mempool);
    return result;
}

Memory memory_of(const rte_mempool* mempool) {
    const Chunk& chunk = pool_of(mempool).chunks[0];
    return {chunk.start, chunk.bytes};
}

Memory active_memory_of(const rte_mempool* mempool) {
    const Pool& pool = pool_of(mempool);
    const Chunk& chunk = pool.chunks[pool.active.load(std::memory_order_relaxed)];
    return {chunk.start, chunk.bytes};
}

std::uint32_t order_of(const rte_mempool* mempool) {
    return pool_of(mempool).order;
}

DmaConfig dma_of(const rte_mempool* mempool) {
    return pool_of(mempool).dma;
}

}  // namespace crema::page_pool
