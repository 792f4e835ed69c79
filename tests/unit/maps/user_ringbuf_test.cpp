// SPDX-License-Identifier: BSD-3-Clause
//
// User ring buffers: what a producer writes by the rules comes out whole and in order; what breaks
// them is refused and leads nobody out of the ring.
#include "lib/ebpf/maps/user_ringbuf.h"

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "lib/ebpf/helpers/dynptr.h"
#include "lib/ebpf/helpers/map_natives.h"

namespace crema::ebpf::maps {
namespace {

constexpr std::uint32_t kBytes = 4096;

std::shared_ptr<UserRingBuffer> make() {
    const auto map = create({.type = MapType::user_ringbuf, .max_entries = kBytes, .name = "ring"});
    EXPECT_TRUE(map) << map.error().message;
    return std::static_pointer_cast<UserRingBuffer>(*map);
}

struct Seen {
    std::vector<std::vector<std::uint8_t>> samples;
    std::size_t limit = SIZE_MAX;
};

/// A program's callback.
std::uint64_t collect(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t, std::uint64_t, std::uint64_t) {
    const auto& dynptr = helpers::dynptr_at(r1);
    auto& seen = *reinterpret_cast<Seen*>(r2);
    std::vector<std::uint8_t> bytes(dynptr.size);
    EXPECT_EQ(helpers::dynptr_read(reinterpret_cast<std::uintptr_t>(bytes.data()), bytes.size(), r1,
                                   0, 0),
              0U);
    seen.samples.push_back(std::move(bytes));
    return seen.samples.size() >= seen.limit ? 1 : 0;
}

std::int64_t drain(UserRingBuffer& ring, Seen& seen, std::uint64_t flags = 0) {
    return static_cast<std::int64_t>(helpers::user_ringbuf_drain(
        helpers::map_argument(ring), reinterpret_cast<std::uintptr_t>(&collect),
        reinterpret_cast<std::uintptr_t>(&seen), flags, 0));
}

TEST(UserRingBuffer, SamplesComeOutAsTheyWentIn) {
    const auto ring = make();
    UserRingProducer producer(*ring);
    ASSERT_TRUE(producer.valid());
    std::uint8_t first = 0;
    for (int round = 0; round < 300; ++round) {
        std::vector<std::vector<std::uint8_t>> sent;
        for (std::uint32_t bytes : {0U, 1U, 8U, 13U, 700U}) {
            auto* const sample = static_cast<std::uint8_t*>(producer.reserve(bytes));
            ASSERT_NE(sample, nullptr);
            std::memset(sample, ++first, bytes);
            if (first % 4 == 0) {
                producer.discard(sample);
                continue;
            }
            producer.submit(sample);
            sent.emplace_back(bytes, first);
        }
        Seen seen;
        ASSERT_EQ(drain(*ring, seen), static_cast<std::int64_t>(sent.size()));
        ASSERT_EQ(seen.samples, sent);
    }
}

TEST(UserRingBuffer, FillsToTheLastByteAndStopsAtWhatIsBusy) {
    const auto ring = make();
    UserRingProducer producer(*ring);
    EXPECT_EQ(producer.reserve(kBytes - 7), nullptr);
    std::vector<void*> samples;
    while (void* const sample = producer.reserve(24)) {
        samples.push_back(sample);
    }
    EXPECT_EQ(samples.size(), kBytes / 32);
    for (std::size_t i = 1; i < samples.size(); ++i) {
        producer.submit(samples[i]);
    }
    Seen seen;
    EXPECT_EQ(drain(*ring, seen), 0) << "the first one is still being written";
    producer.submit(samples[0]);
    seen.limit = 3;
    EXPECT_EQ(drain(*ring, seen), 3);
    seen.limit = SIZE_MAX;
    EXPECT_EQ(drain(*ring, seen), static_cast<std::int64_t>(samples.size()) - 3);
}

TEST(UserRingBuffer, OneDrainsAtATime) {
    const auto ring = make();
    Seen seen;
    EXPECT_EQ(drain(*ring, seen, 4), -EINVAL);
    ASSERT_TRUE(ring->begin_drain());
    EXPECT_EQ(drain(*ring, seen), -EBUSY);
    ring->end_drain(0, 0);
    EXPECT_EQ(drain(*ring, seen), 0);
}

TEST(UserRingBuffer, WakesWhoWaitsForRoom) {
    const auto ring = make();
    UserRingProducer producer(*ring);
    Seen seen;
    EXPECT_EQ(drain(*ring, seen), 0);
    EXPECT_EQ(ring->wakeups().count(), 0U) << "nothing was taken";
    EXPECT_EQ(drain(*ring, seen, UserRingBuffer::kForceWakeup), 0);
    EXPECT_EQ(ring->wakeups().count(), 1U);
    producer.submit(producer.reserve(8));
    EXPECT_EQ(drain(*ring, seen, UserRingBuffer::kNoWakeup), 1);
    EXPECT_EQ(ring->wakeups().count(), 1U);
    producer.discard(producer.reserve(8));
    EXPECT_EQ(drain(*ring, seen), 0);
    EXPECT_EQ(ring->wakeups().count(), 2U) << "room came back";
    EXPECT_GE(ring->wakeups().fd(), 0);
}

/// Rights of descriptors that others map.
TEST(UserRingBuffer, TheConsumersPageIsReadOnly) {
    const auto ring = make();
    EXPECT_EQ(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, ring->memory_fd(), 0),
              MAP_FAILED);
    EXPECT_EQ(errno, EPERM);
    EXPECT_NE(ftruncate(ring->data_fd(), 0), 0) << "who has it must not take pages away";
    EXPECT_NE(ftruncate(ring->memory_fd(), 0), 0);
}

/// A producer that writes what it likes.
class Liar {
  public:
    explicit Liar(UserRingBuffer& ring)
        : pages_(static_cast<std::uint8_t*>(mmap(
              nullptr, 4096 + kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, ring.data_fd(), 0))) {}

    Liar(const Liar&) = delete;
    Liar& operator=(const Liar&) = delete;

    ~Liar() { munmap(pages_, 4096 + kBytes); }

    void say(std::uint64_t produced, std::uint32_t length, std::uint64_t at = 0) const {
        std::memcpy(pages_ + 4096 + at, &length, sizeof length);
        std::memcpy(pages_, &produced, sizeof produced);
    }

  private:
    std::uint8_t* pages_;
};

TEST(UserRingBuffer, LiesAreRefused) {
    struct Lie {
        std::uint64_t produced;
        std::uint32_t length;
        std::int64_t result;
    };

    constexpr std::uint32_t kBusy = 1U << 31U, kDiscarded = 1U << 30U;
    const auto ring = make();
    const Liar liar(*ring);
    Seen seen;
    for (const Lie& lie :
         {Lie{12, 4, -EINVAL}, Lie{8, 8, -EINVAL}, Lie{16, 9, -EINVAL},
          Lie{16, 0x3fffffff, -EINVAL}, Lie{8192, 8000, -E2BIG},
          Lie{std::uint64_t{1} << 31U, 1U << 24U, -E2BIG}, Lie{16, 8 | kBusy, 0}, Lie{0, 8, 0}}) {
        liar.say(lie.produced, lie.length);
        EXPECT_EQ(drain(*ring, seen), lie.result) << lie.produced << " " << lie.length;
        EXPECT_TRUE(seen.samples.empty());
    }
    liar.say(16, 8);
    EXPECT_EQ(drain(*ring, seen), 1);
    liar.say(32, 8 | kDiscarded | kBusy, 16);
    EXPECT_EQ(drain(*ring, seen), 0) << "what is discarded is passed";
    liar.say(16, 8);
    EXPECT_EQ(drain(*ring, seen), 0) << "back behind what was consumed";
    EXPECT_EQ(seen.samples.size(), 1U);
}

TEST(UserRingBuffer, AProducerBesideManyConsumers) {
    constexpr std::uint64_t kSamples = 100000;
    const auto ring = make();
    std::atomic<std::uint64_t> next{0};
    std::atomic<bool> done{false};
    const auto check = [](std::uint64_t r1, std::uint64_t r2, std::uint64_t, std::uint64_t,
                          std::uint64_t) -> std::uint64_t {
        std::uint64_t number = 0;
        EXPECT_EQ(helpers::dynptr_read(reinterpret_cast<std::uintptr_t>(&number), 8, r1, 0, 0), 0U);
        EXPECT_EQ(number, reinterpret_cast<std::atomic<std::uint64_t>*>(r2)->fetch_add(1));
        return 0;
    };
    std::vector<std::thread> consumers;
    for (int i = 0; i < 3; ++i) {
        consumers.emplace_back([&] {
            while (!done.load() || next.load() < kSamples) {
                helpers::user_ringbuf_drain(
                    helpers::map_argument(*ring),
                    reinterpret_cast<std::uintptr_t>(static_cast<Native>(check)),
                    reinterpret_cast<std::uintptr_t>(&next), 0, 0);
                std::this_thread::yield();
            }
        });
    }
    UserRingProducer producer(*ring);
    for (std::uint64_t number = 0; number < kSamples;) {
        if (void* const sample = producer.reserve(8); sample != nullptr) {
            std::memcpy(sample, &number, sizeof number);
            producer.submit(sample);
            number++;
        } else {
            std::this_thread::yield();
        }
    }
    done = true;
    for (std::thread& consumer : consumers) {
        consumer.join();
    }
    EXPECT_EQ(next.load(), kSamples);
}

}  // namespace
}  // namespace crema::ebpf::maps
