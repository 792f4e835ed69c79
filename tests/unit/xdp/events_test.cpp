// SPDX-License-Identifier: BSD-3-Clause
//
// The board of events: what is recorded is read whole and once, who is slow learns how much he
// missed, and a reader beside a writer never sees half a record.
#include "lib/xdp/events.h"

#include <array>
#include <atomic>
#include <cerrno>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <memory>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "lib/xdp/attach.h"
#include "tests/support/eal.h"
#include "tests/support/fake_port.h"
#include "tests/support/tiny_program.h"

namespace crema::xdp {
namespace {

[[maybe_unused]] const auto* const eal = test::with_eal({"-m", "64", "-l", "0"});

class Events : public testing::Test {
  protected:
    std::vector<Event> read() {
        std::vector<Event> all;
        reader_.read([&all](const Event& event) { all.push_back(event); }, missed_);
        return all;
    }

    EventReader reader_{*event_board(), true};
    std::uint64_t missed_ = 0;
};

TEST_F(Events, ExceptionsNameProgramVerdictPortAndQueue) {
    test::FrameSource source{"events"};
    const test::FakePort port{3};
    std::array<Frame, kBurstMax> frames;
    for (const std::uint32_t act : {0U, 77U}) {
        const auto program = test::returning(act);
        ASSERT_TRUE(attach(3, program));
        ASSERT_EQ(source.make(frames.data(), 2), 2U);
        EXPECT_EQ(port.run(frames.data(), 2, 5), 0U);
        const auto all = read();
        ASSERT_EQ(all.size(), 2U);
        for (const Event& event : all) {
            EXPECT_EQ(event.kind, EventKind::exception);
            EXPECT_EQ(event.program_id, program->id);
            EXPECT_EQ(event.act, act);
            EXPECT_EQ(event.ifindex, ifindex_of(3));
            EXPECT_EQ(event.queue, 5U);
        }
    }
}

TEST_F(Events, RefusedTxIsToldOncePerBurst) {
    test::FrameSource source{"events"};
    test::FakePort port{3};
    ASSERT_TRUE(attach(3, test::returning(3)));
    port.room = 10;
    std::array<Frame, kBurstMax> frames;
    ASSERT_EQ(source.make(frames.data(), 64), 64U);
    EXPECT_EQ(port.run(frames.data(), 64), 0U);
    const auto all = read();
    ASSERT_EQ(all.size(), 1U);
    EXPECT_EQ(all[0].kind, EventKind::bulk_tx);
    EXPECT_EQ(all[0].sent, 10U);
    EXPECT_EQ(all[0].drops, 54U);
}

TEST_F(Events, WhoIsSlowLearnsHowMuchWasMissed) {
    constexpr std::uint32_t kMore = 100;
    for (std::uint32_t i = 0; i < EventRing::kSlots + kMore; ++i) {
        record({.kind = EventKind::exception, .act = i});
    }
    const auto all = read();
    ASSERT_EQ(all.size(), EventRing::kSlots);
    EXPECT_EQ(missed_, kMore);
    EXPECT_EQ(all.front().act, kMore);
    EXPECT_EQ(all.back().act, EventRing::kSlots + kMore - 1);
    EXPECT_TRUE(read().empty());
}

TEST_F(Events, ARecordIsReadWholeOrNotAtAll) {
    std::atomic<bool> stop{false};
    std::thread writer([&stop] {  // no lcore: the shared ring
        for (std::uint32_t i = 1; !stop.load(std::memory_order_relaxed); ++i) {
            record({.kind = EventKind::bulk_tx, .program_id = i, .act = i, .ifindex = i, .cpu = i});
        }
    });
    std::uint64_t seen = 0;
    while (seen < 200'000) {
        for (const Event& event : read()) {
            ASSERT_EQ(event.program_id, event.act);
            ASSERT_EQ(event.program_id, event.ifindex);
            ASSERT_EQ(event.program_id, event.cpu);
            ++seen;
        }
    }
    stop = true;
    writer.join();
}

TEST_F(Events, OtherProcessesMayOnlyRead) {
    const int fd = event_board_fd();
    ASSERT_GE(fd, 0);
    EXPECT_NE(::ftruncate(fd, 0), 0);
    EXPECT_EQ(::mmap(nullptr, sizeof(EventBoard), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0),
              MAP_FAILED);
    void* const memory = ::mmap(nullptr, sizeof(EventBoard), PROT_READ, MAP_SHARED, fd, 0);
    ASSERT_NE(memory, MAP_FAILED);
    EventReader other(*static_cast<const EventBoard*>(memory), true);
    record({.kind = EventKind::exception, .act = 99});
    std::uint64_t missed = 0;
    std::uint32_t act = 0;
    other.read([&act](const Event& event) { act = event.act; }, missed);
    EXPECT_EQ(act, 99U);
    ::munmap(memory, sizeof(EventBoard));
}

TEST_F(Events, ABoardFullOfNonsenseDoesNoHarm) {
    const auto board = std::make_unique<EventBoard>();
    EventReader other(*board, false);
    std::uint64_t missed = 0;
    std::uint64_t seen = 0;
    for (const std::uint64_t written : {~0ULL, 5ULL, 1ULL << 63U, 0ULL}) {
        for (EventBoard::Head& head : board->heads) {
            head.written.store(written);
        }
        other.read([&seen](const Event&) { ++seen; }, missed);
    }
    EXPECT_EQ(seen, 0U);
}

}  // namespace
}  // namespace crema::xdp
