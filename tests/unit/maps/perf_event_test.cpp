// SPDX-License-Identifier: BSD-3-Clause
//
// Perf events and their arrays: records in the kernel's layout, losses counted, wakeups as asked
// for, readers that write anything into their pages, and entries that go with who made them.
#include "lib/ebpf/maps/perf_event.h"

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <linux/perf_event.h>

#include "lib/ebpf/maps/perf_event_array.h"
#include "lib/ebpf/maps/perf_reader.h"

namespace crema::ebpf::maps {
namespace {

using Bytes = std::vector<std::uint8_t>;

std::uint64_t page() {
    return static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

std::shared_ptr<PerfEvent> make(const PerfEventSpec& spec, std::uint64_t pages = 1) {
    auto event = PerfEvent::open(spec);
    EXPECT_TRUE(event) << event.error().message;
    EXPECT_EQ((*event)->make_ring((1 + pages) * page(), true), 0);
    return *event;
}

Bytes bytes_of(std::size_t count, std::uint8_t first) {
    Bytes bytes(count);
    for (std::size_t i = 0; i < count; ++i) {
        bytes[i] = static_cast<std::uint8_t>(first + i);
    }
    return bytes;
}

/// What another process sees.
class Mapped {
  public:
    Mapped(const PerfEvent& event, std::uint64_t pages)
        : bytes_((1 + pages) * page()),
          at_(mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, event.memory_fd(), 0)) {
        EXPECT_NE(at_, MAP_FAILED);
    }

    Mapped(const Mapped&) = delete;
    Mapped& operator=(const Mapped&) = delete;

    ~Mapped() { munmap(at_, bytes_); }

    [[nodiscard]] perf_event_mmap_page& head() const {
        return *static_cast<perf_event_mmap_page*>(at_);
    }

    [[nodiscard]] std::uint8_t* data() const { return static_cast<std::uint8_t*>(at_) + page(); }

  private:
    std::size_t bytes_;
    void* at_;
};

TEST(PerfEvent, RingsHaveOnePageAndAPowerOfTwo) {
    const auto event = *PerfEvent::open({});
    EXPECT_EQ(event->output(0, {}, {}), -ENOSPC);
    EXPECT_EQ(event->pause(true), -EINVAL);
    for (const std::uint64_t pages : {0U, 4U, 6U, 8U}) {
        EXPECT_EQ(event->make_ring(pages * page(), true), -EINVAL) << pages;
    }
    EXPECT_EQ(event->make_ring(std::uint64_t{1} << 50U, true), -EINVAL);
    EXPECT_EQ(event->make_ring((std::uint64_t{1} << 50U) + page(), true), -ENOMEM);
    EXPECT_EQ(event->make_ring(5 * page() - 1, true), 0);
    EXPECT_EQ(event->make_ring(5 * page(), true), 0) << "mapped again";
    EXPECT_EQ(event->make_ring(3 * page(), true), -EINVAL);
    const auto bare = *PerfEvent::open({});
    EXPECT_EQ(bare->make_ring(page(), true), 0);
    EXPECT_EQ(bare->output(0, {}, {}), -ENOSPC);
}

TEST(PerfEvent, RecordsLieAsTheKernelWritesThem) {
    const auto event = make({});
    const Mapped seen(*event, 1);
    EXPECT_EQ(seen.head().data_offset, page());
    EXPECT_EQ(seen.head().data_size, page());
    const Bytes first = bytes_of(5, 10);
    const Bytes second = bytes_of(4, 50);
    ASSERT_EQ(event->output(0, first, second), 0);
    // header, size with padding, both pieces, padding
    const Bytes expected = {9,  0,  0,  0,  1,  0,  24, 0,  12, 0, 0, 0,
                            10, 11, 12, 13, 14, 50, 51, 52, 53, 0, 0, 0};
    EXPECT_EQ(seen.head().data_head, expected.size());
    EXPECT_EQ(Bytes(seen.data(), seen.data() + expected.size()), expected);
    EXPECT_EQ(event->output(1, first, {}), -EOPNOTSUPP);
    event->disable();
    EXPECT_EQ(event->output(0, first, {}), -EOPNOTSUPP);
    event->enable();
    EXPECT_EQ(event->output(0, bytes_of(0xfff8, 0), {}), -E2BIG);
}

TEST(PerfEvent, PiecesStandOneBehindTheOther) {
    const auto event = make({});
    const Mapped seen(*event, 1);
    const Bytes a = bytes_of(3, 10);
    const Bytes b = bytes_of(1, 50);
    const Bytes c = bytes_of(2, 90);
    const std::array<std::span<const std::uint8_t>, 3> others = {a, b, c};
    ASSERT_EQ(event->output_pieces(0, bytes_of(2, 1), others), 0);
    const Bytes expected = {9, 0, 0,  0,  1,  0,  24, 0,  12, 0, 0, 0,
                            1, 2, 10, 11, 12, 50, 90, 91, 0,  0, 0, 0};
    EXPECT_EQ(seen.head().data_head, expected.size());
    EXPECT_EQ(Bytes(seen.data(), seen.data() + expected.size()), expected);
    ASSERT_EQ(event->output_pieces(0, bytes_of(2, 1), {}), 0);
}

TEST(PerfEvent, IdsStandInTheirOrder) {
    const auto event =
        make({.cpu = 3, .sample_type = kSampleServed, .sample_period = 77, .ids_everywhere = true});
    const Mapped seen(*event, 1);
    ASSERT_EQ(event->output(3, bytes_of(4, 1), {}), 0);
    std::array<std::uint64_t, 9> words{};
    std::memcpy(words.data(), seen.data(), sizeof words);
    EXPECT_EQ(words[0] >> 48U, sizeof words);
    EXPECT_EQ(words[1], event->id());
    EXPECT_EQ(words[2] & 0xffffffffU, static_cast<std::uint64_t>(getpid()));
    EXPECT_NE(words[3], 0U);
    EXPECT_EQ(words[4], event->id());
    EXPECT_EQ(words[5], event->id());
    EXPECT_EQ(words[6], 3U);
    EXPECT_EQ(words[7], 77U);
    EXPECT_EQ(words[8], 0x0403020100000004U) << "size and data";
}

TEST(PerfEvent, LossesAreCountedAndTold) {
    const auto event = make({});
    std::uint64_t written = 0;
    while (event->output(0, bytes_of(20, 1), {}) == 0) {
        written++;
    }
    EXPECT_EQ(written, (page() - 1) / 32);
    EXPECT_EQ(event->output(0, bytes_of(20, 1), {}), -ENOSPC);
    std::uint64_t samples = 0;
    std::uint64_t lost = 0;
    const auto count = [&] {
        return event->consume([&](std::span<const std::uint8_t>) { samples++; },
                              [&](std::uint64_t number) { lost += number; });
    };
    EXPECT_EQ(count(), written);
    EXPECT_EQ(lost, 0U) << "told with the next record";
    ASSERT_EQ(event->output(0, bytes_of(20, 1), {}), 0);
    EXPECT_EQ(count(), 2U);
    EXPECT_EQ(samples, written + 1);
    EXPECT_EQ(lost, 2U);
    ASSERT_EQ(event->pause(true), 0);
    EXPECT_EQ(event->output(0, bytes_of(20, 1), {}), -ENOSPC);
    ASSERT_EQ(event->pause(false), 0);
    ASSERT_EQ(event->output(0, bytes_of(20, 1), {}), 0);
    EXPECT_EQ(count(), 2U);
    EXPECT_EQ(lost, 3U);
}

TEST(PerfEvent, RecordsGoOnAcrossTheEnd) {
    const auto event = make({});
    for (std::uint32_t i = 0; i < 1000; ++i) {
        const Bytes sent = bytes_of(4 + 8 * (i % 50), static_cast<std::uint8_t>(i));
        ASSERT_EQ(event->output(0, sent, {}), 0);
        Bytes got;
        ASSERT_EQ(event->consume(
                      [&](std::span<const std::uint8_t> sample) {
                          got.assign(sample.begin(), sample.end());
                      },
                      [](std::uint64_t) {}),
                  1U);
        ASSERT_EQ(got, sent) << i;
    }
}

TEST(PerfEvent, AReaderThatCannotWriteIsOverwritten) {
    auto event = *PerfEvent::open({});
    ASSERT_EQ(event->make_ring(2 * page(), false), 0);
    for (int i = 0; i < 1000; ++i) {
        ASSERT_EQ(event->output(0, bytes_of(20, 1), {}), 0);
    }
}

TEST(PerfEvent, WakesAfterAsManyAsAsked) {
    const auto each = make({});
    const auto third = make({.wakeup_samples = 3});
    const auto half = make({.wakeup_samples = 0});
    const auto bytes = make({.wakes_by_bytes = true, .wakeup_bytes = 100});
    for (int i = 0; i < 9; ++i) {
        for (const auto& event : {each, third, half, bytes}) {
            ASSERT_EQ(event->output(0, bytes_of(20, 1), {}), 0);
        }
    }
    EXPECT_EQ(each->wakeups().count(), 9U);
    EXPECT_EQ(third->wakeups().count(), 3U);
    EXPECT_EQ(half->wakeups().count(), 0U);
    EXPECT_EQ(bytes->wakeups().count(), 2U);
    for (int i = 0; i < 60; ++i) {
        ASSERT_EQ(half->output(0, bytes_of(20, 1), {}), 0);
    }
    EXPECT_EQ(half->wakeups().count(), 1U);
    // Who asks late is told of what came before.
    pollfd wait{.fd = each->wakeups().fd(), .events = POLLIN, .revents = 0};
    EXPECT_EQ(poll(&wait, 1, 0), 1);
}

TEST(PerfEvent, ABurstWakesOnce) {
    const auto event = make({});
    const XdpBuff buff{};
    {
        const RunScope burst(buff);
        {
            const RunScope nested(buff);
            for (int i = 0; i < 10; ++i) {
                ASSERT_EQ(event->output(0, bytes_of(20, 1), {}), 0);
            }
        }
        EXPECT_EQ(event->wakeups().count(), 0U);
    }
    EXPECT_EQ(event->wakeups().count(), 1U);
    ASSERT_EQ(event->output(0, bytes_of(20, 1), {}), 0);
    EXPECT_EQ(event->wakeups().count(), 2U) << "outside of any burst";
}

TEST(PerfEvent, WhatAReaderWritesLeadsNobodyAstray) {
    const auto event = make({});
    const Mapped seen(*event, 1);
    std::uint64_t state = 1;
    const auto next = [&] { return state = state * 6364136223846793005U + 1442695040888963407U; };
    for (int i = 0; i < 2000; ++i) {
        for (int word = 0; word < 8; ++word) {
            std::memcpy(seen.data() + next() % (page() - 8), &state, 8);
        }
        seen.head().data_tail = next();
        seen.head().data_head = i % 3 == 0 ? next() : seen.head().data_head;
        seen.head().data_size = next();
        seen.head().data_offset = next();
        const int code = event->output(0, bytes_of(next() % 3000, 1), {});
        EXPECT_TRUE(code == 0 || code == -ENOSPC) << code;
        if (i % 5 == 0) {
            event->consume(
                [](std::span<const std::uint8_t> sample) { EXPECT_LE(sample.size(), 0xffffU); },
                [](std::uint64_t) {});
        }
    }
}

TEST(PerfEvent, ProducersOfOneCpuTakeTurns) {
    const auto event = make({}, 8);
    constexpr std::uint64_t kRecords = 20000;
    std::atomic<int> running{3};
    std::vector<std::thread> producers;
    std::atomic<std::uint64_t> refused{0};
    for (std::uint64_t producer = 0; producer < 3; ++producer) {
        producers.emplace_back([&, producer] {
            for (std::uint64_t number = 0; number < kRecords; ++number) {
                const std::array<std::uint64_t, 3> words = {producer, number, producer ^ number};
                Bytes record(sizeof words);
                std::memcpy(record.data(), words.data(), sizeof words);
                refused += event->output(0, record, {}) == 0 ? 0 : 1;
            }
            running--;
        });
    }
    std::uint64_t samples = 0;
    std::uint64_t lost = 0;
    const auto read = [&] {
        event->consume(
            [&](std::span<const std::uint8_t> sample) {
                std::array<std::uint64_t, 3> words{};
                ASSERT_EQ(sample.size(), sizeof words + 4);
                std::memcpy(words.data(), sample.data(), sizeof words);
                EXPECT_EQ(words[2], words[0] ^ words[1]);
                samples++;
            },
            [&](std::uint64_t number) { lost += number; });
    };
    while (running > 0) {
        read();
    }
    for (std::thread& producer : producers) {
        producer.join();
    }
    read();
    ASSERT_EQ(event->output(0, Bytes(24), {}), 0);
    read();
    EXPECT_EQ(samples, 3 * kRecords - refused + 1);
    EXPECT_EQ(lost, refused);
}

std::shared_ptr<PerfEventArray> new_array(std::uint32_t flags = 0) {
    const auto map = create({.type = MapType::perf_event_array,
                             .key_size = 4,
                             .value_size = 4,
                             .max_entries = 4,
                             .flags = flags,
                             .name = "events"});
    EXPECT_TRUE(map) << map.error().message;
    return std::static_pointer_cast<PerfEventArray>(*map);
}

TEST(PerfEventArray, EntriesGoWithWhoMadeThem) {
    for (const std::uint32_t flags : {0U, kPreserveElements}) {
        const auto array = new_array(flags);
        const int one = 0;
        const int other = 0;
        array->add_user();
        array->add_user();
        ASSERT_EQ(array->put(0, make({}), &one), 0);
        ASSERT_EQ(array->put(1, make({}), &other), 0);
        EXPECT_EQ(array->put(4, make({}), &other), -E2BIG);
        EXPECT_EQ(array->put(0, *PerfEvent::open({.is_inherited = true}), &one), -EOPNOTSUPP);
        array->drop_user(&one);
        EXPECT_EQ(array->event(0) != nullptr, flags != 0);
        EXPECT_NE(array->event(1), nullptr);
        EXPECT_EQ(array->event(4), nullptr);
        const std::uint32_t key = 1;
        EXPECT_EQ(array->erase(&key), 0);
        EXPECT_EQ(array->erase(&key), -ENOENT);
    }
}

TEST(PerfReader, ReadsWhatEachCpuWrites) {
    const auto array = new_array();
    std::uint64_t samples = 0;
    std::uint64_t lost = 0;
    const PerfReader::Visitor visitor = {
        .sample =
            [&](std::uint32_t cpu, std::span<const std::uint8_t> sample) {
                EXPECT_EQ(sample[0], cpu + 1);
                samples++;
            },
        .lost = [&](std::uint32_t, std::uint64_t count) { lost += count; }};
    {
        auto reader = PerfReader::open(array, {.pages = 1});
        ASSERT_TRUE(reader) << reader.error().message;
        EXPECT_EQ(reader->poll(0, visitor), 0U);
        std::uint64_t written = 0;
        for (const auto& event : reader->events()) {
            const std::uint32_t cpu = event->spec().cpu;
            ASSERT_EQ(array->event(cpu), event.get());
            written +=
                event->output(cpu, bytes_of(12, static_cast<std::uint8_t>(cpu + 1)), {}) == 0;
        }
        EXPECT_EQ(reader->poll(1000, visitor), written);
        EXPECT_EQ(samples, written);
        std::thread later([&] {
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
            const auto& event = reader->events().front();
            EXPECT_EQ(event->output(event->spec().cpu, bytes_of(4, 1), {}), 0);
        });
        EXPECT_EQ(reader->poll(10000, visitor), 1U);
        later.join();
    }
    EXPECT_EQ(array->event(0), nullptr);
    EXPECT_FALSE(PerfReader::open(array, {.pages = 3}));
    EXPECT_EQ(array->event(0), nullptr);
}

}  // namespace
}  // namespace crema::ebpf::maps
