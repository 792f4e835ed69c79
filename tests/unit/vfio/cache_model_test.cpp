// SPDX-License-Identifier: BSD-3-Clause
//
// The cache in software: what each missing sync costs, two owners in one line, eviction, and ranges
// that come and go. The device side writes to DRAM as a model's engine does.
#include "lib/vfio/cache_model.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <gtest/gtest.h>
#include <thread>

#include "lib/vfio/dma_sync.h"

namespace crema::vfio {
namespace {

constexpr std::size_t kBytes = 16 * 4096;
alignas(4096) std::uint8_t memory[kBytes];

class Cache : public testing::Test {
  protected:
    void make(CacheModel::Behaviour behaviour = {}) {
        std::memset(memory, 0, sizeof(memory));
        auto made = CacheModel::before(space_, behaviour);
        ASSERT_TRUE(made) << made.error().message;
        model_ = std::move(*made);
        const auto iova = space_.map(memory, kBytes);
        ASSERT_TRUE(iova) << iova.error().message;
        iova_ = *iova;
    }

    void TearDown() override {
        EXPECT_TRUE(space_.unmap(memory));
        model_.reset();
        EXPECT_EQ(cache_model::current.load(), nullptr) << "the last user takes it away";
    }

    /// The byte as the device sees it.
    [[nodiscard]] std::uint8_t& dram(std::size_t offset) const {
        const auto window = model_->window_at(iova_ + static_cast<std::uint32_t>(offset));
        EXPECT_EQ(window.bytes, kBytes);
        return const_cast<std::uint8_t*>(window.va)[offset];
    }

    DmaSpace space_;
    std::shared_ptr<CacheModel> model_;
    std::uint32_t iova_ = 0;
};

TEST_F(Cache, DeviceSeesNothingThatWasNotSynced) {
    make();
    memory[100] = 7;
    EXPECT_EQ(dram(100), 0);
    sync_for_device(memory + 100, 1, true);
    EXPECT_EQ(dram(100), 0) << "a coherent device has no use for it";
    sync_for_device(memory + 100, 1, false);
    EXPECT_EQ(dram(100), 7);
    EXPECT_EQ(dram(64), 0);
    memory[64] = 8;  // the same line, dirty again
    EXPECT_EQ(dram(64), 0);
    sync_for_device(memory + 127, 2, false);  // two lines
    EXPECT_EQ(dram(64), 8);
}

TEST_F(Cache, CpuReadsOldBytesUntilItDropsTheLine) {
    make();
    sync_for_device(memory, 128, false);
    dram(3) = 9;
    dram(64) = 10;
    EXPECT_EQ(memory[3], 0);
    sync_for_cpu(memory, 4, false);
    EXPECT_EQ(memory[3], 9);
    EXPECT_EQ(memory[64], 0) << "a line further";
    sync_for_cpu(memory, 65, false);
    EXPECT_EQ(memory[64], 10);
}

TEST_F(Cache, DirtyLineThatWasGivenAwayOverwritesTheDevice) {
    make();
    const std::uint64_t before = CacheModel::lost_lines();
    sync_for_device(memory, 64, false);
    memory[1] = 5;  // after the clean
    dram(3) = 9;
    sync_for_cpu(memory, 64, false);
    EXPECT_EQ(memory[3], 0);
    EXPECT_EQ(dram(3), 0);
    EXPECT_EQ(CacheModel::lost_lines(), before + 1);
    // Never cleaned: whoever had it before may have written it.
    dram(4096) = 1;
    sync_for_cpu(memory + 4096, 64, false);
    EXPECT_EQ(memory[4096], 0);
    EXPECT_EQ(CacheModel::lost_lines(), before + 2);
}

TEST_F(Cache, TwoOwnersOfALineHurtEachOther) {
    make();
    sync_for_device(memory, 64, false);
    dram(32) = 9;   // the device completes the second half
    memory[0] = 1;  // and the CPU writes the first: "refilled"
    sync_for_device(memory, 32, false);
    EXPECT_EQ(dram(0), 1);
    EXPECT_EQ(dram(32), 0) << "the status is gone";
}

TEST_F(Cache, BytesThatWereThereBeforeAreWrittenToo) {
    make();
    sync_for_device(memory, 64, false);
    dram(0) = 9;    // by a device that was stopped: nobody looked
    memory[0] = 0;  // the next owner's byte, by chance the old one
    sync_for_device(memory, 64, false);
    EXPECT_EQ(dram(0), 0);
}

TEST_F(Cache, EvictionWritesBackAndLoadsLinesThatWereGivenAway) {
    make({.evicting = true, .seed = 3});
    sync_for_device(memory, 128, false);
    memory[0] = 5;
    dram(64) = 6;
    const std::uint64_t before = CacheModel::evicted_lines();
    for (int i = 0; i < 1000; ++i) {
        model_->tick();
    }
    EXPECT_GT(CacheModel::evicted_lines(), before);
    EXPECT_EQ(dram(0), 5);
    EXPECT_EQ(memory[64], 6);
    model_->forget();
    dram(65) = 7;
    for (int i = 0; i < 1000; ++i) {
        model_->tick();
    }
    EXPECT_EQ(memory[65], 0);
}

TEST_F(Cache, RangeThatComesBackIsNew) {
    make();
    memory[0] = 5;
    sync_for_device(memory, 64, false);
    const std::uint32_t generation = model_->generation();
    ASSERT_TRUE(space_.unmap(memory));
    EXPECT_NE(model_->generation(), generation);
    EXPECT_EQ(model_->window_at(iova_).bytes, 0U);
    sync_for_device(memory, 64, false);  // not of any device
    const auto again = space_.map(memory, kBytes);
    ASSERT_TRUE(again);
    iova_ = *again;
    EXPECT_EQ(dram(0), 0);
    EXPECT_EQ(memory[0], 5);
}

TEST_F(Cache, OneCacheForAProcess) {
    make();
    const auto same = CacheModel::before(space_, {});
    ASSERT_TRUE(same);
    EXPECT_EQ(*same, model_);
    DmaSpace other;
    const auto refused = CacheModel::before(other, {});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, EBUSY);
    EXPECT_TRUE(CacheModel::parse("noncoherent"));
    const auto seeded = CacheModel::parse("evicting:42");
    ASSERT_TRUE(seeded);
    EXPECT_TRUE(seeded->evicting);
    EXPECT_EQ(seeded->seed, 42U);
    for (const char* wrong : {"", "on", "evicting:", "evicting:x", "evictingly", "noncoherent:1"}) {
        EXPECT_FALSE(CacheModel::parse(wrong)) << wrong;
    }
}

// A line goes to and fro between a device's thread and the CPU's, while others are evicted by both;
// the CPU writes beside them. Run under ThreadSanitizer as well.
TEST_F(Cache, EngineAndCpuAtTheSameTime) {
    make({.evicting = true, .seed = 5});
    constexpr std::uint32_t kRounds = 3'000;
    std::atomic<std::uint32_t> given{0};
    std::atomic<std::uint32_t> done{0};
    std::thread device([&] {
        std::uint8_t* const line = &dram(128);
        for (std::uint32_t round = 1; round <= kRounds; ++round) {
            while (given.load(std::memory_order_acquire) != round) {
                model_->tick();
                std::this_thread::yield();
            }
            std::uint32_t asked = 0;
            std::memcpy(&asked, line, 4);
            EXPECT_EQ(asked, round);
            asked = ~asked;
            std::memcpy(line + 32, &asked, 4);
            done.store(round, std::memory_order_release);
        }
    });
    for (std::uint32_t round = 1; round <= kRounds; ++round) {
        std::memcpy(memory + 128, &round, 4);
        memory[200] = static_cast<std::uint8_t>(round);  // the CPU's own line, often evicted
        sync_for_device(memory + 192, 64, false);
        sync_for_device(memory + 128, 64, false);
        given.store(round, std::memory_order_release);
        while (done.load(std::memory_order_acquire) != round) {
            memory[200] = static_cast<std::uint8_t>(memory[200] + 1);
            std::this_thread::yield();
        }
        sync_for_cpu(memory + 128, 64, false);
        std::uint32_t answer = 0;
        std::memcpy(&answer, memory + 160, 4);
        ASSERT_EQ(answer, ~round);
    }
    device.join();
}

}  // namespace
}  // namespace crema::vfio
