// SPDX-License-Identifier: BSD-3-Clause
//
// The trace ring, and reads through made-up addresses: what belongs to a run is readable in it and
// nothing outside of it.
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "lib/ebpf/abi/fragments.h"
#include "lib/ebpf/abi/run_scope.h"
#include "lib/ebpf/helpers/checked_read.h"
#include "lib/ebpf/helpers/natives.h"
#include "lib/ebpf/helpers/trace_ring.h"
#include "lib/ebpf/maps/known_memory.h"

namespace crema::ebpf::helpers {
namespace {

std::uint64_t address_of(const void* pointer) {
    return reinterpret_cast<std::uintptr_t>(pointer);
}

std::vector<std::string> drained() {
    std::vector<std::string> lines;
    while (drain_trace([&](const TraceLine& line) { lines.emplace_back(line.text); }) != 0) {
    }
    return lines;
}

TEST(Trace, LinesComeOutInOrderWithTheirCpu) {
    static_cast<void>(drained());
    XdpBuff buff{};
    buff.cpu = 3;
    const RunScope scope(buff);
    constexpr char kFormat[] = "x=%d y=%lx %c\n";
    EXPECT_EQ(trace_printk(address_of(kFormat), sizeof kFormat, 5, 0x1234567890, 'z'), 19U);
    trace("plain");
    std::vector<std::pair<std::int32_t, std::string>> lines;
    EXPECT_EQ(drain_trace([&](const TraceLine& line) {
                  lines.emplace_back(line.cpu, std::string(line.text));
                  EXPECT_GT(line.time_ns, 0U);
              }),
              2U);
    ASSERT_EQ(lines.size(), 2U);
    EXPECT_EQ(lines[0], (std::pair{3, std::string("x=5 y=1234567890 z\n")}));
    EXPECT_EQ(lines[1].second, "plain");
    EXPECT_TRUE(drained().empty());
}

TEST(Trace, AFullRingLosesNewLinesAndCountsThem) {
    static_cast<void>(drained());
    const std::uint64_t lost = trace_lines_lost();
    for (std::size_t i = 0; i < kTraceLinesMax + 7; ++i) {
        trace(std::to_string(i));
    }
    EXPECT_EQ(trace_lines_lost() - lost, 7U);
    const std::vector<std::string> lines = drained();
    ASSERT_EQ(lines.size(), kTraceLinesMax);
    EXPECT_EQ(lines.front(), "0");
    EXPECT_EQ(lines.back(), std::to_string(kTraceLinesMax - 1));
    trace("again");
    EXPECT_EQ(drained(), std::vector<std::string>{"again"});
}

TEST(Trace, ALongLineIsCut) {
    static_cast<void>(drained());
    constexpr char kFormat[] = "%2000d";
    EXPECT_EQ(trace_printk(address_of(kFormat), sizeof kFormat, 5, 0, 0), 2000U);
    const std::vector<std::string> lines = drained();
    ASSERT_EQ(lines.size(), 1U);
    EXPECT_EQ(lines[0], std::string(kTraceTextMax, ' '));
}

// Every line is there once, whole, and in its writer's order, or is counted as lost.
TEST(Trace, ManyWritersAndOneReader) {
    static_cast<void>(drained());
    constexpr int kWriters = 4;
    constexpr int kLines = 20'000;
    const std::uint64_t lost_before = trace_lines_lost();
    std::atomic<int> running{kWriters};
    std::vector<std::thread> writers;
    writers.reserve(kWriters);
    for (int writer = 0; writer < kWriters; ++writer) {
        writers.emplace_back([writer, &running] {
            for (int i = 0; i < kLines; ++i) {
                if (i % 200 == 0) {  // let the reader run on a busy machine, too
                    std::this_thread::sleep_for(std::chrono::microseconds(200));
                }
                const std::string number = std::to_string(i);
                trace(fmt::format("{}:{}:{:a>{}}:{}", writer, number, "", i % 300, number));
            }
            --running;
        });
    }
    std::map<int, int> last;
    std::uint64_t seen = 0;
    const auto take = [&](const TraceLine& line) {
        const std::string text(line.text);
        const std::size_t first = text.find(':');
        const std::size_t second = text.find(':', first + 1);
        const int writer = std::stoi(text.substr(0, first));
        const std::string number = text.substr(first + 1, second - first - 1);
        const int i = std::stoi(number);
        ASSERT_EQ(text.substr(second),
                  ":" + std::string(static_cast<std::size_t>(i % 300), 'a') + ":" + number);
        ASSERT_TRUE(last.find(writer) == last.end() || last[writer] < i);
        last[writer] = i;
        ++seen;
    };
    while (running != 0) {
        drain_trace(take);
    }
    while (drain_trace(take) != 0) {
    }
    for (std::thread& writer : writers) {
        writer.join();
    }
    EXPECT_EQ(seen + trace_lines_lost() - lost_before, std::uint64_t{kWriters} * kLines);
    EXPECT_GT(seen, kTraceLinesMax);
}

TEST(CheckedRead, FollowsAddressesIntoTheRunsOwnMemoryOnly) {
    const auto page = std::make_unique<std::array<std::uint8_t, 4096>>();
    const auto elsewhere = std::make_unique<std::array<std::uint8_t, 64>>();
    (*page)[300] = 0x5a;
    std::uint8_t out = 0;
    XdpBuff buff{};
    buff.data_hard_start = page->data();
    buff.frame_sz = 4096;
    EXPECT_EQ(checked_read(&out, address_of(page->data() + 300), 1), -ERANGE) << "no scope";
    {
        const RunScope scope(buff);
        EXPECT_EQ(checked_read(&out, address_of(page->data() + 300), 1), 0);
        EXPECT_EQ(out, 0x5a);
        std::array<std::uint8_t, 16> bytes{};
        EXPECT_EQ(checked_read(bytes.data(), address_of(page->data() + 4080), 16), 0);
        EXPECT_EQ(checked_read(bytes.data(), address_of(page->data() + 4081), 16), -ERANGE);
        EXPECT_EQ(checked_read(&out, address_of(page->data()) - 1, 1), -ERANGE);
        EXPECT_EQ(checked_read(&out, address_of(elsewhere->data()), 1), -ERANGE);
        EXPECT_EQ(checked_read(&out, 0, 1), -ERANGE);
        EXPECT_EQ(checked_read(&out, ~0ULL, 1), -EFAULT);
        {
            const maps::KnownMemory known(elsewhere->data(), elsewhere->size());
            EXPECT_EQ(checked_read(&out, address_of(elsewhere->data()) + 63, 1), 0);
            EXPECT_EQ(checked_read(bytes.data(), address_of(elsewhere->data()) + 60, 5), -ERANGE);
        }
        EXPECT_EQ(checked_read(&out, address_of(elsewhere->data()), 1), -ERANGE);
        Fragments fragments{};
        fragments.all[1] = {.data = elsewhere->data() + 8, .len = 40, .room = 8, .owner = nullptr};
        fragments.first = fragments.n = 1;
        buff.fragments = &fragments;
        EXPECT_EQ(checked_read(bytes.data(), address_of(elsewhere->data()) + 40, 16), 0);
        EXPECT_EQ(checked_read(bytes.data(), address_of(elsewhere->data()) + 41, 16), -ERANGE);
        EXPECT_EQ(checked_read(&out, address_of(elsewhere->data()) + 7, 1), -ERANGE);
        fragments.n = 0;
        EXPECT_EQ(checked_read(&out, address_of(elsewhere->data()) + 8, 1), -ERANGE);
    }
    EXPECT_EQ(checked_read(&out, address_of(page->data() + 300), 1), -ERANGE);
}

TEST(CheckedRead, StringsEndWhereTheirMemoryDoes) {
    const auto memory = std::make_unique<std::array<char, 16>>();
    memory->fill('x');
    (*memory)[5] = '\0';
    const maps::KnownMemory known(memory->data(), memory->size());
    std::array<char, 32> text{};
    EXPECT_EQ(checked_read_string(text.data(), address_of(memory->data()), 32), 6);
    EXPECT_STREQ(text.data(), "xxxxx");
    EXPECT_EQ(checked_read_string(text.data(), address_of(memory->data()), 3), 3);
    EXPECT_STREQ(text.data(), "xx");
    // no NUL before the end of what is known
    EXPECT_EQ(checked_read_string(text.data(), address_of(memory->data() + 6), 32), -ERANGE);
    EXPECT_EQ(checked_read_string(text.data(), address_of(memory->data() + 6), 10), 10);
}

TEST(KnownMemory, MayGoWhileOthersRead) {
    std::atomic<bool> stop{false};
    std::array<std::uint8_t, 256> staying{};
    staying.fill(7);
    const maps::KnownMemory known(staying.data(), staying.size());
    std::atomic<std::uint64_t> changing{0};
    std::thread reader([&] {
        std::array<std::uint8_t, 256> out{};
        while (!stop) {
            ASSERT_EQ(maps::copy_known(out.data(), address_of(staying.data()), 256, false), 256U);
            ASSERT_EQ(out[255], 7);
            static_cast<void>(maps::copy_known(out.data(), changing.load(), 256, false));
        }
    });
    for (int round = 0; round < 2000; ++round) {
        const auto going = std::make_unique<std::array<std::uint8_t, 4096>>();
        changing = address_of(going->data());
        const maps::KnownMemory there(going->data(), going->size());
    }
    stop = true;
    reader.join();
}

std::uint64_t count_to_ten(
    std::uint64_t index, std::uint64_t context, std::uint64_t, std::uint64_t, std::uint64_t) {
    ++*reinterpret_cast<std::uint64_t*>(context);
    return index == 9 ? 1 : 0;
}

TEST(Loop, StopsWhereTheKernelStops) {
    std::uint64_t calls = 0;
    const std::uint64_t function = address_of(reinterpret_cast<const void*>(&count_to_ten));
    EXPECT_EQ(loop(5, function, address_of(&calls), 0, 0), 5U);
    EXPECT_EQ(calls, 5U);
    EXPECT_EQ(loop(100, function, address_of(&calls), 0, 0), 10U);
    EXPECT_EQ(calls, 15U);
    EXPECT_EQ(loop(0, function, address_of(&calls), 0, 0), 0U);
    EXPECT_EQ(loop((1ULL << 32) + 2, function, address_of(&calls), 0, 0), 2U) << "32 bits count";
    EXPECT_EQ(static_cast<std::int64_t>(loop(5, function, address_of(&calls), 1, 0)), -EINVAL);
    EXPECT_EQ(static_cast<std::int64_t>(loop(8388609, function, address_of(&calls), 0, 0)), -E2BIG);
    EXPECT_EQ(calls, 17U);
}

}  // namespace
}  // namespace crema::ebpf::helpers
