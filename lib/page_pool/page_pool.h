// SPDX-License-Identifier: BSD-3-Clause
//
// Frame memory, one pool per RX queue, shaped like the kernel's page_pool: a lockless array cache
// for the owner (the polling lcore), a ring for pages that come home from other cores, and a slow
// path last. Its face is a rte_mempool with our ops ("crema_page_pool"), so a page is an mbuf that
// any DPDK code may free: rte_pktmbuf_free() recycles the page. The array cache is the mempool's
// lcore cache of the owner, so freeing there costs no indirect call.
//
// Not as in the kernel: all memory of a pool is there from the start, as DPDK maps memory for
// devices once. The slow path takes a page that is nobody's instead of asking a page allocator, and
// an empty pool yields fewer pages.
//
// Who may give back what:
//   recycle_direct   (direct.h) the owner; unshared pages of the pool
//   recycle_bulk     any thread; unshared pages of the pool
//   recycle_mixed    any thread; unshared pages of any pools, and mbufs of other mempools
//   put_mixed        any thread; also shared, indirect or external ones: a page whose refcnt is
//                    above 1 loses one reference and is not recycled ("released", as in the
//                    kernel); it comes home with the mbuf call that drops the last one
// Pages in the hands of XDP are never shared; mbufs of an application may be.
//
// Threads: alloc and recycle from any thread, the owner fastest; create, destroy, stats on a
// control thread (stats are racy reads of single-writer counters). Pages in lcore caches are home.
// Other lcores that free mbufs keep up to 1.5 * kCacheMax pages each within their own reach only:
// size pools for that. What an application itself takes with rte_pktmbuf_alloc() is in `in_flight`
// but not in the alloc counters, and references that rte_pktmbuf_free() drops are not in
// recycle_released_ref: no hook is there.
#pragma once

#include <cstdint>
#include <string>

#include <rte_mempool.h>

#include "lib/base/result.h"
#include "lib/page_pool/page.h"

namespace crema::page_pool {

inline constexpr char kOpsName[] = "crema_page_pool";
inline constexpr std::uint32_t kCacheMax = 128;    // pages in the owner's array cache
inline constexpr std::uint32_t kCacheRefill = 64;  // pages moved from the ring at once

/// Whether devices reach the pages, and which way bytes go.
enum class DmaDirection : std::uint8_t { none, from_device, bidirectional };

/// What of a page the device writes; dma.h has what follows from it. Mapping is not done here: DPDK
/// memory is mapped once for all devices.
struct DmaConfig {
    DmaDirection direction = DmaDirection::none;
    /// The pool's user keeps caches in order for a device that does not see them.
    bool sync = false;
    std::uint32_t offset = 0;     // in the buffer, bytes; multiple of 64
    std::uint32_t max_bytes = 0;  // from there; with sync above 0
};

struct Config {
    std::string name{};           // unique among mempools, < RTE_MEMPOOL_NAMESIZE
    std::uint32_t pages = 0;      // at least kCacheRefill
    std::uint32_t order = 0;      // of a page: 4096 << order bytes; at most kOrderMax
    int numa_node = -1;           // -1: any
    std::uint32_t pool_size = 0;  // pages that the ring holds; 0: all. Others go the slow path
    /// False: a pool that no lcore owns. Every page at home is in the ring, where any thread
    /// reaches it; set_owner() is not for such a pool.
    bool lcore_caches = true;
    DmaConfig dma{};
};

/// Names and meaning as the kernel's page_pool statistics. Each page taken is counted once, as
/// fast, slow, slow_high_order or refill.
struct Stats {
    std::uint64_t alloc_fast = 0;             // from the owner's cache; fragments of a page at hand
    std::uint64_t alloc_slow = 0;             // of order 0, by the slow path
    std::uint64_t alloc_slow_high_order = 0;  // of a higher order, by the slow path
    std::uint64_t alloc_empty = 0;            // the ring was empty when the cache was
    std::uint64_t alloc_refill = 0;           // the ring refilled the cache
    std::uint64_t alloc_waive = 0;            // pages in the ring of another node: released
    std::uint64_t recycle_cached = 0;         // placed in the owner's cache
    std::uint64_t recycle_cache_full = 0;     // owner's cache was full: page went to the ring
    std::uint64_t recycle_ring = 0;
    std::uint64_t recycle_ring_full = 0;     // the ring had no room: released
    std::uint64_t recycle_released_ref = 0;  // shared when put: not recycled then
    std::uint64_t pages = 0;
    std::uint64_t in_flight = 0;  // taken and not yet back
};

/// As of several pools together.
inline void add_to(Stats& sum, const Stats& one) {
    sum.alloc_fast += one.alloc_fast;
    sum.alloc_slow += one.alloc_slow;
    sum.alloc_slow_high_order += one.alloc_slow_high_order;
    sum.alloc_empty += one.alloc_empty;
    sum.alloc_refill += one.alloc_refill;
    sum.alloc_waive += one.alloc_waive;
    sum.recycle_cached += one.recycle_cached;
    sum.recycle_cache_full += one.recycle_cache_full;
    sum.recycle_ring += one.recycle_ring;
    sum.recycle_ring_full += one.recycle_ring_full;
    sum.recycle_released_ref += one.recycle_released_ref;
    sum.pages += one.pages;
    sum.in_flight += one.in_flight;
}

/// Errors: EINVAL (too few pages, order above kOrderMax, a DMA range that is empty or outside of
/// the buffer, sync without direction; each says what), ENOMEM, EEXIST.
[[nodiscard]] Result<rte_mempool*> create(const Config& config);

/// EBUSY while pages are in flight; says how many, and who has them (holders.h). The pool stays.
/// retire.h waits for them.
[[nodiscard]] Status destroy(rte_mempool* pool);

[[nodiscard]] bool is_page_pool(const rte_mempool* pool);

/// Names the lcore whose frees go to the array cache and that may allocate. Call before the first
/// alloc_bulk, from a control thread while nobody allocates, or from the new owner itself.
void set_owner(rte_mempool* pool, unsigned lcore_id);

/// The queue is polled from another node now. Slow allocations come from memory of `node` from here
/// on; pages of the old one are not taken from the ring any more but released (alloc_waive). The
/// first move to a node takes memory for as many pages as the pool was created with, which stays
/// the pool's; -1 stands for any node and changes nothing. Caller: the owner, or nobody allocates.
/// Errors: ENOMEM, ENOSPC more nodes than a pool can have; the pool is as it was.
[[nodiscard]] Status set_node(rte_mempool* pool, int node);

/// Takes up to `n` pages; returns how many. Any thread; others than the owner take from the ring.
[[nodiscard]] std::uint32_t alloc_bulk(rte_mempool* pool, rte_mbuf** pages, std::uint32_t n);

void recycle_bulk(rte_mempool* pool, rte_mbuf* const* pages, std::uint32_t n);
void recycle_mixed(rte_mbuf* const* pages, std::uint32_t n);
/// One mbuf of one segment each; chains are for rte_pktmbuf_free().
void put_mixed(rte_mbuf* const* mbufs, std::uint32_t n);

[[nodiscard]] Stats stats(const rte_mempool* pool);

/// Start and length of memory that holds elements, for DMA mapping.
struct Memory {
    void* start;
    std::size_t bytes;
};

/// The memory that the pool was created with: all pages, in one piece.
[[nodiscard]] Memory memory_of(const rte_mempool* pool);

/// The memory of the node that the pool is on: memory_of() until set_node().
[[nodiscard]] Memory active_memory_of(const rte_mempool* pool);

[[nodiscard]] std::uint32_t order_of(const rte_mempool* pool);
[[nodiscard]] DmaConfig dma_of(const rte_mempool* pool);

}  // namespace crema::page_pool
