// SPDX-License-Identifier: BSD-3-Clause
//
// The rte_mempool face: ops "crema_page_pool". They serve two kinds of pool. create() makes paged
// pools: one page per element, coloured, in chunks. A stock program that asks for these ops
// (--mbuf-pool-ops-name=crema_page_pool) gets elements of its own size in DPDK's default layout;
// such a pool has no owner and no stores, so all of it lives in the ring and the mempool's lcore
// caches.
//
// All state is in DPDK memory and no pointer in it leads to code, so a secondary process takes and
// gives as the primary does (its ops must have the same number, as with any driver of mempools).
//
// Sources: rte_mempool.h on what each callback owes; the colour measurement is told in page.h.
#include <algorithm>
#include <array>
#include <cerrno>
#include <new>

#include <rte_errno.h>
#include <rte_malloc.h>
#include <rte_memory.h>
#include <rte_mempool.h>

#include "lib/base/check.h"
#include "lib/page_pool/chunks.h"
#include "lib/page_pool/pool.h"

namespace crema::page_pool {

constinit std::int32_t our_ops_index = -1;

namespace {

int alloc(rte_mempool* mempool) {
    std::array<char, RTE_RING_NAMESIZE> name{};
    const auto end = fmt::format_to_n(name.data(), name.size() - 1, RTE_MEMPOOL_MZ_PREFIX "{}",
                                      static_cast<const char*>(mempool->name));
    if (end.size >= name.size()) {
        return -ENAMETOOLONG;
    }
    void* memory = rte_zmalloc_socket("crema_page_pool", sizeof(Pool), RTE_CACHE_LINE_SIZE,
                                      mempool->socket_id);
    if (memory == nullptr) {
        return -ENOMEM;
    }
    auto* pool = new (memory) Pool{};
    const Setup* const setup = setup_of(*mempool);
    pool->owner.store(LCORE_ID_ANY, std::memory_order_relaxed);
    if (setup != nullptr) {
        pool->paged = true;
        pool->order = static_cast<std::uint8_t>(setup->order);
        pool->ring_is_short.store(setup->ring_pages < mempool->size, std::memory_order_relaxed);
        pool->dma = setup->dma;
    }
    const std::uint32_t ring_pages = setup != nullptr ? setup->ring_pages : mempool->size;
    pool->ring = rte_ring_create(name.data(), ring_pages, mempool->socket_id, RING_F_EXACT_SZ);
    if (pool->ring == nullptr) {
        rte_free(memory);
        return -rte_errno;
    }
    mempool->pool_data = pool;
    return 0;
}

void free_pool(rte_mempool* mempool) {
    if (mempool->pool_data == nullptr) {
        return;  // alloc() had failed
    }
    Pool& pool = pool_of(mempool);
    for (std::uint32_t i = 0; i < pool.chunks_n.load(std::memory_order_relaxed); ++i) {
        rte_free(pool.chunks[i].store);
    }
    rte_ring_free(pool.ring);
    rte_free(&pool);
}

rte_mbuf* const* as_pages(void* const* objects) {
    return reinterpret_cast<rte_mbuf* const*>(objects);
}

int enqueue(rte_mempool* mempool, void* const* objects, unsigned n) {
    Pool& pool = pool_of(mempool);
    const rte_mempool_cache* cache = cache_of_caller(mempool, pool);
    if (cache != nullptr) {
        pool.cache_full.add(n);
        if (objects == &cache->objs[0]) {
            pool.flushed.add(n);
        }
    }
    put_home(pool, as_pages(objects), n);
    return 0;
}

int dequeue(rte_mempool* mempool, void** objects, unsigned n) {
    Pool& pool = pool_of(mempool);
    const unsigned from_ring = rte_ring_mc_dequeue_burst(pool.ring, objects, n, nullptr);
    if (from_ring != n) {
        const unsigned rest = take_from_stores(
            pool, reinterpret_cast<rte_mbuf**>(objects + from_ring), n - from_ring);
        if (from_ring + rest != n) {  // all or nothing
            if (rest != 0) {
                release_to_stores(pool, as_pages(objects + from_ring), rest);
            }
            if (from_ring != 0 &&
                rte_ring_mp_enqueue_bulk(pool.ring, objects, from_ring, nullptr) == 0) {
                release_to_stores(pool, as_pages(objects), from_ring);
            }
            pool.foreign_empty.add(1);
            return -ENOBUFS;
        }
    }
    pool.foreign_fast.add(n);
    return 0;
}

unsigned get_count(const rte_mempool* mempool) {
    const Pool& pool = pool_of(mempool);
    unsigned count = rte_ring_count(pool.ring);
    for (std::uint32_t i = 0; i < pool.chunks_n.load(std::memory_order_acquire); ++i) {
        count += rte_ring_count(pool.chunks[i].store);
    }
    return count;
}

ssize_t calc_mem_size(const rte_mempool* mempool,
                      std::uint32_t objects,
                      std::uint32_t page_shift,
                      std::size_t* min_chunk,
                      std::size_t* align) {
    const Pool& pool = pool_of(mempool);
    if (!pool.paged) {
        return rte_mempool_op_calc_mem_size_default(mempool, objects, page_shift, min_chunk, align);
    }
    const std::size_t bytes = std::size_t{objects} * page_bytes(pool.order);
    *min_chunk = bytes;
    *align = page_bytes(pool.order);
    return static_cast<ssize_t>(bytes);
}

int populate(rte_mempool* mempool,
             unsigned objects_max,
             void* start,
             rte_iova_t iova,
             std::size_t bytes,
             rte_mempool_populate_obj_cb_t* add,
             void* add_arg) {
    const Setup* const setup = setup_of(*mempool);
    if (setup == nullptr) {
        return rte_mempool_op_populate_default(mempool, objects_max, start, iova, bytes, add,
                                               add_arg);
    }
    return lay_out_chunk(*mempool, *setup, objects_max, static_cast<std::uint8_t*>(start), bytes,
                         add, add_arg);
}

constexpr rte_mempool_ops make_ops() {
    rte_mempool_ops ops{};
    for (std::size_t i = 0; i < sizeof(kOpsName); ++i) {
        ops.name[i] = kOpsName[i];
    }
    ops.alloc = alloc;
    ops.free = free_pool;
    ops.enqueue = enqueue;
    ops.dequeue = dequeue;
    ops.get_count = get_count;
    ops.calc_mem_size = calc_mem_size;
    ops.populate = populate;
    return ops;
}

// Registration runs before this file's dynamic initialisers would.
constinit const rte_mempool_ops page_pool_ops = make_ops();

}  // namespace

// As RTE_MEMPOOL_REGISTER_OPS, and keeps the number: in a secondary process no pool is made by
// which it could be learned.
RTE_INIT(crema_register_page_pool_ops) {
    our_ops_index = rte_mempool_register_ops(&page_pool_ops);
}

}  // namespace crema::page_pool
