// SPDX-License-Identifier: BSD-3-Clause
//
// Frame memory, one pool per RX queue, shaped like the kernel's page_pool: a lockless array cache
// for the owner (the polling lcore), a ring for pages that come home from other cores. Its face is
// a rte_mempool with our ops ("crema_page_pool"), so a page is an mbuf that any DPDK code may free:
// rte_pktmbuf_free() recycles the page. The array cache is the mempool's lcore cache of the owner,
// so freeing there costs no indirect call.
//
// Threads: alloc and recycle from any thread, the owner fastest; create, destroy, stats on a
// control thread (stats are racy reads of single-writer counters). Pages in lcore caches are home.
// Other lcores that free mbufs keep up to 1.5 * kCacheMax pages each within their own reach only:
// size pools for that. What an application itself takes with rte_pktmbuf_alloc() is in `in_flight`
// but not in the alloc counters.
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

struct Config {
    std::string name;         // unique among mempools, < RTE_MEMPOOL_NAMESIZE
    std::uint32_t pages = 0;  // at least kCacheRefill
    int numa_node = -1;       // -1: any
    /// False: a pool that no lcore owns. Every page at home is in the ring, where any thread
    /// reaches it; set_owner() is not for such a pool.
    bool lcore_caches = true;
};

/// Names and meaning as the kernel's page_pool statistics.
struct Stats {
    std::uint64_t alloc_fast = 0;             // from the owner's cache
    std::uint64_t alloc_slow = 0;             // never-used page (first round through the pool)
    std::uint64_t alloc_slow_high_order = 0;  // 0: pages are of order 0
    std::uint64_t alloc_empty = 0;            // ring was empty when the cache was
    std::uint64_t alloc_refill = 0;           // ring refilled the cache
    std::uint64_t alloc_waive = 0;            // page of another NUMA node not taken; 0 here
    std::uint64_t recycle_cached = 0;         // placed in the owner's cache
    std::uint64_t recycle_cache_full = 0;     // owner's cache was full: page went to the ring
    std::uint64_t recycle_ring = 0;
    std::uint64_t recycle_ring_full = 0;     // 0: the ring holds all pages
    std::uint64_t recycle_released_ref = 0;  // 0: refcounts are the mbuf's
    std::uint64_t pages = 0;
    std::uint64_t in_flight = 0;  // taken and not yet back
};

/// Errors: EINVAL pool too small (says how many pages it needs), ENOMEM, EEXIST.
[[nodiscard]] Result<rte_mempool*> create(const Config& config);

/// EBUSY while pages are in flight (says how many); the pool stays.
[[nodiscard]] Status destroy(rte_mempool* pool);

[[nodiscard]] bool is_page_pool(const rte_mempool* pool);

/// Names the lcore whose frees go to the array cache and that may allocate. Call before the first
/// alloc_bulk, from a control thread while nobody allocates, or from the new owner itself.
void set_owner(rte_mempool* pool, unsigned lcore_id);

/// Takes up to `n` pages; returns how many. Any thread; others than the owner take from the ring.
[[nodiscard]] std::uint32_t alloc_bulk(rte_mempool* pool, rte_mbuf** pages, std::uint32_t n);

/// Gives pages of this pool back. Owner: array cache first; any other thread: the ring.
void recycle_bulk(rte_mempool* pool, rte_mbuf* const* pages, std::uint32_t n);

/// Gives pages of any page_pools back, pool by pool; also unshared mbufs of any other mempool.
void recycle_mixed(rte_mbuf* const* pages, std::uint32_t n);

[[nodiscard]] Stats stats(const rte_mempool* pool);

/// Start and length of the memory that holds all elements (one chunk), for DMA mapping.
struct Memory {
    void* start;
    std::size_t bytes;
};

[[nodiscard]] Memory memory_of(const rte_mempool* pool);

}  // namespace crema::page_pool
