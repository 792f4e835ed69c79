// SPDX-License-Identifier: BSD-3-Clause
//
// Ring buffers: the kernel's rules of room, order, discarding and waking, and many producers beside
// one consumer.
#include "lib/ebpf/maps/ringbuf.h"

#include <atomic>
#include <cerrno>
#include <cstring>
#include <gtest/gtest.h>
#include <thread>
#include <vector>

namespace crema::ebpf::maps {
namespace {

std::shared_ptr<RingBuffer> make(std::uint32_t bytes) {
    const auto map = create({.type = MapType::ringbuf, .max_entries = bytes, .name = "ring"});
    EXPECT_TRUE(map) << map.error().message;
    return std::static_pointer_cast<RingBuffer>(*map);
}

TEST(RingBuffer, FillsAllButOneByteAndFreesWhatWasConsumed) {
    const auto ring = make(4096);
    const std::uint64_t value = 1;
    // A record is 8 bytes of header and 8 of data; the last 16 would close the circle.
    for (int i = 0; i < 255; i++) {
        ASSERT_EQ(ring->output(&value, sizeof value, 0), 0) << i;
    }
    EXPECT_EQ(ring->output(&value, sizeof value, 0), -EAGAIN);
    EXPECT_EQ(ring->query(0), 255U * 16);
    EXPECT_EQ(ring->query(1), 4096U);
    EXPECT_EQ(ring->consume([](std::span<const std::uint8_t> record) {
        EXPECT_EQ(record.size(), sizeof(std::uint64_t));
    }),
              255U);
    EXPECT_EQ(ring->query(0), 0U);
    EXPECT_EQ(ring->query(2), 255U * 16);
    EXPECT_EQ(ring->query(3), 255U * 16);
    EXPECT_EQ(ring->query(4), 0U);
    // Across the end, in one piece.
    std::vector<std::uint8_t> large(1000, 0x77);
    ASSERT_EQ(ring->output(large.data(), large.size(), 0), 0);
    ring->consume([&](std::span<const std::uint8_t> record) {
        EXPECT_TRUE(std::equal(record.begin(), record.end(), large.begin(), large.end()));
    });
    EXPECT_EQ(ring->reserve(4096), nullptr);
    EXPECT_EQ(ring->reserve(std::uint64_t{1} << 40U), nullptr);
}

TEST(RingBuffer, StopsAtWhatIsBusyAndSkipsWhatIsDiscarded) {
    const auto ring = make(4096);
    std::uint8_t* first = ring->reserve(4);
    std::uint8_t* second = ring->reserve(4);
    std::uint8_t* third = ring->reserve(4);
    ASSERT_TRUE(first != nullptr && second != nullptr && third != nullptr);
    std::memset(third, 3, 4);
    RingBuffer::commit(third, 0, false);
    RingBuffer::commit(second, 0, true);
    const auto ignore = [](std::span<const std::uint8_t>) {};
    EXPECT_EQ(ring->consume(ignore), 0U);
    RingBuffer::commit(first, 0, false);
    EXPECT_EQ(ring->consume(ignore), 2U);
    EXPECT_EQ(ring->query(0), 0U);
}

TEST(RingBuffer, WakesAConsumerThatHasCaughtUp) {
    const auto ring = make(4096);
    const std::uint32_t value = 1;
    const auto ignore = [](std::span<const std::uint8_t>) {};
    ASSERT_EQ(ring->output(&value, sizeof value, 0), 0);
    EXPECT_EQ(ring->wakeups().count(), 1U);
    ASSERT_EQ(ring->output(&value, sizeof value, 0), 0);
    EXPECT_EQ(ring->wakeups().count(), 1U) << "it has not looked yet";
    ASSERT_EQ(ring->output(&value, sizeof value, RingBuffer::kForceWakeup), 0);
    EXPECT_EQ(ring->wakeups().count(), 2U);
    ring->consume(ignore);
    ASSERT_EQ(ring->output(&value, sizeof value, RingBuffer::kNoWakeup), 0);
    EXPECT_EQ(ring->wakeups().count(), 2U);
}

TEST(RingBuffer, ManyProducersLoseAndMixNothing) {
    constexpr std::uint64_t kProducers = 4;
    constexpr std::uint64_t kRecords = 20000;
    const auto ring = make(8192);
    std::atomic<std::uint64_t> running{kProducers};
    std::vector<std::thread> producers;
    for (std::uint64_t producer = 0; producer < kProducers; producer++) {
        producers.emplace_back([&, producer] {
            for (std::uint64_t number = 0; number < kRecords;) {
                const std::uint64_t record[3] = {producer, number, producer ^ number};
                if (ring->output(record, number % 2 == 0 ? 24 : 16, 0) == 0) {
                    number++;
                } else {
                    std::this_thread::yield();
                }
            }
            running--;
        });
    }
    std::uint64_t expected[kProducers] = {};
    const auto check = [&](std::span<const std::uint8_t> bytes) {
        std::uint64_t record[3] = {};
        std::memcpy(record, bytes.data(), bytes.size());
        ASSERT_LT(record[0], kProducers);
        EXPECT_EQ(record[1], expected[record[0]]++);
        EXPECT_EQ(bytes.size(), record[1] % 2 == 0 ? 24U : 16U);
        if (bytes.size() == 24) {
            EXPECT_EQ(record[2], record[0] ^ record[1]);
        }
    };
    while (running > 0) {
        if (ring->consume(check) == 0) {
            std::this_thread::yield();
        }
    }
    ring->consume(check);
    for (std::thread& producer : producers) {
        producer.join();
    }
    for (const std::uint64_t count : expected) {
        EXPECT_EQ(count, kRecords);
    }
}

}  // namespace
}  // namespace crema::ebpf::maps
