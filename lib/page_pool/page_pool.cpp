// SPDX-License-Identifier: BSD-3-Clause
//
// Making, destroying and looking at pools: the control side. A paged pool is one memzone of
// pages * 4096 bytes, page-aligned, so it can be mapped for DMA as one range; the path side is
// recycle.cpp.
#include "lib/page_pool/page_pool.h"

#include <algorithm>
#include <cerrno>

#include <rte_errno.h>
#include <rte_mbuf.h>
#include <rte_memzone.h>

#include "lib/base/check.h"
#include "lib/page_pool/pool.h"

namespace crema::page_pool {
namespace {

constexpr std::size_t kNameMax = RTE_MEMPOOL_NAMESIZE - 4;  // one prefix more for the memory

void free_memory(rte_mempool_memhdr* /*chunk*/, void* zone) {
    rte_memzone_free(static_cast<const rte_memzone*>(zone));
}

/// Pages the owner ever took out of its cache.
std::uint64_t taken_by_owner(const Pool& pool) {
    return pool.alloc_fast.get() + pool.alloc_slow.get() + pool.alloc_refill.get();
}

/// Pages placed in the present owner's cache since it took over: what went out of it and is in it
/// now, less what was in it then and what came from the ring. Counting each free would need a
/// hook in rte_pktmbuf_free().
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

/// Steps of create() after the empty pool exists; the caller frees the pool when one fails.
Status fill(rte_mempool* mempool, const Config& config) {
    rte_pktmbuf_pool_private shape{};
    shape.mbuf_data_room_size = static_cast<std::uint16_t>(kBufferBytes);
    rte_pktmbuf_pool_init(mempool, &shape);
    // The tag is only compared, never written through.
    const int chosen =
        rte_mempool_set_ops_byname(mempool, kOpsName, const_cast<char*>(&paged_pool_tag));
    CREMA_CHECK(chosen == 0 && mempool->header_size == kObjectHeaderBytes);
    const std::string name = "PP_" + config.name;
    const std::size_t bytes = std::size_t{config.pages} * kPageBytes;
    const rte_memzone* zone =
        rte_memzone_reserve_aligned(name.c_str(), bytes, mempool->socket_id, 0, kPageBytes);
    if (zone == nullptr) {
        return fail(rte_errno == EEXIST ? EEXIST : ENOMEM,
                    "page pool {}: no {} KiB of DPDK memory ({}): give the EAL more with -m, or "
                    "the port fewer pages with pool=",
                    config.name, bytes / 1024, rte_strerror(rte_errno));
    }
    const int added = rte_mempool_populate_iova(mempool, static_cast<char*>(zone->addr), zone->iova,
                                                bytes, free_memory, const_cast<rte_memzone*>(zone));
    if (added != static_cast<int>(config.pages)) {
        if (added <= 0) {
            rte_memzone_free(zone);  // otherwise the pool owns it
        }
        return fail(ENOMEM, "page pool {}: cannot lay out {} pages ({})", config.name, config.pages,
                    rte_strerror(added < 0 ? -added : ENOMEM));
    }
    rte_mempool_obj_iter(mempool, rte_pktmbuf_init, nullptr);
    Pool& pool = pool_of(mempool);
    pool.unused.store(config.pages, std::memory_order_relaxed);
    pool.recycle_ring.reset();  // laying out is no recycling
    return {};
}

}  // namespace

Result<rte_mempool*> create(const Config& config) {
    if (config.pages < kCacheRefill) {
        return fail(EINVAL, "page pool {}: {} pages are too few, it needs at least {}", config.name,
                    config.pages, kCacheRefill);
    }
    if (config.name.empty() || config.name.size() > kNameMax) {
        return fail(EINVAL, "page pool '{}': a name has 1 to {} characters", config.name, kNameMax);
    }
    // The lcore caches of a mempool may hold 1.5 times their size.
    const std::uint32_t cache = config.lcore_caches ? std::min(kCacheMax, config.pages * 2 / 3) : 0;
    rte_mempool* mempool = rte_mempool_create_empty(
        config.name.c_str(), config.pages, sizeof(rte_mbuf) + kBufferBytes, cache,
        sizeof(rte_pktmbuf_pool_private), config.numa_node, RTE_MEMPOOL_F_NO_SPREAD);
    if (mempool == nullptr) {
        return fail(rte_errno == EEXIST ? EEXIST : ENOMEM, "page pool {} of {} pages: {}",
                    config.name, config.pages, rte_strerror(rte_errno));
    }
    if (auto filled = fill(mempool, config); !filled) {
        rte_mempool_free(mempool);
        return forward_error(filled);
    }
    return mempool;
}

Status destroy(rte_mempool* mempool) {
    if (mempool == nullptr) {
        return {};
    }
    const std::uint32_t home = pages_at_home(mempool);
    if (home != mempool->size) {
        return fail(EBUSY, "page pool {}: {} of {} pages are still in use; free their mbufs first",
                    static_cast<const char*>(mempool->name), mempool->size - home, mempool->size);
    }
    for (unsigned lcore = 0; mempool->cache_size != 0 && lcore < RTE_MAX_LCORE; ++lcore) {
        rte_mempool_cache_flush(&mempool->local_cache[lcore], mempool);
    }
    CREMA_CHECK(rte_ring_count(pool_of(mempool).ring) == mempool->size);
    rte_mempool_free(mempool);
    return {};
}

bool is_page_pool(const rte_mempool* mempool) {
    return mempool->ops_index == our_ops_index.load(std::memory_order_relaxed) &&
           pool_of(mempool).paged;
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
    pool.cached_base = lcore_id < RTE_MAX_LCORE ? mempool->local_cache[lcore_id].len : 0;
    pool.owner.store(lcore_id, std::memory_order_relaxed);
}

Stats stats(const rte_mempool* mempool) {
    const Pool& pool = pool_of(mempool);
    Stats result;
    result.alloc_fast = pool.alloc_fast.get() + pool.foreign_fast.get();
    result.alloc_slow = pool.alloc_slow.get() + pool.foreign_slow.get();
    result.alloc_empty = pool.alloc_empty.get() + pool.foreign_empty.get();
    result.alloc_refill = pool.alloc_refill.get() + pool.foreign_refill.get();
    result.recycle_cached = pool.recycled_before.get() + recycled_by_owner(mempool, pool);
    result.recycle_cache_full = pool.cache_full.get();
    result.recycle_ring = pool.recycle_ring.get();
    result.pages = mempool->size;
    result.in_flight = mempool->size - pages_at_home(mempool);
    return result;
}

Memory memory_of(const rte_mempool* mempool) {
    const rte_mempool_memhdr* chunk = STAILQ_FIRST(&mempool->mem_list);
    return {chunk->addr, chunk->len};
}

}  // namespace crema::page_pool
