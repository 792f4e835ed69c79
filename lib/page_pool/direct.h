// SPDX-License-Identifier: BSD-3-Clause
//
// The owner's way to its pool: inline, and without asking who calls (the kernel's "allow_direct").
// For the lcore that set_owner() named and nobody else; anybody may use alloc_bulk() and
// recycle_bulk(), which come here for the owner.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include <rte_lcore.h>

#include "lib/base/check.h"
#include "lib/page_pool/pool.h"

namespace crema::page_pool {

/// Where the array cache has fewer than n pages. recycle.cpp.
[[nodiscard]] std::uint32_t alloc_past_cache(Pool& pool, rte_mbuf** pages, std::uint32_t n);

/// Where the array cache has no room for all of them. recycle.cpp.
void recycle_past_cache(Pool& pool, rte_mbuf* const* pages, std::uint32_t n);

namespace detail {

inline void check_owner([[maybe_unused]] const Pool& pool) {
    CREMA_DCHECK(pool.cache != nullptr &&
                 rte_lcore_id() == pool.owner.load(std::memory_order_relaxed));
}

/// Pointers in and out of the cache. Bursts are mostly of 32 or fewer, where a call of memcpy()
/// costs as much as the copy; 128 bytes at once leave little but its loads and stores. (Registers
/// of 32 bytes, where the machine has them, were measured to be no faster.)
inline void copy_pages(void* to, const void* from, std::uint32_t n) {
    auto* out = static_cast<std::uint8_t*>(to);
    const auto* in = static_cast<const std::uint8_t*>(from);
    const auto copy = [&]<std::uint32_t kN>(std::integral_constant<std::uint32_t, kN>) {
        std::memcpy(out, in, kN * sizeof(void*));
        out += kN * sizeof(void*);
        in += kN * sizeof(void*);
        n -= kN;
    };
    while (n >= 16) {
        copy(std::integral_constant<std::uint32_t, 16>());
    }
    while (n >= 4) {
        copy(std::integral_constant<std::uint32_t, 4>());
    }
    while (n != 0) {
        copy(std::integral_constant<std::uint32_t, 1>());
    }
}

}  // namespace detail

/// One page, or null: the pool is empty.
[[nodiscard]] inline rte_mbuf* alloc_direct(rte_mempool* mempool) {
    Pool& pool = pool_of(mempool);
    detail::check_owner(pool);
    rte_mempool_cache& cache = *pool.cache;
    const std::uint32_t len = cache.len;
    if (len == 0) [[unlikely]] {
        rte_mbuf* page = nullptr;
        return alloc_past_cache(pool, &page, 1) == 0 ? nullptr : page;
    }
    cache.len = len - 1;
    pool.alloc_fast.add(1);
    return static_cast<rte_mbuf*>(cache.objs[len - 1]);
}

/// Up to n pages; returns how many.
[[nodiscard]] inline std::uint32_t alloc_bulk_direct(rte_mempool* mempool,
                                                     rte_mbuf** pages,
                                                     std::uint32_t n) {
    Pool& pool = pool_of(mempool);
    detail::check_owner(pool);
    rte_mempool_cache& cache = *pool.cache;
    const std::uint32_t len = cache.len;
    if (len < n) [[unlikely]] {
        return alloc_past_cache(pool, pages, n);
    }
    cache.len = len - n;
    detail::copy_pages(pages, &cache.objs[len - n], n);
    pool.alloc_fast.add(n);
    return n;
}

inline void recycle_direct(rte_mempool* mempool, rte_mbuf* page) {
    Pool& pool = pool_of(mempool);
    detail::check_owner(pool);
    rte_mempool_cache& cache = *pool.cache;
    const std::uint32_t len = cache.len;
    if (len >= kCacheMax) [[unlikely]] {  // rte_pktmbuf_free() fills up to the flush threshold
        recycle_past_cache(pool, &page, 1);
        return;
    }
    cache.objs[len] = page;
    cache.len = len + 1;
}

inline void recycle_bulk_direct(rte_mempool* mempool, rte_mbuf* const* pages, std::uint32_t n) {
    Pool& pool = pool_of(mempool);
    detail::check_owner(pool);
    rte_mempool_cache& cache = *pool.cache;
    const std::uint32_t len = cache.len;
    if (len > kCacheMax || n > kCacheMax - len) [[unlikely]] {
        recycle_past_cache(pool, pages, n);
        return;
    }
    detail::copy_pages(&cache.objs[len], pages, n);
    cache.len = len + n;
}

}  // namespace crema::page_pool
