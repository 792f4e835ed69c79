// SPDX-License-Identifier: BSD-3-Clause
//
// Who has the pages of a pool that are out. Whatever keeps pages for a while (a port's rings, the
// queue of a CPU) registers itself with a name and a function that lists what it keeps; it is
// asked only when somebody wants to know, so that the path pays nothing. What nobody lists is with
// applications: in their queues, in lcore caches of other mempools' headers, or lost.
//
// Exact while no traffic runs. Under traffic pages move while they are counted: an estimate, with
// nothing read but pointers and pages of this pool, whose memory stays as long as the pool.
//
// Threads: control threads, one at a time inside (a lock). A lister is called under that lock and
// must not register, unregister or ask.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <rte_mbuf.h>

namespace crema::page_pool {

/// Collects what one holder keeps of the pool that was asked about.
class HeldPages {
  public:
    explicit HeldPages(const rte_mempool* pool);

    /// `first` may be anything: a page, the first mbuf of a chain, an mbuf of another pool, an
    /// address that is stale. Only what lies in the pool is looked at.
    void add(const rte_mbuf* first);

    [[nodiscard]] std::uint32_t count() const { return count_; }

    /// From here on another holder's; pages that the ones before had are not counted again.
    void begin_next() { count_ = 0; }

  private:
    struct Range {
        const std::uint8_t* start;
        std::size_t bytes;
        std::uint32_t first;  // number of its first page
    };

    /// Number of the page, or ~0.
    [[nodiscard]] std::uint32_t number_of(const rte_mbuf* page) const;

    std::vector<Range> ranges_;
    std::uint32_t page_bytes_;
    std::uint32_t header_bytes_;
    std::vector<bool> seen_;
    std::uint32_t count_ = 0;
};

/// Says what `self` keeps, page by page or chain by chain.
using ListPages = void (*)(const void* self, HeldPages& pages);

/// name: as in "TX queue 0 of net_neta1". `self` is the key: one entry each.
void register_holder(const void* self, std::string name, ListPages list);
/// Nothing happens when it is not registered.
void unregister_holder(const void* self);

struct Holding {
    std::string who;
    std::uint32_t pages;
};

/// Everybody who has pages of the pool, in order of registration; last, if that is not 0, what
/// nobody said he has.
[[nodiscard]] std::vector<Holding> holders_of(const rte_mempool* pool);

/// "3 in TX queue 0 of net_neta1, 4 with applications"
[[nodiscard]] std::string describe(const std::vector<Holding>& holdings);

}  // namespace crema::page_pool
