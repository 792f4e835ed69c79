// SPDX-License-Identifier: BSD-3-Clause
//
// Who has the pages: holders are asked and believed as far as pages of the pool go, each page
// counts once, and a pool that is given up waits for its last page and names who has it.
#include "lib/page_pool/holders.h"

#include <array>
#include <chrono>
#include <gtest/gtest.h>
#include <thread>
#include <vector>

#include <rte_mbuf.h>

#include "lib/page_pool/fragments.h"
#include "lib/page_pool/page_pool.h"
#include "lib/page_pool/retire.h"
#include "tests/support/eal.h"

namespace crema::page_pool {
namespace {

const auto* const eal_environment = test::with_eal({"-m", "64", "-l", "0"});

/// Something that keeps pages, under a name, as long as it lives.
class Shelf {
  public:
    explicit Shelf(const std::string& name) {
        register_holder(this, name, [](const void* self, HeldPages& pages) {
            for (const rte_mbuf* each : static_cast<const Shelf*>(self)->mbufs) {
                pages.add(each);
            }
        });
    }

    Shelf(const Shelf&) = delete;
    Shelf& operator=(const Shelf&) = delete;

    ~Shelf() { unregister_holder(this); }

    std::vector<const rte_mbuf*> mbufs;
};

class Holders : public testing::Test {
  protected:
    void SetUp() override {
        const auto made = create({.name = "held", .pages = 128});
        ASSERT_TRUE(made) << made.error().message;
        pool_ = *made;
    }

    void TearDown() override {
        const Status gone = destroy(pool_);
        EXPECT_TRUE(gone) << gone.error().message;
    }

    std::vector<rte_mbuf*> take(std::uint32_t n) {
        std::vector<rte_mbuf*> pages(n);
        EXPECT_EQ(alloc_bulk(pool_, pages.data(), n), n);
        return pages;
    }

    void give(const std::vector<rte_mbuf*>& pages) {
        recycle_bulk(pool_, pages.data(), static_cast<std::uint32_t>(pages.size()));
    }

    rte_mempool* pool_ = nullptr;
};

TEST_F(Holders, NobodyHasPagesThatAreHome) {
    EXPECT_TRUE(holders_of(pool_).empty());
    EXPECT_EQ(describe({}), "");
}

TEST_F(Holders, EachPageCountsOnceAndTheRestIsWithApplications) {
    Shelf ring("in TX queue 0 of port a");
    Shelf queue("in the queue of CPU 1");
    const auto pages = take(10);
    ring.mbufs = {pages[0], pages[1], pages[2], pages[1]};
    queue.mbufs = {pages[2], pages[3], nullptr};
    EXPECT_EQ(describe(holders_of(pool_)),
              "3 in TX queue 0 of port a, 1 in the queue of CPU 1, 6 with applications");
    const Status refused = destroy(pool_);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, EBUSY);
    EXPECT_EQ(refused.error().message,
              "page pool held: 10 of 128 pages are still in use (3 in TX queue 0 of port a, 1 in "
              "the queue of CPU 1, 6 with applications); free their mbufs first");
    give(pages);
}

TEST_F(Holders, ChainsAreFollowedAndForeignMbufsAreNot) {
    rte_mempool* const others = rte_pktmbuf_pool_create("others", 15, 0, 0, 512, -1);
    ASSERT_NE(others, nullptr);
    Shelf ring("in a ring");
    const auto pages = take(4);
    for (int i = 0; i < 3; ++i) {
        pages[static_cast<std::size_t>(i)]->next = pages[static_cast<std::size_t>(i) + 1];
    }
    rte_mbuf* const other = rte_pktmbuf_alloc(others);
    std::array<char, 64> nothing{};
    ring.mbufs = {pages[0], other, reinterpret_cast<rte_mbuf*>(nothing.data()),
                  // inside of a page, and no element
                  reinterpret_cast<rte_mbuf*>(buffer_of(pages[3]))};
    EXPECT_EQ(describe(holders_of(pool_)), "4 in a ring");
    pages[3]->next = pages[0];  // a circle ends, too
    EXPECT_EQ(describe(holders_of(pool_)), "4 in a ring");
    for (rte_mbuf* page : pages) {
        page->next = nullptr;
    }
    rte_pktmbuf_free(other);
    rte_mempool_free(others);
    give(pages);
}

TEST_F(Holders, WhoHasGoneIsNotAsked) {
    const auto pages = take(2);
    {
        Shelf gone("in a port that went");
        gone.mbufs = {pages[0], pages[1]};
        EXPECT_EQ(describe(holders_of(pool_)), "2 in a port that went");
    }
    EXPECT_EQ(describe(holders_of(pool_)), "2 with applications");
    give(pages);
}

/// Waits up to two seconds for the pool of that name to be destroyed.
bool is_gone(const char* name) {
    for (int i = 0; i < 200 && rte_mempool_lookup(name) != nullptr; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return rte_mempool_lookup(name) == nullptr;
}

TEST(Retire, ACompletePoolGoesAtOnce) {
    const auto made = create({.name = "complete", .pages = 64});
    ASSERT_TRUE(made);
    retire(*made);
    EXPECT_EQ(rte_mempool_lookup("complete"), nullptr);
    EXPECT_TRUE(reap_retired().empty());
    retire(nullptr);
}

TEST(Retire, WaitsForTheLastPageAndNamesWhoHasIt) {
    const auto made = create({.name = "waits", .pages = 64});
    ASSERT_TRUE(made);
    std::array<rte_mbuf*, 3> pages{};
    ASSERT_EQ(alloc_bulk(*made, pages.data(), 3), 3U);
    Shelf ring("in a ring");
    ring.mbufs = {pages[0]};
    retire(*made);
    const auto waiting = reap_retired();
    ASSERT_EQ(waiting.size(), 1U);
    EXPECT_EQ(waiting[0].name, "waits");
    EXPECT_EQ(waiting[0].in_flight, 3U);
    EXPECT_EQ(waiting[0].holders, "1 in a ring, 2 with applications");
    ring.mbufs.clear();
    rte_pktmbuf_free(pages[0]);
    rte_pktmbuf_free(pages[1]);
    EXPECT_EQ(reap_retired().size(), 1U);
    EXPECT_NE(rte_mempool_lookup("waits"), nullptr);
    rte_pktmbuf_free(pages[2]);
    // By itself: EAL's thread looks every second, and once more after the time of grace.
    EXPECT_TRUE(is_gone("waits") || is_gone("waits"));
    EXPECT_TRUE(reap_retired().empty());
}

TEST(Retire, ThePageThatIsBeingCutIsNoReasonToWait) {
    const auto made = create({.name = "cut_last", .pages = 64});
    ASSERT_TRUE(made);
    Fragment piece;
    ASSERT_TRUE(alloc_fragment(*made, 100, &piece));
    retire(*made);
    ASSERT_EQ(reap_retired().size(), 1U);
    EXPECT_EQ(reap_retired()[0].holders, "1 with applications");
    put_fragment(piece);
    EXPECT_TRUE(is_gone("cut_last") || is_gone("cut_last"));
}

}  // namespace
}  // namespace crema::page_pool
