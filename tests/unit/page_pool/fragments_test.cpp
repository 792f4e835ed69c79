// SPDX-License-Identifier: BSD-3-Clause
//
// Pieces of pages: none overlaps another, the page is home when the last one was put by whomever,
// and as mbufs they keep DPDK's rules.
#include "lib/page_pool/fragments.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <gtest/gtest.h>
#include <map>
#include <random>
#include <vector>

#include <rte_mbuf.h>

#include "lib/page_pool/page_pool.h"
#include "tests/support/eal.h"
#include "tests/unit/page_pool/pool_threads.h"

namespace crema::page_pool {
namespace {

const auto* const eal_environment = test::with_eal({"-m", "64", "-l", "0"});

class Fragments : public testing::Test {
  protected:
    void SetUp() override {
        const auto made = create({.name = "cut", .pages = 64});
        ASSERT_TRUE(made) << made.error().message;
        pool_ = *made;
        set_owner(pool_, rte_lcore_id());
        headers_ = rte_pktmbuf_pool_create("headers", 255, 0, 0, 0, -1);
        ASSERT_NE(headers_, nullptr);
    }

    void TearDown() override {
        const Status gone = destroy(pool_);
        EXPECT_TRUE(gone) << gone.error().message;
        EXPECT_EQ(rte_mempool_avail_count(headers_), 255U);
        rte_mempool_free(headers_);
    }

    Fragment cut(std::uint32_t bytes) {
        Fragment fragment;
        EXPECT_TRUE(alloc_fragment(pool_, bytes, &fragment));
        return fragment;
    }

    [[nodiscard]] std::uint64_t out() const { return stats(pool_).in_flight; }

    rte_mempool* pool_ = nullptr;
    rte_mempool* headers_ = nullptr;
};

TEST_F(Fragments, SeveralShareAPageAndTheLastBringsItHome) {
    const Fragment a = cut(1000);
    const Fragment b = cut(1000);
    const Fragment c = cut(1000);
    EXPECT_EQ(a.bytes, 1024U);
    EXPECT_EQ(a.page, b.page);
    EXPECT_EQ(b.page, c.page);
    EXPECT_EQ(b.data, a.data + a.bytes);
    EXPECT_EQ(c.data, b.data + b.bytes);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(a.data) % 64, 0U);
    EXPECT_EQ(out(), 1U);
    EXPECT_EQ(stats(pool_).alloc_fast, 2U) << "cut from the page at hand";
    EXPECT_EQ(stats(pool_).alloc_slow, 1U);
    const Fragment d = cut(1000);  // does not fit: another page
    EXPECT_NE(d.page, a.page);
    EXPECT_EQ(out(), 2U);
    put_fragment(b);
    put_fragment(a);
    EXPECT_EQ(out(), 2U);
    put_fragment(c);
    EXPECT_EQ(out(), 1U);
    put_fragment(d);
    EXPECT_EQ(out(), 1U) << "more can be cut from it";
    drop_fragment_page(pool_);
    EXPECT_EQ(out(), 0U);
}

TEST_F(Fragments, APageWhosePiecesAreBackIsCutAgain) {
    rte_mbuf* const page = cut(2048).page;
    put_fragment({.page = page, .data = buffer_of(page), .bytes = 2048});
    for (int i = 0; i < 100; ++i) {
        const Fragment again = cut(2048);  // two do not fit
        EXPECT_EQ(again.page, page);
        put_fragment(again);
    }
    EXPECT_EQ(out(), 1U);
    EXPECT_EQ(stats(pool_).alloc_slow, 1U);
}

TEST_F(Fragments, SizesFromOneByteToAPage) {
    Fragment none;
    EXPECT_FALSE(alloc_fragment(pool_, 0, &none));
    EXPECT_FALSE(alloc_fragment(pool_, fragment_bytes_max(0) + 1, &none));
    EXPECT_EQ(out(), 0U);
    const Fragment all = cut(fragment_bytes_max(0));
    EXPECT_LE(all.data + all.bytes, buffer_of(all.page) + kBufferBytes);
    const Fragment one = cut(1);
    EXPECT_EQ(one.bytes, 64U);
    EXPECT_NE(one.page, all.page);
    put_fragment(all);
    put_fragment(one);
}

TEST_F(Fragments, AnEmptyPoolCutsNothing) {
    std::vector<Fragment> all;
    Fragment fragment;
    while (alloc_fragment(pool_, 3000, &fragment)) {
        all.push_back(fragment);
    }
    EXPECT_EQ(all.size(), 64U);
    EXPECT_FALSE(alloc_fragment(pool_, 3000, &fragment));
    for (const Fragment& each : all) {
        put_fragment(each);
    }
    drop_fragment_page(pool_);
    EXPECT_EQ(out(), 0U);
    EXPECT_TRUE(alloc_fragment(pool_, 3000, &fragment));
    put_fragment(fragment);
}

TEST_F(Fragments, AsMbufsTheyAreFreedClonedAndChained) {
    std::vector<Fragment> pieces;
    rte_mbuf* chain = nullptr;
    for (int i = 0; i < 5; ++i) {
        pieces.push_back(cut(600));
        rte_mbuf* const mbuf = fragment_to_mbuf(pieces.back(), headers_);
        ASSERT_NE(mbuf, nullptr);
        EXPECT_EQ(rte_pktmbuf_tailroom(mbuf), 640U);
        EXPECT_EQ(
            rte_mbuf_iova_get(mbuf),
            rte_mbuf_iova_get(pieces.back().page) +
                static_cast<std::uint64_t>(pieces.back().data - buffer_of(pieces.back().page)));
        char* const data = rte_pktmbuf_append(mbuf, 600);
        ASSERT_NE(data, nullptr);
        std::memset(data, 'a' + i, 600);
        if (chain == nullptr) {
            chain = mbuf;
        } else {
            ASSERT_EQ(rte_pktmbuf_chain(chain, mbuf), 0);
        }
    }
    drop_fragment_page(pool_);
    EXPECT_EQ(out(), 1U);
    rte_mbuf* const clone = rte_pktmbuf_clone(chain, headers_);
    ASSERT_NE(clone, nullptr);
    rte_pktmbuf_free(chain);
    EXPECT_EQ(out(), 1U) << "the clone has it";
    std::array<char, 3000> bytes{};
    ASSERT_NE(rte_pktmbuf_read(clone, 0, 3000, bytes.data()), nullptr);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        const auto* const at = static_cast<const char*>(
            rte_pktmbuf_read(clone, static_cast<std::uint32_t>(i), 1, bytes.data()));
        ASSERT_EQ(*at, static_cast<char>('a' + i / 600));
    }
    rte_pktmbuf_free(clone);
    EXPECT_EQ(out(), 0U);
}

TEST_F(Fragments, WithoutAHeaderThePieceStaysWithTheCaller) {
    rte_mempool* const few = rte_pktmbuf_pool_create("few", 1, 0, 0, 0, -1);
    ASSERT_NE(few, nullptr);
    rte_mbuf* const first = fragment_to_mbuf(cut(100), few);
    ASSERT_NE(first, nullptr);
    const Fragment piece = cut(100);
    EXPECT_EQ(fragment_to_mbuf(piece, few), nullptr);
    put_fragment(piece);
    rte_pktmbuf_free(first);
    rte_mempool_free(few);
}

TEST_F(Fragments, RandomSizesNeverOverlapAndAllComeHome) {
    std::mt19937 dice(7);
    std::vector<Fragment> held;
    for (int i = 0; i < 20000; ++i) {
        Fragment fragment;
        if (dice() % 2 == 0 &&
            alloc_fragment(pool_, static_cast<std::uint32_t>(1 + dice() % 3456), &fragment)) {
            std::memset(fragment.data, static_cast<int>(held.size() & 0xffU), fragment.bytes);
            *reinterpret_cast<std::uint64_t*>(fragment.data) =
                reinterpret_cast<std::uintptr_t>(fragment.data);
            held.push_back(fragment);
        } else if (!held.empty()) {
            std::swap(held[dice() % held.size()], held.back());
            // Nobody wrote over it: its first word is its address.
            ASSERT_EQ(*reinterpret_cast<std::uint64_t*>(held.back().data),
                      reinterpret_cast<std::uintptr_t>(held.back().data));
            put_fragment(held.back());
            held.pop_back();
        }
    }
    std::map<std::uint8_t*, std::uint32_t> by_address;
    for (const Fragment& each : held) {
        by_address[each.data] = each.bytes;
    }
    for (auto at = by_address.begin(); std::next(at) != by_address.end(); ++at) {
        EXPECT_LE(at->first + at->second, std::next(at)->first);
    }
    for (const Fragment& each : held) {
        put_fragment(each);
    }
    drop_fragment_page(pool_);
    EXPECT_EQ(out(), 0U);
}

TEST_F(Fragments, OtherThreadsPutThem) {
    for (int round = 0; round < 200; ++round) {
        std::vector<Fragment> pieces;
        pieces.reserve(30);
        for (int i = 0; i < 30; ++i) {
            pieces.push_back(cut(700));
        }
        std::thread first([&] { std::for_each_n(pieces.begin(), 15, put_fragment); });
        std::thread second([&] { std::for_each_n(pieces.begin() + 15, 15, put_fragment); });
        drop_fragment_page(pool_);
        first.join();
        second.join();
        ASSERT_EQ(out(), 0U) << round;
    }
}

}  // namespace
}  // namespace crema::page_pool
