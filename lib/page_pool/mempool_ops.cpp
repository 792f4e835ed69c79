// SPDX-License-Identifier: BSD-3-Clause
//
// The rte_mempool face: ops "crema_page_pool". They serve two kinds of pool. create() makes paged
// pools: one page per element, coloured, in one chunk. A stock program that asks for these ops
// (--mbuf-pool-ops-name=crema_page_pool) gets elements of its own size in DPDK's default layout;
// such a pool has no owner, so all of it lives in the ring and the mempool's lcore caches.
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
#include "lib/page_pool/pool.h"

namespace crema::page_pool {

const char paged_pool_tag = 0;
constinit std::atomic<std::int32_t> our_ops_index{-1};

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
    pool->paged = mempool->pool_config == &paged_pool_tag;
    pool->owner.store(LCORE_ID_ANY, std::memory_order_relaxed);
    pool->ring =
        rte_ring_create(name.data(), rte_align32pow2(mempool->size + 1), mempool->socket_id, 0);
    if (pool->ring == nullptr) {
        rte_free(memory);
        return -rte_errno;
    }
    mempool->pool_data = pool;
    our_ops_index.store(mempool->ops_index, std::memory_order_relaxed);
    return 0;
}

void free_pool(rte_mempool* mempool) {
    if (mempool->pool_data == nullptr) {
        return;  // alloc() had failed
    }
    rte_ring_free(pool_of(mempool).ring);
    rte_free(mempool->pool_data);
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
    pool.recycle_ring.add(n);
    const unsigned done = rte_ring_mp_enqueue_bulk(pool.ring, objects, n, nullptr);
    CREMA_CHECK(done == n);  // the ring holds every object: a page came home twice
    return 0;
}

int dequeue(rte_mempool* mempool, void** objects, unsigned n) {
    Pool& pool = pool_of(mempool);
    if (rte_ring_mc_dequeue_bulk(pool.ring, objects, n, nullptr) != n) {
        pool.foreign_empty.add(1);
        return -ENOBUFS;
    }
    pool.foreign_fast.add(n);
    take_unused(pool, n);
    return 0;
}

unsigned get_count(const rte_mempool* mempool) {
    return rte_ring_count(pool_of(mempool).ring);
}

ssize_t calc_mem_size(const rte_mempool* mempool,
                      std::uint32_t objects,
                      std::uint32_t page_shift,
                      std::size_t* min_chunk,
                      std::size_t* align) {
    if (!pool_of(mempool).paged) {
        return rte_mempool_op_calc_mem_size_default(mempool, objects, page_shift, min_chunk, align);
    }
    const std::size_t bytes = std::size_t{objects} * kPageBytes;
    *min_chunk = bytes;
    *align = kPageBytes;
    return static_cast<ssize_t>(bytes);
}

rte_iova_t iova_of_object(void* object) {
    return rte_eal_iova_mode() == RTE_IOVA_VA ? reinterpret_cast<rte_iova_t>(object)
                                              : rte_mem_virt2iova(object);
}

int populate(rte_mempool* mempool,
             unsigned objects_max,
             void* start,
             rte_iova_t iova,
             std::size_t bytes,
             rte_mempool_populate_obj_cb_t* add,
             void* add_arg) {
    if (!pool_of(mempool).paged) {
        return rte_mempool_op_populate_default(mempool, objects_max, start, iova, bytes, add,
                                               add_arg);
    }
    const auto count =
        static_cast<unsigned>(std::min<std::size_t>(objects_max, bytes / kPageBytes));
    auto* page = static_cast<std::uint8_t*>(start);
    std::array<void*, kCacheRefill> batch{};
    unsigned filled = 0;
    for (unsigned i = 0; i < count; ++i, page += kPageBytes) {
        void* object = page + kColourBytes * (i % kColours) + mempool->header_size;
        // An object lies in one page, so its own address is all that has to be translated.
        add(mempool, add_arg, object, iova_of_object(object));
        batch[filled++] = object;
        if (filled == batch.size() || i + 1 == count) {
            rte_mempool_ops_enqueue_bulk(mempool, batch.data(), filled);
            filled = 0;
        }
    }
    return static_cast<int>(count);
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
constinit rte_mempool_ops page_pool_ops = make_ops();

}  // namespace

RTE_MEMPOOL_REGISTER_OPS(page_pool_ops)

}  // namespace crema::page_pool
