// SPDX-License-Identifier: BSD-3-Clause
//
// A page_pool seen from its owner, from other threads and from DPDK's mbuf calls: no page is lost
// or doubled, statistics mean what the kernel's mean, and a pool with pages out stays.
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <functional>
#include <gtest/gtest.h>
#include <memory>
#include <set>
#include <thread>
#include <vector>

#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_memzone.h>

#include "lib/page_pool/page_pool.h"
#include "tests/support/eal.h"
#include "tests/unit/page_pool/pool_threads.h"

namespace crema::page_pool {
namespace {

const auto* const eal_environment = test::with_eal({"-m", "64", "-l", "0"});

using test::in_thread;

class PoolTest : public testing::Test {
  protected:
    void SetUp() override { open(512); }

    void open(std::uint32_t pages) {
        TearDown();
        auto made = create({.name = "test_pool", .pages = pages, .numa_node = -1});
        ASSERT_TRUE(made) << made.error().message;
        pool_ = *made;
        set_owner(pool_, rte_lcore_id());
    }

    void TearDown() override {
        auto gone = destroy(pool_);
        EXPECT_TRUE(gone) << gone.error().message;
        pool_ = nullptr;
    }

    std::vector<rte_mbuf*> take(std::uint32_t n) {
        std::vector<rte_mbuf*> pages(n);
        pages.resize(alloc_bulk(pool_, pages.data(), n));
        return pages;
    }

    void give(const std::vector<rte_mbuf*>& pages) {
        recycle_bulk(pool_, pages.data(), static_cast<std::uint32_t>(pages.size()));
    }

    rte_mempool* pool_ = nullptr;
};

TEST_F(PoolTest, EveryPageOnceAndAllComeHome) {
    const auto pages = take(1000);
    EXPECT_EQ(pages.size(), 512U);
    EXPECT_EQ(std::set<rte_mbuf*>(pages.begin(), pages.end()).size(), 512U);
    EXPECT_EQ(stats(pool_).in_flight, 512U);
    EXPECT_TRUE(take(1).empty());
    give(pages);
    EXPECT_EQ(stats(pool_).in_flight, 0U);
    EXPECT_EQ(take(512).size(), 512U);
    give(pages);
}

TEST_F(PoolTest, ElementsAreColouredPagesInOneMappableChunk) {
    const auto pages = take(512);
    const auto memory = memory_of(pool_);
    const auto start = reinterpret_cast<std::uintptr_t>(memory.start);
    EXPECT_EQ(start % kPageBytes, 0U);
    EXPECT_EQ(memory.bytes, 512U * kPageBytes);
    std::array<int, kColours> colours{};
    std::set<std::uintptr_t> own_pages;
    for (rte_mbuf* page : pages) {
        const auto at = reinterpret_cast<std::uintptr_t>(page);
        ASSERT_GE(at, start);
        ASSERT_LT(at, start + memory.bytes);
        own_pages.insert(at / kPageBytes);
        const std::uintptr_t shift = at % kPageBytes - kObjectHeaderBytes;
        ASSERT_EQ(shift % kColourBytes, 0U);
        ++colours.at(shift / kColourBytes);
        EXPECT_EQ(page->buf_addr, buffer_of(page));
        EXPECT_EQ(page->buf_len, kBufferBytes);
        EXPECT_EQ((reinterpret_cast<std::uintptr_t>(buffer_of(page)) + kDmaOffset) % 64, 0U);
        EXPECT_EQ(
            (reinterpret_cast<std::uintptr_t>(buffer_of(page)) + kBufferBytes - 1) / kPageBytes,
            at / kPageBytes);
        EXPECT_EQ(rte_mbuf_refcnt_read(page), 1);
        EXPECT_EQ(page->nb_segs, 1);
        EXPECT_EQ(page->next, nullptr);
        EXPECT_EQ(page->pool, pool_);
    }
    EXPECT_EQ(own_pages.size(), 512U);
    for (const int count : colours) {
        EXPECT_EQ(count, 512 / 8);
    }
    give(pages);
}

TEST_F(PoolTest, StatisticsOfTheOwner) {
    // First round: the ring holds only pages nobody had; one "slow" per refill of 64.
    auto pages = take(128);
    auto s = stats(pool_);
    EXPECT_EQ(s.alloc_slow, 2U);
    EXPECT_EQ(s.alloc_fast, 126U);
    EXPECT_EQ(s.alloc_empty, 2U);
    EXPECT_EQ(s.alloc_refill, 0U);
    EXPECT_EQ(s.recycle_cached, 0U);
    give(pages);
    s = stats(pool_);
    EXPECT_EQ(s.recycle_cached, 128U);
    EXPECT_EQ(s.recycle_ring, 0U);
    EXPECT_EQ(s.recycle_cache_full, 0U);
    // Everything taken and given back: 128 fit into the cache, the others go to the ring.
    pages = take(512);
    give(pages);
    s = stats(pool_);
    EXPECT_EQ(s.alloc_fast + s.alloc_slow + s.alloc_refill, 128U + 512U);
    EXPECT_EQ(s.recycle_cached, 256U);
    EXPECT_EQ(s.recycle_cache_full, 512U - 128U);
    EXPECT_EQ(s.recycle_ring, 512U - 128U);
    EXPECT_EQ(s.alloc_slow, 8U);
    // Second round through the ring: refills, none slow, and an honest empty at the end.
    pages = take(513);
    EXPECT_EQ(pages.size(), 512U);
    const auto last = stats(pool_);
    EXPECT_EQ(last.alloc_slow, 8U);
    EXPECT_EQ(last.alloc_refill, 6U);
    EXPECT_EQ(last.alloc_empty, s.alloc_empty + 1);
    EXPECT_EQ(last.pages, 512U);
    EXPECT_EQ(last.in_flight, 512U);
    give(pages);
}

TEST_F(PoolTest, FreeingAnMbufRecyclesThePage) {
    for (int round = 0; round < 20; ++round) {
        for (rte_mbuf* page : take(64)) {
            to_mbuf(page, buffer_of(page) + kDataOffset, 60, 3);
            EXPECT_EQ(rte_pktmbuf_headroom(page), kDataOffset);
            EXPECT_EQ(rte_pktmbuf_pkt_len(page), 60U);
            rte_pktmbuf_free(page);
        }
    }
    const auto s = stats(pool_);
    EXPECT_EQ(s.in_flight, 0U);
    EXPECT_EQ(s.recycle_cached, 20U * 64U);
    EXPECT_EQ(s.alloc_slow, 1U);  // the same 64 pages went round in the cache
}

TEST_F(PoolTest, ForeignThreadsRecycleToTheRing) {
    for (const bool registered : {false, true}) {
        const auto before = stats(pool_);
        const auto pages = take(96);
        in_thread(registered, [&] { give(pages); });
        const auto after = stats(pool_);
        EXPECT_EQ(after.recycle_ring - before.recycle_ring, 96U);
        EXPECT_EQ(after.recycle_cached, before.recycle_cached);
        EXPECT_EQ(after.in_flight, 0U);
    }
}

TEST_F(PoolTest, PagesInAForeignLcoreCacheAreHome) {
    const auto pages = take(100);
    in_thread(true, [&] {
        for (rte_mbuf* page : pages) {
            rte_pktmbuf_free(page);  // stays in that lcore's mempool cache
        }
    });
    EXPECT_EQ(stats(pool_).in_flight, 0U);
    EXPECT_EQ(stats(pool_).recycle_ring, 0U);
    const auto reachable = take(512);
    EXPECT_EQ(reachable.size(), 412U);  // home, and yet out of the owner's reach
    give(reachable);
    // TearDown destroys the pool: the caches are flushed.
}

TEST_F(PoolTest, ForeignThreadMayAllocate) {
    in_thread(false, [&] {
        const auto pages = take(10);
        EXPECT_EQ(pages.size(), 10U);
        give(pages);
        rte_mbuf* one = rte_pktmbuf_alloc(pool_);
        ASSERT_NE(one, nullptr);
        EXPECT_EQ(stats(pool_).in_flight, 1U);
        rte_pktmbuf_free(one);
    });
    EXPECT_EQ(stats(pool_).in_flight, 0U);
}

TEST_F(PoolTest, MempoolDequeueIsAllOrNothing) {
    std::array<void*, 600> objects{};
    EXPECT_LT(rte_mempool_generic_get(pool_, objects.data(), 513, nullptr), 0);
    EXPECT_EQ(stats(pool_).in_flight, 0U);
    EXPECT_EQ(rte_mempool_generic_get(pool_, objects.data(), 512, nullptr), 0);
    EXPECT_LT(rte_mempool_generic_get(pool_, objects.data(), 1, nullptr), 0);
    rte_mempool_generic_put(pool_, objects.data(), 512, nullptr);
    EXPECT_EQ(stats(pool_).in_flight, 0U);
}

TEST_F(PoolTest, OwnerMovesAndCountersGoOn) {
    give(take(64));
    EXPECT_EQ(stats(pool_).recycle_cached, 64U);
    in_thread(true, [&] {
        set_owner(pool_, rte_lcore_id());
        give(take(32));
        EXPECT_EQ(stats(pool_).recycle_cached, 96U);
    });
    set_owner(pool_, rte_lcore_id());
    give(take(16));
    EXPECT_EQ(stats(pool_).recycle_cached, 112U);
    EXPECT_EQ(stats(pool_).in_flight, 0U);
}

TEST_F(PoolTest, OwnerAllocatesWhileOthersReturn) {
    constexpr int kRounds = 20000;
    rte_ring* handover = rte_ring_create("handover", 256, -1, RING_F_SP_ENQ | RING_F_SC_DEQ);
    ASSERT_NE(handover, nullptr);
    std::uint64_t sent = 0;
    std::atomic<bool> done{false};
    std::uint64_t freed = 0;
    std::thread other([&] {
        std::array<void*, 32> pages{};
        for (;;) {
            const bool last = done.load();
            const unsigned n = rte_ring_dequeue_burst(handover, pages.data(), 32, nullptr);
            for (unsigned i = 0; i < n; ++i) {
                rte_pktmbuf_free(static_cast<rte_mbuf*>(pages.at(i)));
            }
            freed += n;
            if (n == 0) {
                if (last) {
                    break;
                }
                std::this_thread::yield();
            }
        }
    });
    std::array<rte_mbuf*, 32> pages{};
    for (int i = 0; i < kRounds; ++i) {
        const std::uint32_t n = alloc_bulk(pool_, pages.data(), 32);
        const unsigned passed = rte_ring_enqueue_burst(
            handover, reinterpret_cast<void* const*>(pages.data()), n, nullptr);
        recycle_bulk(pool_, pages.data() + passed, n - passed);
        sent += passed;
        if (passed == 0) {
            std::this_thread::yield();
        }
    }
    done = true;
    other.join();
    rte_ring_free(handover);
    EXPECT_EQ(freed, sent);
    EXPECT_GT(sent, 0U);
    EXPECT_EQ(stats(pool_).in_flight, 0U);
    EXPECT_EQ(stats(pool_).recycle_ring - stats(pool_).recycle_cache_full, sent);
}

TEST_F(PoolTest, ReferencedAndIndirectMbufs) {
    const auto pages = take(2);
    rte_mbuf_refcnt_update(pages[0], 1);
    rte_pktmbuf_free(pages[0]);
    EXPECT_EQ(stats(pool_).in_flight, 2U);  // one reference is left
    rte_pktmbuf_free(pages[0]);
    EXPECT_EQ(stats(pool_).in_flight, 1U);

    rte_mempool* clones = rte_pktmbuf_pool_create("clones", 15, 0, 0, 0, -1);
    ASSERT_NE(clones, nullptr);
    to_mbuf(pages[1], buffer_of(pages[1]) + kDataOffset, 100, 0);
    rte_mbuf* clone = rte_pktmbuf_clone(pages[1], clones);
    ASSERT_NE(clone, nullptr);
    rte_pktmbuf_free(pages[1]);
    EXPECT_EQ(stats(pool_).in_flight, 1U);  // the clone holds it
    rte_pktmbuf_free(clone);
    EXPECT_EQ(stats(pool_).in_flight, 0U);
    rte_mempool_free(clones);
    const auto again = take(2);
    for (const rte_mbuf* page : again) {
        EXPECT_EQ(rte_mbuf_refcnt_read(page), 1);
        EXPECT_EQ(page->nb_segs, 1);
        EXPECT_EQ(page->next, nullptr);
    }
    give(again);
}

TEST_F(PoolTest, MixedPagesFindTheirPools) {
    auto other = create({.name = "other", .pages = 64, .numa_node = -1});
    ASSERT_TRUE(other);
    const auto mine = take(8);
    std::array<rte_mbuf*, 8> theirs{};
    ASSERT_EQ(alloc_bulk(*other, theirs.data(), 8), 8U);
    std::vector<rte_mbuf*> mixed;
    for (std::size_t i = 0; i < 8; ++i) {
        mixed.push_back(mine[i]);
        mixed.push_back(theirs.at(i));
    }
    recycle_mixed(mixed.data(), 16);
    EXPECT_EQ(stats(pool_).in_flight, 0U);
    EXPECT_EQ(stats(*other).in_flight, 0U);
    EXPECT_TRUE(destroy(*other));
}

TEST_F(PoolTest, DestroyWithPagesOutSaysHowMany) {
    const auto pages = take(7);
    const auto refused = destroy(pool_);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, EBUSY);
    EXPECT_NE(refused.error().message.find("7 of 512 pages"), std::string::npos)
        << refused.error().message;
    give(pages);
}

TEST(PoolErrors, TooFewPagesAndBadNames) {
    const auto small = create({.name = "small", .pages = kCacheRefill - 1, .numa_node = -1});
    ASSERT_FALSE(small);
    EXPECT_EQ(small.error().code, EINVAL);
    EXPECT_NE(small.error().message.find("at least 64"), std::string::npos);
    EXPECT_EQ(create({.name = "", .pages = 64, .numa_node = -1}).error().code, EINVAL);
    EXPECT_EQ(create({.name = std::string(40, 'x'), .pages = 64, .numa_node = -1}).error().code,
              EINVAL);
    auto first = create({.name = "twice", .pages = 64, .numa_node = -1});
    ASSERT_TRUE(first);
    EXPECT_EQ(create({.name = "twice", .pages = 64, .numa_node = -1}).error().code, EEXIST);
    EXPECT_TRUE(destroy(*first));
}

TEST(PoolErrors, WithoutMemoryNothingIsLeftBehind) {
    // The heap is filled so that every allocation step of create() fails once.
    auto free_bytes = [] {
        rte_malloc_socket_stats heap{};
        rte_malloc_get_socket_stats(static_cast<int>(rte_socket_id()), &heap);
        return heap.heap_freesz_bytes;
    };
    const std::size_t before = free_bytes();
    int failures = 0;
    int successes = 0;
    for (std::size_t left = 4096; left < (4U << 20U); left += 128 * 1024) {
        std::vector<void*> ballast;
        for (std::size_t piece = 8U << 20U; piece >= 4096; piece /= 2) {
            while (free_bytes() > left + piece) {
                void* block = rte_malloc(nullptr, piece, 0);
                if (block == nullptr) {
                    break;
                }
                ballast.push_back(block);
            }
        }
        auto made = create({.name = "starved", .pages = 256, .numa_node = -1});
        if (made) {
            ++successes;
            EXPECT_TRUE(destroy(*made));
        } else {
            ++failures;
            EXPECT_EQ(made.error().code, ENOMEM) << made.error().message;
        }
        EXPECT_EQ(rte_mempool_lookup("starved"), nullptr);
        for (void* block : ballast) {
            rte_free(block);
        }
        ASSERT_EQ(free_bytes(), before);
    }
    EXPECT_GT(failures, 4);
    EXPECT_GT(successes, 4);
}

TEST(PagePool, WithoutLcoreCachesPagesAreWithinReachOfAnyThread) {
    const auto made =
        create({.name = "shared", .pages = 128, .numa_node = -1, .lcore_caches = false});
    ASSERT_TRUE(made) << made.error().message;
    std::array<rte_mbuf*, 128> pages{};
    for (int round = 0; round < 3; ++round) {
        in_thread(true, [&] { ASSERT_EQ(alloc_bulk(*made, pages.data(), 128), 128U); });
        EXPECT_EQ(stats(*made).in_flight, 128U);
        for (rte_mbuf* page : pages) {
            rte_pktmbuf_free(page);  // by a lcore
        }
        EXPECT_EQ(stats(*made).in_flight, 0U);
    }
    in_thread(false, [&] { ASSERT_EQ(alloc_bulk(*made, pages.data(), 128), 128U); });
    recycle_bulk(*made, pages.data(), 128);
    EXPECT_TRUE(destroy(*made));
}

TEST(StockPool, AnyElementSizeWithOurOps) {
    rte_mempool* pool = rte_pktmbuf_pool_create_by_ops("stock", 511, 64, 0, 2176, -1, kOpsName);
    ASSERT_NE(pool, nullptr) << rte_strerror(rte_errno);
    EXPECT_FALSE(is_page_pool(pool));
    EXPECT_EQ(rte_mempool_avail_count(pool), 511U);
    for (int round = 0; round < 10; ++round) {
        std::array<rte_mbuf*, 300> mbufs{};
        ASSERT_EQ(rte_pktmbuf_alloc_bulk(pool, mbufs.data(), 300), 0);
        in_thread(round % 2 == 0, [&] { rte_pktmbuf_free_bulk(mbufs.data(), 300); });
    }
    std::vector<rte_mbuf*> all;
    while (rte_mbuf* mbuf = rte_pktmbuf_alloc(pool)) {
        all.push_back(mbuf);
    }
    // Mbufs in the caches of other lcores are home, but not within reach of this one.
    EXPECT_EQ(rte_mempool_avail_count(pool) + all.size(), 511U);
    rte_pktmbuf_free_bulk(all.data(), static_cast<unsigned>(all.size()));
    EXPECT_EQ(rte_mempool_avail_count(pool), 511U);
    rte_mempool_free(pool);
}

TEST(StockPool, OtherOpsAreNoPagePool) {
    rte_mempool* pool = rte_pktmbuf_pool_create("ordinary", 63, 0, 0, 2176, -1);
    ASSERT_NE(pool, nullptr);
    EXPECT_FALSE(is_page_pool(pool));
    rte_mempool_free(pool);
}

}  // namespace
}  // namespace crema::page_pool
