// SPDX-License-Identifier: BSD-3-Clause
//
// Counters of map entries, and what the packet path tells of redirects that fail: per entry packets
// and drops add up to what was sent there, and each failure has the kernel's errno.
#include "lib/redirect/entries.h"

#include <cerrno>
#include <gtest/gtest.h>
#include <thread>
#include <vector>

#include "lib/redirect/cpu_poller.h"
#include "lib/redirect/entry_counters.h"
#include "lib/xdp/events.h"
#include "tests/unit/redirect/support.h"

namespace crema::redirect {
namespace {

using ebpf::maps::MapType;
using xdp::Event;
using xdp::EventKind;

[[maybe_unused]] const auto* const eal = test::with_eal({"-m", "64", "-l", "0"});

class RedirectEntries : public RedirectTest {
  protected:
    std::vector<Event> events() {
        std::vector<Event> all;
        reader_.read([&all](const Event& event) { all.push_back(event); }, missed_);
        return all;
    }

    /// One burst of one frame to the target asked for; the errno that was told.
    int told_for_one(std::uint32_t len = 64) {
        (void)events();
        burst(1, len);
        const std::vector<Event> all = events();
        EXPECT_EQ(all.size(), 1U);
        return all.size() == 1 && all[0].kind == EventKind::redirect_err ? all[0].err : 1;
    }

    xdp::EventReader reader_{*xdp::event_board(), true};
    std::uint64_t missed_ = 0;
};

TEST_F(RedirectEntries, DevmapCountsPerEntry) {
    const auto map = make_map(MapType::devmap, 8);
    ASSERT_EQ(set_slot(*map, 2, xdp::ifindex_of(1)), 0);
    ASSERT_EQ(set_slot(*map, 5, xdp::ifindex_of(2)), 0);
    g_ask = {.map = map.get(), .index = 2, .flags = 0};
    burst(40);
    g_ask.index = 5;
    other_.room = 3;
    burst(10);
    const auto entries = entries_of(*map);
    ASSERT_EQ(entries.size(), 2U);
    EXPECT_EQ(entries[0].key, 2U);
    EXPECT_EQ(entries[0].to, xdp::ifindex_of(1));
    EXPECT_EQ(entries[0].packets, 40U);
    EXPECT_EQ(entries[0].drops, 0U);
    EXPECT_EQ(entries[1].key, 5U);
    EXPECT_EQ(entries[1].packets, 3U);
    EXPECT_EQ(entries[1].drops, 7U);
    ASSERT_EQ(set_slot(*map, 2, xdp::ifindex_of(1)), 0);
    EXPECT_EQ(entries_of(*map)[0].packets, 0U) << "a new entry counts from 0";
}

TEST_F(RedirectEntries, SecondProgramsDropsAreTheEntrys) {
    const auto map = make_map(MapType::devmap_hash, 8);
    ASSERT_EQ(set_slot(*map, 7, xdp::ifindex_of(1), test::returning(1, ebpf::kAttachXdpDevmap)), 0);
    g_ask = {.map = map.get(), .index = 7, .flags = 0};
    burst(16);
    const auto entries = entries_of(*map);
    ASSERT_EQ(entries.size(), 1U);
    EXPECT_EQ(entries[0].packets, 0U);
    EXPECT_EQ(entries[0].drops, 16U);
    EXPECT_NE(entries[0].program_id, 0U);
    EXPECT_TRUE(events().empty()) << "DROP is no failure";
}

TEST_F(RedirectEntries, CpumapCountsBothSides) {
    const auto map = make_map(MapType::cpumap, 1);
    auto poller = CpuPoller::create(0);
    ASSERT_TRUE(poller);
    ASSERT_EQ(set_slot(*map, 0, 32), 0);
    g_ask = {.map = map.get(), .index = 0, .flags = 0};
    burst(40);
    std::array<rte_mbuf*, xdp::kBurstMax> mbufs;
    const std::uint32_t got = (*poller)->poll(mbufs.data(), xdp::kBurstMax);
    rte_pktmbuf_free_bulk(mbufs.data(), got);
    const auto entries = entries_of(*map);
    ASSERT_EQ(entries.size(), 1U);
    EXPECT_EQ(entries[0].queue_size, 32U);
    EXPECT_EQ(entries[0].packets, 32U);
    EXPECT_EQ(entries[0].drops, 8U);
    EXPECT_EQ(entries[0].received.received, 32U);
    EXPECT_EQ(entries[0].received.pass, 32U);
    const auto all = events();
    ASSERT_EQ(all.size(), 1U);
    EXPECT_EQ(all[0].kind, EventKind::cpumap_enqueue);
    EXPECT_EQ(all[0].sent, 32U);
    EXPECT_EQ(all[0].drops, 8U);
}

TEST_F(RedirectEntries, ThreadsWithoutAnLcoreAreCountedToo) {
    EntryCounters counters;
    ASSERT_TRUE(counters.make());
    constexpr std::uint32_t kTimes = 20'000;
    std::vector<std::thread> threads;
    threads.reserve(3);
    for (int i = 0; i < 3; ++i) {
        threads.emplace_back([&counters] {
            for (std::uint32_t n = 0; n < kTimes; ++n) {
                counters.add(2, 1);
            }
        });
    }
    for (std::uint32_t n = 0; n < kTimes; ++n) {
        counters.add(2, 1);
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    EXPECT_EQ(counters.sum().packets, 4U * 2 * kTimes);
    EXPECT_EQ(counters.sum().drops, 4U * kTimes);
}

TEST_F(RedirectEntries, OtherMapsHaveNone) {
    EXPECT_TRUE(entries_of(*make_map(MapType::array, 4)).empty());
}

TEST_F(RedirectEntries, FailuresAreToldWithTheKernelsErrno) {
    const auto map = make_map(MapType::devmap, 8);
    ASSERT_EQ(set_slot(*map, 3, xdp::ifindex_of(1)), 0);
    g_ask = {.map = nullptr, .index = xdp::ifindex_of(9), .flags = 0};
    EXPECT_EQ(told_for_one(), -EINVAL);
    g_ask = {.map = map.get(), .index = 3, .flags = 0};
    EXPECT_EQ(told_for_one(1600), -EMSGSIZE);
    out_.up = false;
    EXPECT_EQ(told_for_one(), -ENETDOWN);
    EXPECT_EQ(entries_of(*map)[0].drops, 2U);
    ASSERT_TRUE(xdp::attach(0, test::returning(4)));
    EXPECT_EQ(told_for_one(), -EBADRQC);
}

TEST_F(RedirectEntries, FailuresNameMapProgramAndPlace) {
    const auto map = make_map(MapType::devmap, 8);
    ASSERT_EQ(set_slot(*map, 3, xdp::ifindex_of(1)), 0);
    g_ask = {.map = map.get(), .index = 3, .flags = 0};
    out_.up = false;
    (void)events();
    burst(2);
    const auto all = events();
    ASSERT_EQ(all.size(), 2U);
    EXPECT_EQ(all[0].program_id, xdp::attached(0)->id);
    EXPECT_EQ(all[0].map_id, map->id());
    EXPECT_EQ(all[0].map_index, 3U);
    EXPECT_EQ(all[0].ifindex, xdp::ifindex_of(0));
    EXPECT_EQ(all[0].queue, 0U);
    EXPECT_NE(all[0].tsc, 0U);
    EXPECT_EQ(missed_, 0U);
}

TEST_F(RedirectEntries, WhatAPortDoesNotTakeIsToldOncePerBurst) {
    g_ask = {.map = nullptr, .index = xdp::ifindex_of(1), .flags = 0};
    out_.room = 5;
    (void)events();
    burst(20);
    const auto all = events();
    ASSERT_EQ(all.size(), 1U);
    EXPECT_EQ(all[0].kind, EventKind::devmap_xmit);
    EXPECT_EQ(all[0].to, xdp::ifindex_of(1));
    EXPECT_EQ(all[0].sent, 5U);
    EXPECT_EQ(all[0].drops, 15U);
}

}  // namespace
}  // namespace crema::redirect
