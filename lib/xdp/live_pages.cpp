// SPDX-License-Identifier: BSD-3-Clause
#include "lib/xdp/live_pages.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <thread>
#include <utility>

#include <rte_lcore.h>

#include "lib/base/check.h"
#include "lib/page_pool/page_pool.h"

namespace crema::xdp {

/// Memory of kLivePages pages, from EAL or from the heap.
struct LivePool {
    rte_mempool* frames = nullptr;  // null: from the heap
    rte_mempool* copies = nullptr;
    std::unique_ptr<std::uint8_t, void (*)(void*)> heap{nullptr, std::free};
    /// From the heap: who is at home, first in, first out.
    std::vector<rte_mbuf*> ring;
    std::uint32_t first = 0;
    std::uint32_t at_home = 0;

    std::uint8_t* start = nullptr;
    std::uint32_t run = 0;  // counts those that had this pool
    /// Per page: the last run that wrote its packet there.
    std::vector<std::uint32_t> written = std::vector<std::uint32_t>(kLivePages);

    [[nodiscard]] std::uint32_t take(rte_mbuf** pages, std::uint32_t n) {
        if (frames != nullptr) {
            return page_pool::alloc_bulk(frames, pages, n);
        }
        const std::uint32_t taken = std::min(n, at_home);
        for (std::uint32_t i = 0; i < taken; ++i) {
            pages[i] = ring[first];
            first = (first + 1) % kLivePages;
        }
        at_home -= taken;
        return taken;
    }

    void give_back(rte_mbuf* const* pages, std::uint32_t n) {
        if (frames != nullptr) {
            page_pool::recycle_mixed(pages, n);
            return;
        }
        for (std::uint32_t i = 0; i < n; ++i) {
            ring[(first + at_home++) % kLivePages] = pages[i];
        }
    }

    [[nodiscard]] std::uint64_t in_flight() const {
        return frames == nullptr
                   ? 0
                   : page_pool::stats(frames).in_flight + page_pool::stats(copies).in_flight;
    }

    /// True when this was the first time that the run asked for `page`.
    [[nodiscard]] bool is_first_use(const rte_mbuf* page) {
        const auto offset = reinterpret_cast<const std::uint8_t*>(page) - start;
        std::uint32_t& last = written[static_cast<std::size_t>(offset) / page_pool::kPageBytes];
        return std::exchange(last, run) != run;
    }
};

namespace {

constexpr std::uint32_t kCacheRefill = 64;

/// Pools between two runs, and how many runs have one.
struct Registry {
    Registry() { retired.reserve(kLivePoolsMax); }

    std::mutex lock;
    std::vector<std::unique_ptr<LivePool>> retired;
    std::uint32_t lent = 0;
    std::uint32_t made = 0;
};

Registry& registry() {
    static auto& the_registry = *new Registry;  // pages may come home to the end of the process
    return the_registry;
}

bool has_eal() {
    return rte_lcore_count() != 0;
}

/// False: pages are under way.
bool destroy(const LivePool& pool) {
    if (pool.in_flight() != 0) {
        return false;
    }
    // Nobody takes pages of a retired pool, so this stays true.
    CREMA_CHECK(page_pool::destroy(pool.frames) && page_pool::destroy(pool.copies));
    return true;
}

Result<std::unique_ptr<LivePool>> make_pool(std::uint32_t number) {
    auto pool = std::make_unique<LivePool>();
    const auto copies = page_pool::create({.name = fmt::format("live{}c", number),
                                           .pages = kLiveCopies,
                                           .numa_node = -1,
                                           .lcore_caches = false});
    if (!copies) {
        return forward_error(copies);
    }
    const auto frames = page_pool::create({.name = fmt::format("live{}", number),
                                           .pages = kLivePages,
                                           .numa_node = -1,
                                           .lcore_caches = false});
    if (!frames) {
        (void)page_pool::destroy(*copies);  // nobody had a page of it
        return forward_error(frames);
    }
    pool->frames = *frames;
    pool->copies = *copies;
    pool->start = static_cast<std::uint8_t*>(page_pool::memory_of(*frames).start);
    return pool;
}

/// Where no EAL is: memory that looks like a pool's.
Result<std::unique_ptr<LivePool>> make_heap_pool() {
    auto pool = std::make_unique<LivePool>();
    constexpr std::size_t kBytes = std::size_t{kLivePages} * page_pool::kPageBytes;
    pool->start = static_cast<std::uint8_t*>(std::aligned_alloc(page_pool::kPageBytes, kBytes));
    if (pool->start == nullptr) {
        return fail(ENOMEM, "no memory for {} pages of live frames", kLivePages);
    }
    pool->heap.reset(pool->start);
    for (std::uint32_t i = 0; i < kLivePages; ++i) {
        pool->ring.push_back(reinterpret_cast<rte_mbuf*>(pool->start + i * page_pool::kPageBytes +
                                                         page_pool::kObjectHeaderBytes));
    }
    pool->at_home = kLivePages;
    return pool;
}

/// A retired pool most of whose pages are home, or a new one.
Result<std::unique_ptr<LivePool>> borrow() {
    Registry& all = registry();
    const std::scoped_lock guard(all.lock);
    const auto best = std::min_element(
        all.retired.begin(), all.retired.end(),
        [](const auto& one, const auto& other) { return one->in_flight() < other->in_flight(); });
    if (best != all.retired.end() && (*best)->in_flight() < kLivePages / 2) {
        auto pool = std::move(*best);
        all.retired.erase(best);
        ++all.lent;
        return pool;
    }
    if (all.retired.size() + all.lent >= kLivePoolsMax) {
        return fail(ENOMEM,
                    "{} runs with live frames are under way or have frames under way: no more at "
                    "the same time",
                    kLivePoolsMax);
    }
    auto made = make_pool(all.made);
    if (made) {
        ++all.made;
        ++all.lent;
    }
    return made;
}

void retire(std::unique_ptr<LivePool> pool) {
    Registry& all = registry();
    const std::scoped_lock guard(all.lock);
    --all.lent;
    all.retired.push_back(std::move(pool));
    std::erase_if(all.retired, [](const auto& one) { return destroy(*one); });
}

}  // namespace

std::uint32_t retired_live_pools() {
    Registry& all = registry();
    const std::scoped_lock guard(all.lock);
    return static_cast<std::uint32_t>(all.retired.size());
}

Result<std::unique_ptr<LivePages>> LivePages::acquire(std::span<const std::uint8_t> bytes,
                                                      std::uint32_t meta_bytes) {
    // All memory of the run first: nothing is lent that could not be used.
    std::unique_ptr<LivePages> pages(new LivePages(bytes, meta_bytes));
    auto pool = has_eal() ? borrow() : make_heap_pool();
    if (!pool) {
        return forward_error(pool);
    }
    pages->start(std::move(*pool));
    return pages;
}

LivePages::LivePages(std::span<const std::uint8_t> bytes, std::uint32_t meta_bytes)
    : bytes_(bytes), meta_bytes_(meta_bytes), fresh_(kLivePages) {
    cache_.reserve(kCacheRefill);
}

void LivePages::start(std::unique_ptr<LivePool> pool) {
    pool_ = std::move(pool);
    ++pool_->run;
    // What is home later has been taken in this run, or was under way from an earlier one.
    fresh_.resize(pool_->take(fresh_.data(), kLivePages));
}

LivePages::~LivePages() {
    if (pool_ == nullptr) {
        return;
    }
    give_back(cache_.data(), static_cast<std::uint32_t>(cache_.size()));
    give_back(fresh_.data(), static_cast<std::uint32_t>(fresh_.size()));
    if (!can_be_sent()) {
        return;
    }
    // The last frames are on their way out: a little later their pages are home.
    constexpr std::chrono::microseconds kPause(250);
    constexpr int kLooks = 20;
    for (int i = 0; i < kLooks && pool_->in_flight() != 0; ++i) {
        reclaim();
        std::this_thread::sleep_for(kPause);
    }
    retire(std::move(pool_));
}

bool LivePages::can_be_sent() const {
    return pool_->frames != nullptr;
}

rte_mempool* LivePages::copies() const {
    return pool_->copies;
}

void LivePages::refill() {
    cache_.resize(kCacheRefill);
    cache_.resize(pool_->take(cache_.data(), kCacheRefill));
    if (cache_.empty()) {
        const std::size_t part = std::min<std::size_t>(kCacheRefill, fresh_.size());
        cache_.assign(fresh_.end() - static_cast<std::ptrdiff_t>(part), fresh_.end());
        fresh_.resize(fresh_.size() - part);
    }
}

void LivePages::write_packet(rte_mbuf* page) const {
    // Whole: nothing of what the page held before is for this program to see.
    std::uint8_t* const start = page_pool::hard_start_of(page);
    std::memset(start, 0, page_pool::kFrameSize);
    std::memcpy(start + ebpf::kXdpHeadroom - meta_bytes_, bytes_.data(), bytes_.size());
}

std::uint32_t LivePages::take(Frame* frames, std::uint32_t max) {
    if (cache_.empty()) {
        refill();
    }
    const std::uint32_t n = std::min({max, kBurstMax, static_cast<std::uint32_t>(cache_.size())});
    for (std::uint32_t i = 0; i < n; ++i) {
        rte_mbuf* const page = cache_.back();
        cache_.pop_back();
        if (pool_->is_first_use(page)) {
            write_packet(page);
        }
        frames[i] = {.page = page,
                     .data = page_pool::hard_start_of(page) + ebpf::kXdpHeadroom,
                     .len = static_cast<std::uint32_t>(bytes_.size()) - meta_bytes_,
                     .meta_len = static_cast<std::uint16_t>(meta_bytes_),
                     .fragments = 0};
    }
    return n;
}

void LivePages::give_back(rte_mbuf* const* pages, std::uint32_t n) {
    if (n != 0) {
        pool_->give_back(pages, n);
    }
}

void LivePages::reclaim() {
    reader_.enter();
    for (std::uint16_t port_id = 0; port_id < kPortsMax; ++port_id) {
        if (const Port* const port = port_by_ifindex(ifindex_of(port_id)); port != nullptr) {
            (void)port->ops->xmit(port->port, tx_slot_of_this_thread(), nullptr, 0);
        }
    }
    reader_.leave();
}

}  // namespace crema::xdp
