// SPDX-License-Identifier: BSD-3-Clause
//
// Clocks, random numbers and identity: properties, for values that no two calls share.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <gtest/gtest.h>
#include <set>
#include <string_view>
#include <sys/prctl.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "lib/ebpf/helpers/natives.h"
#include "lib/ebpf/helpers/os_clock.h"

namespace crema::ebpf::helpers {
namespace {

constexpr std::uint64_t kToleranceNs = 5000;

void agrees_with(NativeFunction* native, clockid_t clock, int rounds, std::uint64_t tolerance_ns) {
    std::uint64_t last = 0;
    for (int i = 0; i < rounds; ++i) {
        const std::uint64_t before = os_clock_ns(clock);
        const std::uint64_t now = native(0, 0, 0, 0, 0);
        const std::uint64_t after = os_clock_ns(clock);
        ASSERT_GE(now + tolerance_ns, before) << "round " << i;
        ASSERT_LE(now, after + tolerance_ns) << "round " << i;
        ASSERT_GE(now, last) << "went backwards in round " << i;
        last = now;
    }
}

TEST(Clocks, AreTheOperatingSystems) {
    agrees_with(ktime_get_boot_ns, CLOCK_BOOTTIME, 1000, 0);
    agrees_with(ktime_get_coarse_ns, CLOCK_MONOTONIC_COARSE, 1000, 0);
    agrees_with(ktime_get_tai_ns, CLOCK_TAI, 1000, 0);
}

// Long enough for the counter's rate to be measured several times over.
TEST(Clocks, TheFastOneStaysWithTheRealOne) {
    const std::uint64_t end = os_clock_ns(CLOCK_MONOTONIC) + 1'500'000'000;
    while (os_clock_ns(CLOCK_MONOTONIC) < end) {
        agrees_with(ktime_get_ns, CLOCK_MONOTONIC, 20'000, kToleranceNs);
        if (HasFatalFailure()) {
            return;
        }
    }
}

TEST(Clocks, TheFastOneIsRightAfterPauses) {
    for (const int pause_us : {0, 500, 1500, 20'000, 150'000, 2'100'000}) {
        std::this_thread::sleep_for(std::chrono::microseconds(pause_us));
        agrees_with(ktime_get_ns, CLOCK_MONOTONIC, 1000, kToleranceNs);
    }
}

TEST(Clocks, TheFastOneIsRightInEveryThread) {
    std::vector<std::thread> threads;
    threads.reserve(4);
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back(
            [] { agrees_with(ktime_get_ns, CLOCK_MONOTONIC, 100'000, kToleranceNs); });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
}

TEST(Clocks, JiffiesAdvanceWithTheKernelsTick) {
    timespec tick{};
    ASSERT_EQ(clock_getres(CLOCK_MONOTONIC_COARSE, &tick), 0);
    const std::uint64_t first = jiffies64(0, 0, 0, 0, 0);
    const std::uint64_t start = os_clock_ns(CLOCK_MONOTONIC_COARSE);
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    const std::uint64_t second = jiffies64(0, 0, 0, 0, 0);
    const auto ticks =
        (os_clock_ns(CLOCK_MONOTONIC_COARSE) - start) / static_cast<std::uint64_t>(tick.tv_nsec);
    EXPECT_NEAR(static_cast<double>(second - first), static_cast<double>(ticks), 2.0);
}

TEST(Random, IsEvenlySpreadAndItsOwnInEveryThread) {
    constexpr int kDraws = 1 << 16;
    std::array<int, 32> ones{};
    std::array<int, 256> buckets{};
    for (int i = 0; i < kDraws; ++i) {
        const std::uint64_t drawn = get_prandom_u32(0, 0, 0, 0, 0);
        ASSERT_LE(drawn, UINT32_MAX);
        for (unsigned bit = 0; bit < 32; ++bit) {
            ones[bit] += static_cast<int>((drawn >> bit) & 1);
        }
        ++buckets[drawn >> 24];
    }
    for (const int count : ones) {
        EXPECT_NEAR(count, kDraws / 2.0, 800);  // six standard deviations
    }
    for (const int count : buckets) {
        EXPECT_NEAR(count, kDraws / 256.0, 100);
    }
    std::set<std::uint64_t> firsts;
    for (int i = 0; i < 8; ++i) {
        std::thread([&firsts] { firsts.insert(get_prandom_u32(0, 0, 0, 0, 0)); }).join();
    }
    EXPECT_EQ(firsts.size(), 8U);
}

TEST(Identity, IsTheWorkersThread) {
    XdpBuff buff{};
    buff.cpu = 7;
    EXPECT_EQ(get_smp_processor_id(0, 0, 0, 0, reinterpret_cast<std::uintptr_t>(&buff)), 7U);
    EXPECT_EQ(get_current_uid_gid(0, 0, 0, 0, 0), (std::uint64_t{getgid()} << 32) | getuid());
    std::thread([] {
        prctl(PR_SET_NAME, "worker-name");
        EXPECT_EQ(
            get_current_pid_tgid(0, 0, 0, 0, 0),
            (static_cast<std::uint64_t>(getpid()) << 32) | static_cast<std::uint32_t>(gettid()));
        std::array<char, 20> name{};
        name.fill('x');
        const auto at = reinterpret_cast<std::uintptr_t>(name.data());
        EXPECT_EQ(get_current_comm(at, 16, 0, 0, 0), 0U);
        EXPECT_EQ(std::string_view(name.data()), "worker-name");
        EXPECT_EQ(name[15], '\0') << "the rest is zeroed";
        EXPECT_EQ(name[16], 'x') << "nothing behind the size is written";
        name.fill('x');
        EXPECT_EQ(get_current_comm(at, 5, 0, 0, 0), 0U);
        EXPECT_EQ(std::string_view(name.data()), "work");
        EXPECT_EQ(name[5], 'x');
    }).join();
}

}  // namespace
}  // namespace crema::ebpf::helpers
