// SPDX-License-Identifier: BSD-3-Clause
//
// page_pool by the kernel's letter: pages of higher order, a ring smaller than the pool, DMA
// settings and notes of touched bytes, shared pages, the owner's direct way, and the node change.
#include <array>
#include <cerrno>
#include <cstring>
#include <gtest/gtest.h>
#include <set>
#include <sys/mman.h>
#include <vector>

#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>

#include "lib/page_pool/direct.h"
#include "lib/page_pool/dma.h"
#include "lib/page_pool/page_pool.h"
#include "tests/support/eal.h"
#include "tests/unit/page_pool/pool_threads.h"

namespace crema::page_pool {
namespace {

const auto* const eal_environment = test::with_eal({"-m", "64", "-l", "0"});

/// A pool of the calling lcore, destroyed complete.
class Owned {
  public:
    explicit Owned(const Config& config) {
        const auto made = create(config);
        EXPECT_TRUE(made) << made.error().message;
        pool_ = made.value_or(nullptr);
        set_owner(pool_, rte_lcore_id());
    }

    Owned(const Owned&) = delete;
    Owned& operator=(const Owned&) = delete;

    ~Owned() {
        const Status gone = destroy(pool_);
        EXPECT_TRUE(gone) << gone.error().message;
    }

    operator rte_mempool*() const { return pool_; }  // NOLINT(*-explicit-*): stands for the pool

    [[nodiscard]] std::vector<rte_mbuf*> take(std::uint32_t n) const {
        std::vector<rte_mbuf*> pages(n);
        pages.resize(alloc_bulk(pool_, pages.data(), n));
        return pages;
    }

    void give(const std::vector<rte_mbuf*>& pages) const {
        recycle_bulk(pool_, pages.data(), static_cast<std::uint32_t>(pages.size()));
    }

  private:
    rte_mempool* pool_ = nullptr;
};

TEST(Order, APageOfHigherOrderIsOnePieceToItsEnd) {
    for (std::uint32_t order = 0; order <= kOrderMax; ++order) {
        const Owned pool({.name = "ordered", .pages = 96, .order = order});
        EXPECT_EQ(order_of(pool), order);
        EXPECT_EQ(memory_of(pool).bytes, 96U * page_bytes(order));
        const auto start = reinterpret_cast<std::uintptr_t>(memory_of(pool).start);
        const auto pages = pool.take(96);
        ASSERT_EQ(pages.size(), 96U);
        std::set<std::uintptr_t> own;
        for (rte_mbuf* page : pages) {
            EXPECT_EQ(page->buf_len, buffer_bytes(order));
            const auto first = reinterpret_cast<std::uintptr_t>(page) - kObjectHeaderBytes;
            const auto last =
                reinterpret_cast<std::uintptr_t>(buffer_of(page)) + buffer_bytes(order) - 1;
            EXPECT_EQ((first - start) / page_bytes(order), (last - start) / page_bytes(order));
            own.insert((first - start) / page_bytes(order));
            std::memset(page->buf_addr, 0x5a, page->buf_len);
        }
        EXPECT_EQ(own.size(), 96U);
        for (const rte_mbuf* page : pages) {  // nobody wrote over a neighbour's header
            EXPECT_EQ(page->pool, static_cast<rte_mempool*>(pool));
            EXPECT_EQ(page->buf_len, buffer_bytes(order));
        }
        pool.give(pages);
    }
}

TEST(Order, SlowPagesOfHigherOrderComeOneByOne) {
    const Owned pool({.name = "ordered", .pages = 96, .order = 2});
    pool.give(pool.take(70));
    Stats s = stats(pool);
    EXPECT_EQ(s.alloc_slow_high_order, 70U);
    EXPECT_EQ(s.alloc_slow, 0U);
    EXPECT_EQ(s.alloc_fast, 0U);
    EXPECT_EQ(s.alloc_empty, 70U);
    // The cache of so small a pool takes all of them.
    EXPECT_EQ(s.recycle_cached, 70U);
    pool.give(pool.take(70));
    s = stats(pool);
    EXPECT_EQ(s.alloc_slow_high_order, 70U);
    EXPECT_EQ(s.alloc_fast, 70U);
    EXPECT_EQ(s.recycle_cached, 140U);
}

TEST(Order, AJumboFrameFitsInOnePage) {
    const Owned pool({.name = "jumbo", .pages = 64, .order = 2});
    const auto pages = pool.take(1);
    ASSERT_EQ(pages.size(), 1U);
    constexpr std::uint32_t kJumbo = 9018;
    static_assert(dma_bytes(2) >= kJumbo + kMarvellHeaderBytes + kFcsBytes);
    to_mbuf(pages[0], buffer_of(pages[0]) + kDataOffset, kJumbo, 0);
    EXPECT_EQ(rte_pktmbuf_tailroom(pages[0]), buffer_bytes(2) - kDataOffset - kJumbo);
    rte_pktmbuf_free(pages[0]);
    EXPECT_EQ(stats(pool).in_flight, 0U);
}

TEST(PoolSize, WhatTheRingHasNoRoomForIsReleased) {
    const Owned pool({.name = "short_ring", .pages = 512, .pool_size = 100});
    auto pages = pool.take(512);
    EXPECT_EQ(stats(pool).alloc_slow, 8U);
    pool.give(pages);  // 128 to the cache, 100 to the ring
    Stats s = stats(pool);
    EXPECT_EQ(s.recycle_cached, 128U);
    EXPECT_EQ(s.recycle_cache_full, 384U);
    EXPECT_EQ(s.recycle_ring, 100U);
    EXPECT_EQ(s.recycle_ring_full, 284U);
    EXPECT_EQ(s.in_flight, 0U);
    // The released ones come by the slow path again, after cache and ring: 128, 64 + 36, 284.
    pages = pool.take(512);
    EXPECT_EQ(std::set<rte_mbuf*>(pages.begin(), pages.end()).size(), 512U);
    s = stats(pool);
    EXPECT_EQ(s.alloc_refill, 2U);
    EXPECT_EQ(s.alloc_slow, 8U + 5U);
    test::in_thread(true, [&] { pool.give(pages); });
    s = stats(pool);
    EXPECT_EQ(s.recycle_ring, 200U);
    EXPECT_EQ(s.recycle_ring_full, 284U + 412U);
    EXPECT_EQ(s.in_flight, 0U);
}

TEST(PoolSize, MempoolCallsSeeAllPages) {
    const Owned pool({.name = "short_ring", .pages = 512, .pool_size = 64});
    pool.give(pool.take(512));
    EXPECT_EQ(rte_mempool_avail_count(pool), 512U);
    std::array<void*, 512> objects{};
    // Beside the owner's cache 384 are in ring and stores.
    EXPECT_LT(rte_mempool_generic_get(pool, objects.data(), 385, nullptr), 0);
    EXPECT_EQ(rte_mempool_avail_count(pool), 512U);
    ASSERT_EQ(rte_mempool_generic_get(pool, objects.data(), 384, nullptr), 0);
    EXPECT_EQ(std::set<void*>(objects.begin(), objects.begin() + 384).size(), 384U);
    rte_mempool_generic_put(pool, objects.data(), 384, nullptr);
    EXPECT_EQ(stats(pool).in_flight, 0U);
}

TEST(Errors, OfOrderAndDma) {
    const auto refusal = [](Config config, const char* word) {
        config.name = "refused";
        config.pages = 64;
        const auto made = create(config);
        ASSERT_FALSE(made);
        EXPECT_EQ(made.error().code, EINVAL);
        EXPECT_NE(made.error().message.find(word), std::string::npos) << made.error().message;
    };
    using enum DmaDirection;
    refusal({.order = kOrderMax + 1}, "order 5");
    refusal({.dma = {.sync = true, .max_bytes = 64}}, "no DMA direction");
    refusal({.dma = {.direction = from_device, .sync = true}}, "of no bytes");
    refusal({.dma = {.direction = bidirectional, .offset = 100, .max_bytes = 64}}, "multiple of");
    refusal({.dma = {.direction = bidirectional, .offset = 256, .max_bytes = kBufferBytes - 255}},
            "has 3456 bytes");
    refusal({.dma = {.direction = bidirectional, .offset = ~63U, .max_bytes = 64}}, "3456");
    EXPECT_EQ(rte_mempool_lookup("refused"), nullptr);
    const Owned right({.name = "right",
                       .pages = 64,
                       .order = 1,
                       .dma = {.direction = bidirectional,
                               .sync = true,
                               .offset = kDmaOffset,
                               .max_bytes = dma_bytes(1)}});
    EXPECT_EQ(dma_of(right).max_bytes, dma_bytes(1));
    EXPECT_TRUE(notes_matter());
}

TEST(Notes, AreOfPagesThatOnlyXdpHad) {
    const Owned pool({.name = "noted", .pages = 64});
    const auto pages = pool.take(4);
    for (rte_mbuf* page : pages) {
        EXPECT_EQ(take_touched(page, 3000), 3000U) << "of a new page nothing is known";
        note_touched(page, 60);
    }
    pool.give(pages);
    const auto again = pool.take(4);
    EXPECT_EQ(take_touched(again[0], 3000), 60U);
    EXPECT_EQ(take_touched(again[0], 3000), 3000U) << "a note is used once";
    EXPECT_EQ(take_touched(again[1], 40), 40U);
    to_mbuf(again[2], buffer_of(again[2]) + kDataOffset, 60, 0);
    EXPECT_EQ(take_touched(again[2], 3000), 3000U) << "an application may have written anywhere";
    pool.give({again[3], again[2], again[1], again[0]});
    // An application takes the page that has a note out of the pool, and writes it all over.
    bool met = false;
    std::vector<rte_mbuf*> taken;
    for (int i = 0; i < 4; ++i) {
        taken.push_back(rte_pktmbuf_alloc(pool));
        ASSERT_NE(taken.back(), nullptr);
        met = met || taken.back() == again[3];
    }
    ASSERT_TRUE(met);
    EXPECT_EQ(take_touched(again[3], 3000), 3000U);
    rte_pktmbuf_free_bulk(taken.data(), 4);
}

TEST(Shared, APageWithMoreReferencesIsNotRecycled) {
    const Owned pool({.name = "shared", .pages = 64});
    rte_mempool* const others = rte_pktmbuf_pool_create("others", 63, 0, 0, 2176, -1);
    ASSERT_NE(others, nullptr);
    const auto pages = pool.take(3);
    rte_mbuf_refcnt_update(pages[1], 2);
    rte_mbuf* const other = rte_pktmbuf_alloc(others);
    const std::array<rte_mbuf*, 4> put = {pages[0], pages[1], pages[2], other};
    put_mixed(put.data(), 4);
    EXPECT_EQ(stats(pool).recycle_released_ref, 1U);
    EXPECT_EQ(stats(pool).recycle_cached, 2U);
    EXPECT_EQ(stats(pool).in_flight, 1U);
    EXPECT_EQ(rte_mempool_avail_count(others), 63U);
    put_mixed(&pages[1], 1);
    EXPECT_EQ(stats(pool).recycle_released_ref, 2U);
    EXPECT_EQ(stats(pool).in_flight, 1U);
    put_mixed(&pages[1], 1);  // the last reference
    EXPECT_EQ(stats(pool).recycle_released_ref, 2U);
    EXPECT_EQ(stats(pool).in_flight, 0U);
    EXPECT_EQ(rte_mbuf_refcnt_read(pages[1]), 1);
    rte_mempool_free(others);
}

TEST(Shared, AnIndirectMbufBringsHomeWhatItLeadsTo) {
    const Owned pool({.name = "shared", .pages = 64});
    rte_mempool* const clones = rte_pktmbuf_pool_create("clones", 15, 0, 0, 0, -1);
    ASSERT_NE(clones, nullptr);
    const auto pages = pool.take(1);
    to_mbuf(pages[0], buffer_of(pages[0]) + kDataOffset, 100, 0);
    rte_mbuf* const clone = rte_pktmbuf_clone(pages[0], clones);
    ASSERT_NE(clone, nullptr);
    put_mixed(pages.data(), 1);
    EXPECT_EQ(stats(pool).recycle_released_ref, 1U);
    EXPECT_EQ(stats(pool).in_flight, 1U);
    put_mixed(&clone, 1);
    EXPECT_EQ(stats(pool).in_flight, 0U);
    EXPECT_EQ(rte_mempool_avail_count(clones), 15U);
    rte_mempool_free(clones);
}

TEST(Shared, MorePagesThanOneBatchHolds) {
    const Owned pool({.name = "shared", .pages = 256});
    const auto pages = pool.take(200);
    put_mixed(pages.data(), 200);
    EXPECT_EQ(stats(pool).in_flight, 0U);
    // 256 came into the cache in four times 64, so 56 were left there.
    EXPECT_EQ(stats(pool).recycle_cached, 128U - 56U);
}

TEST(Direct, IsTheOwnersPoolAndCountsTheSame) {
    const Owned pool({.name = "direct", .pages = 256});
    rte_mbuf* const one = alloc_direct(pool);
    ASSERT_NE(one, nullptr);
    EXPECT_EQ(stats(pool).alloc_slow, 1U);
    rte_mbuf* const two = alloc_direct(pool);
    EXPECT_NE(one, two);
    EXPECT_EQ(stats(pool).alloc_fast, 1U);
    recycle_direct(pool, one);
    recycle_direct(pool, two);
    EXPECT_EQ(stats(pool).recycle_cached, 2U);
    EXPECT_EQ(alloc_direct(pool), two) << "last in, first out";
    recycle_direct(pool, two);
    for (const std::uint32_t n : {1U, 3U, 4U, 7U, 32U, 64U, 127U, 128U, 129U, 256U}) {
        std::array<rte_mbuf*, 257> pages{};
        pages.at(n) = one;
        ASSERT_EQ(alloc_bulk_direct(pool, pages.data(), n), n);
        EXPECT_EQ(pages.at(n), one) << "wrote past the end";
        EXPECT_EQ(std::set<rte_mbuf*>(pages.begin(), pages.begin() + n).size(), n);
        EXPECT_EQ(stats(pool).in_flight, n);
        recycle_bulk_direct(pool, pages.data(), n);
        EXPECT_EQ(stats(pool).in_flight, 0U);
    }
    std::array<rte_mbuf*, 256> all{};
    EXPECT_EQ(alloc_bulk_direct(pool, all.data(), 256), 256U);
    EXPECT_EQ(alloc_direct(pool), nullptr);
    for (rte_mbuf* page : all) {
        recycle_direct(pool, page);
    }
    EXPECT_EQ(stats(pool).in_flight, 0U);
    EXPECT_EQ(pool_of(pool).cache->len, kCacheMax);
}

/// DPDK memory that says it is of another node.
class OtherNode : public testing::Test {
  protected:
    static constexpr std::size_t kBytes = 16U << 20U;

    void SetUp() override {
        memory_ = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        ASSERT_NE(memory_, MAP_FAILED);
        ASSERT_EQ(rte_malloc_heap_create("node_b"), 0);
        ASSERT_EQ(rte_malloc_heap_memory_add("node_b", memory_, kBytes, nullptr,
                                             static_cast<unsigned>(kBytes / 4096), 4096),
                  0);
        node_ = rte_malloc_heap_get_socket("node_b");
        ASSERT_GT(node_, 0);
    }

    void TearDown() override {
        EXPECT_EQ(rte_malloc_heap_memory_remove("node_b", memory_, kBytes), 0);
        EXPECT_EQ(rte_malloc_heap_destroy("node_b"), 0);
        munmap(memory_, kBytes);
    }

    void* memory_ = nullptr;
    int node_ = -1;
};

TEST_F(OtherNode, PagesOfTheOldNodeAreWaived) {
    const Owned pool({.name = "moved", .pages = 256, .numa_node = 0});
    const auto old = memory_of(pool);
    const auto of_old_node = [&old](const rte_mbuf* page) {
        return static_cast<std::size_t>(reinterpret_cast<const std::uint8_t*>(page) -
                                        static_cast<std::uint8_t*>(old.start)) < old.bytes;
    };
    auto pages = pool.take(200);
    // 72 into the cache, which has 56 more, and 28 to the ring.
    pool.give(std::vector<rte_mbuf*>(pages.begin(), pages.begin() + 100));
    ASSERT_TRUE(set_node(pool, node_));
    EXPECT_EQ(stats(pool).pages, 512U);
    EXPECT_EQ(stats(pool).in_flight, 100U);
    EXPECT_EQ(active_memory_of(pool).bytes, 256U * kPageBytes);
    EXPECT_NE(active_memory_of(pool).start, old.start);
    // What is taken now is of the new node, though 100 pages of the old one were at hand.
    const auto fresh = pool.take(150);
    ASSERT_EQ(fresh.size(), 150U);
    for (const rte_mbuf* page : fresh) {
        EXPECT_FALSE(of_old_node(page));
        EXPECT_EQ(page->pool, static_cast<rte_mempool*>(pool));
        EXPECT_EQ(page->buf_len, kBufferBytes);
        EXPECT_EQ(rte_mbuf_refcnt_read(page), 1);
    }
    // Those still out come home by the ring and are not taken from there.
    test::in_thread(true, [&] { pool.give(std::vector(pages.begin() + 100, pages.end())); });
    pool.give(fresh);
    const std::uint64_t slow = stats(pool).alloc_slow;
    const auto all = pool.take(256);
    ASSERT_EQ(all.size(), 256U);
    for (const rte_mbuf* page : all) {
        EXPECT_FALSE(of_old_node(page));
    }
    EXPECT_EQ(stats(pool).alloc_waive, 28U + 100U);
    EXPECT_GT(stats(pool).alloc_slow, slow);
    // As in the kernel: where the wanted node has no more, another one serves.
    const auto last = pool.take(10);
    ASSERT_EQ(last.size(), 10U);
    for (const rte_mbuf* page : last) {
        EXPECT_TRUE(of_old_node(page));
    }
    pool.give(all);
    pool.give(last);
    EXPECT_EQ(stats(pool).in_flight, 0U);
}

TEST_F(OtherNode, BackAndForthTakesMemoryOnce) {
    const Owned pool({.name = "moved", .pages = 128, .numa_node = 0});
    ASSERT_TRUE(set_node(pool, 0));
    EXPECT_EQ(stats(pool).pages, 128U);
    for (int i = 0; i < 4; ++i) {
        ASSERT_TRUE(set_node(pool, i % 2 == 0 ? node_ : 0));
        EXPECT_EQ(stats(pool).pages, 256U);
        EXPECT_EQ(active_memory_of(pool).start == memory_of(pool).start, i % 2 == 1);
        const auto pages = pool.take(100);
        const auto range = active_memory_of(pool);
        for (const rte_mbuf* page : pages) {
            EXPECT_LT(static_cast<std::size_t>(reinterpret_cast<const std::uint8_t*>(page) -
                                               static_cast<std::uint8_t*>(range.start)),
                      range.bytes);
        }
        pool.give(pages);
    }
    ASSERT_TRUE(set_node(pool, -1));
    EXPECT_EQ(stats(pool).recycle_cached, 400U);
    EXPECT_EQ(rte_mempool_avail_count(pool), 256U);
}

TEST_F(OtherNode, MixedPagesOfOnePoolOnTwoNodes) {
    const Owned pool({.name = "moved", .pages = 64, .numa_node = 0});
    const auto first = pool.take(20);
    ASSERT_TRUE(set_node(pool, node_));
    const auto second = pool.take(20);
    std::vector<rte_mbuf*> mixed;
    for (std::size_t i = 0; i < 20; ++i) {
        mixed.push_back(second[i]);
        mixed.push_back(first[i]);
    }
    recycle_mixed(mixed.data(), 40);
    EXPECT_EQ(stats(pool).in_flight, 0U);
}

TEST_F(OtherNode, WithoutMemoryThereThePoolStays) {
    const Owned pool({.name = "stays", .pages = 8192, .numa_node = 0});  // 32 MiB do not fit there
    const Status moved = set_node(pool, node_);
    ASSERT_FALSE(moved);
    EXPECT_EQ(moved.error().code, ENOMEM);
    EXPECT_EQ(stats(pool).pages, 8192U);
    pool.give(pool.take(8192));
    EXPECT_EQ(stats(pool).in_flight, 0U);
}

TEST_F(OtherNode, AThirdNodeIsRefused) {
    const Owned pool({.name = "third", .pages = 64, .numa_node = 0});
    ASSERT_TRUE(set_node(pool, node_));
    const Status moved = set_node(pool, 7);
    ASSERT_FALSE(moved);
    EXPECT_EQ(moved.error().code, ENOSPC);
    EXPECT_NE(moved.error().message.find("node 7"), std::string::npos) << moved.error().message;
}

TEST(MempoolFace, DumpAndCountsOfStockToolsWork) {
    const Owned pool({.name = "dumped", .pages = 128, .order = 1, .pool_size = 64});
    const auto pages = pool.take(40);
    char* text = nullptr;
    std::size_t bytes = 0;
    std::FILE* const file = open_memstream(&text, &bytes);
    ASSERT_NE(file, nullptr);
    rte_mempool_dump(file, pool);
    ASSERT_EQ(std::fclose(file), 0);
    const std::string dump(text, bytes);
    std::free(text);
    EXPECT_NE(dump.find("mempool <dumped>"), std::string::npos) << dump;
    EXPECT_NE(dump.find("populated_size=128"), std::string::npos) << dump;
    EXPECT_NE(dump.find("common_pool_count=88"), std::string::npos) << dump;
    EXPECT_EQ(rte_mempool_in_use_count(pool), 40U);
    pool.give(pages);
    EXPECT_EQ(rte_mempool_in_use_count(pool), 0U);
    rte_mempool_audit(pool);
}

}  // namespace
}  // namespace crema::page_pool
