// SPDX-License-Identifier: BSD-3-Clause
//
// Memory models: a frame goes home to the allocator it came from, by whichever model, thread and
// call it ends; and what cannot be a model is refused as the kernel refuses it.
#include "lib/page_pool/memory_model.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <gtest/gtest.h>
#include <random>
#include <vector>

#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include "lib/page_pool/page_pool.h"
#include "tests/support/eal.h"
#include "tests/unit/page_pool/pool_threads.h"

namespace crema::page_pool {
namespace {

const auto* const eal_environment = test::with_eal({"-m", "64", "-l", "0"});

/// A umem in small: ops whose way home is a fill ring, as a socket would make them.
int umem_alloc(rte_mempool* pool) {
    pool->pool_data = rte_ring_create("fill", 256, SOCKET_ID_ANY, 0);
    return pool->pool_data == nullptr ? -ENOMEM : 0;
}

void umem_free(rte_mempool* pool) {
    rte_ring_free(static_cast<rte_ring*>(pool->pool_data));
}

int umem_put(rte_mempool* pool, void* const* frames, unsigned n) {
    return rte_ring_enqueue_bulk(static_cast<rte_ring*>(pool->pool_data), frames, n, nullptr) == n
               ? 0
               : -ENOBUFS;
}

int umem_take(rte_mempool* pool, void** frames, unsigned n) {
    return rte_ring_dequeue_bulk(static_cast<rte_ring*>(pool->pool_data), frames, n, nullptr) == n
               ? 0
               : -ENOBUFS;
}

unsigned umem_count(const rte_mempool* pool) {
    return rte_ring_count(static_cast<rte_ring*>(pool->pool_data));
}

constexpr rte_mempool_ops make_umem_ops() {
    rte_mempool_ops ops{};
    constexpr std::string_view kName = "test_umem";
    std::copy(kName.begin(), kName.end(), ops.name);
    ops.alloc = umem_alloc;
    ops.free = umem_free;
    ops.enqueue = umem_put;
    ops.dequeue = umem_take;
    ops.get_count = umem_count;
    return ops;
}

constinit rte_mempool_ops umem_ops = make_umem_ops();

RTE_MEMPOOL_REGISTER_OPS(umem_ops)

class Models : public testing::Test {
  protected:
    static constexpr std::uint32_t kEach = 128;
    static constexpr std::uint32_t kPages = 512;  // lcores that free mbufs keep some

    void SetUp() override {
        pages_ = *create({.name = "pages", .pages = kPages});
        set_owner(pages_, rte_lcore_id());
        shared_ = rte_pktmbuf_pool_create("shared", kEach, 0, 0, 2176, -1);
        umem_ = rte_pktmbuf_pool_create_by_ops("umem", kEach, 0, 0, 2176, -1, "test_umem");
        ASSERT_NE(shared_, nullptr);
        ASSERT_NE(umem_, nullptr);
    }

    void TearDown() override {
        expect_all_home();
        EXPECT_TRUE(destroy(pages_));
        rte_mempool_free(shared_);
        rte_mempool_free(umem_);
    }

    void expect_all_home() const {
        EXPECT_EQ(rte_mempool_avail_count(pages_), kPages);
        EXPECT_EQ(rte_mempool_avail_count(shared_), kEach);
        EXPECT_EQ(rte_mempool_avail_count(umem_), kEach);
    }

    static std::vector<rte_mbuf*> take(rte_mempool* pool, std::uint32_t n) {
        std::vector<rte_mbuf*> frames(n);
        EXPECT_EQ(rte_pktmbuf_alloc_bulk(pool, frames.data(), n), 0);
        return frames;
    }

    rte_mempool* pages_ = nullptr;
    rte_mempool* shared_ = nullptr;
    rte_mempool* umem_ = nullptr;
};

TEST_F(Models, WhatIsNoneIsRefused) {
    const auto refusal = [](MemoryType type, rte_mempool* allocator, const char* word) {
        const auto made = make_memory_model(type, allocator);
        ASSERT_FALSE(made);
        EXPECT_EQ(made.error().code, EINVAL);
        EXPECT_NE(made.error().message.find(word), std::string::npos) << made.error().message;
    };
    refusal(MemoryType::page_pool, nullptr, "needs its allocator");
    refusal(MemoryType::xsk_buff_pool, nullptr, "needs its allocator");
    refusal(MemoryType::page_pool, shared_, "mempool shared is no page_pool");
    refusal(MemoryType::page_pool, umem_, "mempool umem is no page_pool");
    refusal(MemoryType::xsk_buff_pool, pages_, "mempool pages is a page_pool");
    refusal(static_cast<MemoryType>(3), pages_, "number 3");
    EXPECT_TRUE(make_memory_model(MemoryType::page_shared, nullptr));
    EXPECT_TRUE(make_memory_model(MemoryType::page_shared, pages_));
}

TEST_F(Models, EachBringsItsFramesHomeFromAnyThread) {
    const MemoryModel pages = *make_memory_model(MemoryType::page_pool, pages_);
    const MemoryModel umem = *make_memory_model(MemoryType::xsk_buff_pool, umem_);
    const MemoryModel shared = *make_memory_model(MemoryType::page_shared, nullptr);
    const auto round_trip = [&] {
        const auto a = take(pages_, 64);
        const auto b = take(umem_, 64);
        const auto c = take(shared_, 64);
        return_frames(pages, a.data(), 64);
        return_frames(umem, b.data(), 64);
        return_frames(shared, c.data(), 64);
    };
    round_trip();
    expect_all_home();
    test::in_thread(true, round_trip);
    test::in_thread(false, round_trip);
}

TEST_F(Models, SharedFramesLoseOneReference) {
    const auto frames = take(pages_, 2);
    rte_mbuf_refcnt_update(frames[0], 1);
    return_frames({}, frames.data(), 2);
    EXPECT_EQ(stats(pages_).in_flight, 1U);
    EXPECT_EQ(stats(pages_).recycle_released_ref, 1U);
    rte_pktmbuf_free(frames[0]);
}

TEST_F(Models, FramesThatLeftTheirBurstFindHomeByThemselves) {
    std::mt19937 dice(11);
    for (int round = 0; round < 200; ++round) {
        std::vector<rte_mbuf*> mixed;
        for (rte_mempool* const pool : {pages_, shared_, umem_}) {
            const auto some = take(pool, static_cast<std::uint32_t>(1 + dice() % 20));
            mixed.insert(mixed.end(), some.begin(), some.end());
        }
        std::shuffle(mixed.begin(), mixed.end(), dice);
        const auto n = static_cast<std::uint32_t>(mixed.size());
        const auto put = [&] {
            if (round % 3 == 0) {
                recycle_mixed(mixed.data(), n);
            } else if (round % 3 == 1) {
                put_mixed(mixed.data(), n);
            } else {
                rte_pktmbuf_free_bulk(mixed.data(), n);
            }
        };
        if (round % 2 == 0) {
            put();
        } else {
            test::in_thread(round % 4 == 1, put);
        }
    }
}

}  // namespace
}  // namespace crema::page_pool
