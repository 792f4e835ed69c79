// SPDX-License-Identifier: BSD-3-Clause
//
// Test runs with live frames on ports without devices: where the frames arrive, what programs find
// in them, and that every page comes home, whoever still has it when the run ends. What the kernel
// showed is recorded here where it can be counted; tests/conformance compares the rest beside it.
#include "lib/xdp/live_frames.h"

#include <atomic>
#include <gtest/gtest.h>
#include <map>
#include <thread>
#include <unistd.h>
#include <vector>

#include "lib/base/caller.h"
#include "lib/redirect/counters.h"
#include "lib/redirect/cpu_poller.h"
#include "lib/xdp/live_pages.h"
#include "tests/unit/redirect/support.h"

namespace crema::redirect {
namespace {

using ebpf::maps::MapType;
using xdp::LiveRun;

[[maybe_unused]] const auto* const eal = test::with_eal({"-m", "160", "-l", "0"});

constexpr std::uint32_t kAborted = 0, kDrop = 1, kPass = 2, kTx = 3;
constexpr std::uint32_t kBytes = 64;

std::vector<std::uint8_t> packet_of(std::uint32_t bytes = kBytes) {
    std::vector<std::uint8_t> packet(bytes);
    for (std::uint32_t i = 0; i < bytes; ++i) {
        packet[i] = static_cast<std::uint8_t>(i);
    }
    return packet;
}

xdp::TestRunContext from_port(std::uint32_t ifindex,
                              std::uint32_t bytes = kBytes,
                              std::uint32_t meta_bytes = 0) {
    return {.data = meta_bytes,
            .data_end = bytes,
            .data_meta = 0,
            .ingress_ifindex = ifindex,
            .rx_queue_index = 0,
            .egress_ifindex = 0};
}

class LiveFrames : public testing::Test {
  protected:
    void SetUp() override { g_ask = {}; }

    void TearDown() override {
        one_.drain();
        other_.drain();
        last_.drain();
        // Whatever a test left under way is home now, and the next run finds it so.
        EXPECT_TRUE(send(test::returning(kDrop), 1));
        EXPECT_EQ(xdp::retired_live_pools(), 0U) << "pages in = pages out";
    }

    /// repeat frames that are said to come from the first port.
    static Result<LiveRun> send(const std::shared_ptr<const ebpf::LoadedProgram>& program,
                                std::uint32_t repeat,
                                std::uint32_t batch = 64) {
        return xdp::run_live_frames(*program, packet_of(), from_port(1), repeat, batch);
    }

    test::FakePort one_{0};
    test::FakePort other_{1};
    test::FakePort last_{2};
};

TEST_F(LiveFrames, TxLeavesByThePortTheyAreSaidToComeFrom) {
    const auto run =
        xdp::run_live_frames(*test::returning(kTx), packet_of(), from_port(2), 1000, 64);
    ASSERT_TRUE(run) << run.error().message;
    EXPECT_EQ(run->frames, 1000U);
    EXPECT_EQ(other_.transmitted, 1000U);
    EXPECT_EQ(one_.transmitted + last_.transmitted, 0U);
    EXPECT_EQ(run->verdicts.redirect, 1000U);
    EXPECT_EQ(xdp::verdicts(1).tx, 0U) << "not in the port's own verdicts";
}

TEST_F(LiveFrames, WhatArrivesIsThePacket) {
    one_.keeps = true;
    ASSERT_TRUE(send(test::returning(kTx), 70));
    ASSERT_EQ(one_.sent.size(), 70U);
    for (const xdp::Frame& frame : one_.sent) {
        EXPECT_EQ(std::vector(frame.data, frame.data + frame.len), packet_of());
        EXPECT_EQ(frame.meta_len, 0U);
    }
}

TEST_F(LiveFrames, EveryFrameIsSentOnce) {
    for (const std::uint32_t repeat : {0U, 1U, 63U, 64U, 65U, 255U, 256U, 257U}) {
        for (const std::uint32_t batch : {1U, 3U, 64U, 256U}) {
            const std::uint64_t before = one_.transmitted;
            const auto run = send(test::returning(kTx), repeat, batch);
            ASSERT_TRUE(run) << run.error().message;
            EXPECT_EQ(one_.transmitted - before, std::max(repeat, 1U)) << repeat << '/' << batch;
        }
    }
}

TEST_F(LiveFrames, PortsThatCannotTakeThemAreNoError) {
    const std::uint64_t before = device_counters(0).refused;
    one_.bytes_max = kBytes - 1;
    EXPECT_EQ(send(test::returning(kTx), 100)->verdicts.redirect_errors, 100U);
    one_.bytes_max = kBytes;
    one_.up = false;
    EXPECT_EQ(send(test::returning(kTx), 100)->verdicts.redirect_errors, 100U);
    one_.up = true;
    one_.room = 10;  // a full TX ring: nothing waits for it
    const auto full = send(test::returning(kTx), 5000);
    ASSERT_TRUE(full) << full.error().message;
    EXPECT_EQ(full->verdicts.redirect, 10U);
    EXPECT_EQ(full->verdicts.redirect_errors, 4990U);
    EXPECT_EQ(one_.transmitted, 10U);
    EXPECT_EQ(device_counters(0).refused - before, 5190U);
}

TEST_F(LiveFrames, VerdictsAreCounted) {
    const auto passed = send(test::returning(kPass), 300, 256);
    EXPECT_EQ(passed->verdicts.pass, 300U);
    EXPECT_EQ(send(test::returning(kDrop), 300)->verdicts.drop, 300U);
    EXPECT_EQ(send(test::returning(kAborted), 300)->verdicts.aborted, 300U);
    EXPECT_EQ(send(test::returning(77), 300)->verdicts.aborted, 300U);
    EXPECT_EQ(send(test::returning(4), 300)->verdicts.redirect_errors, 300U) << "no target named";
}

// --- what programs find

std::map<std::uint32_t, std::uint32_t> g_seen;
std::uint32_t g_verdict = kDrop;

std::uint64_t count_up(
    std::uint64_t r1, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t) {
    ++g_seen[reinterpret_cast<ebpf::XdpBuff*>(r1)->data[0]++];
    return g_verdict;
}

/// As `round` counts of each of `values` numbers from 0, the last one of `rest`.
std::map<std::uint32_t, std::uint32_t> rounds(std::uint32_t values,
                                              std::uint32_t round,
                                              std::uint32_t rest) {
    std::map<std::uint32_t, std::uint32_t> all;
    for (std::uint32_t i = 0; i < values; ++i) {
        all[i] = i + 1 == values ? rest : round;
    }
    return all;
}

// The kernel (6.18) counts so: pages come round after 64 frames, passed ones after their batch.
TEST_F(LiveFrames, ContentsPersistAsInTheKernel) {
    const auto program = test::calling(count_up);

    struct Case {
        std::uint32_t verdict, repeat, batch;
        std::map<std::uint32_t, std::uint32_t> seen;
    };

    for (const auto& [verdict, repeat, batch, seen] :
         std::vector<Case>{{kDrop, 1, 64, rounds(1, 0, 1)},
                           {kDrop, 3, 2, rounds(1, 0, 3)},
                           {kDrop, 65, 64, rounds(2, 64, 1)},
                           {kDrop, 1000, 64, rounds(16, 64, 40)},
                           {kDrop, 1000, 256, rounds(16, 64, 40)},
                           {kDrop, 7, 1, rounds(1, 0, 7)},
                           {kPass, 1000, 64, rounds(16, 64, 40)},
                           {kPass, 1000, 256, rounds(4, 256, 232)}}) {
        g_seen.clear();
        g_verdict = verdict;
        ASSERT_TRUE(send(program, repeat, batch));
        EXPECT_EQ(g_seen, seen) << verdict << ": " << repeat << " in batches of " << batch;
    }
}

std::uint64_t move_ends(
    std::uint64_t r1, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t) {
    auto& buff = *reinterpret_cast<ebpf::XdpBuff*>(r1);
    const bool as_given = buff.data_end - buff.data == kBytes - 8 &&
                          buff.data - buff.data_meta == 8 &&
                          buff.data - buff.data_hard_start == ebpf::kXdpHeadroom &&
                          buff.ingress_ifindex == 3 && buff.rx_queue_index == 5;
    ++g_seen[as_given ? 1 : 0];
    buff.data += 4;
    buff.data_end -= 6;
    buff.data_meta = buff.data - 4;
    return kPass;
}

TEST_F(LiveFrames, EndsAreThoseThatWereGivenEachTime) {
    g_seen.clear();
    auto context = from_port(3, kBytes, 8);
    context.rx_queue_index = 5;
    ASSERT_TRUE(xdp::run_live_frames(*test::calling(move_ends), packet_of(), context, 500, 64));
    EXPECT_EQ(g_seen, (std::map<std::uint32_t, std::uint32_t>{{1, 500}}));
}

std::uint64_t look_around(
    std::uint64_t r1, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t) {
    auto& buff = *reinterpret_cast<ebpf::XdpBuff*>(r1);
    for (const std::uint8_t* at = buff.data_hard_start; at < buff.data; ++at) {
        g_seen[0] += *at;
    }
    for (std::uint8_t* at = buff.data_end; at < buff.data_hard_start + buff.frame_sz; ++at) {
        g_seen[0] += *at;
    }
    std::memset(buff.data_hard_start, 0xff, buff.frame_sz);
    return kDrop;
}

TEST_F(LiveFrames, NothingOfAnEarlierRunIsSeen) {
    g_seen.clear();
    const auto program = test::calling(look_around);
    for (int i = 0; i < 2; ++i) {
        one_.keeps = true;
        ASSERT_TRUE(send(test::returning(kTx), 10));  // the pool is kept for the next run
        ASSERT_TRUE(send(program, 64));
        EXPECT_EQ(g_seen[0], 0U);
    }
}

// --- where frames are when the run ends

TEST_F(LiveFrames, PagesInATxRingComeHomeLater) {
    one_.keeps = true;
    for (int i = 0; i < 5; ++i) {
        ASSERT_TRUE(send(test::returning(kTx), 100));
        EXPECT_EQ(xdp::retired_live_pools(), 1U) << "taken over by the next run, not one for each";
    }
    EXPECT_EQ(one_.sent.size(), 500U);
}

TEST_F(LiveFrames, PagesOfAnEarlierRunAreNotTakenForItsOwn) {
    one_.keeps = true;
    ASSERT_TRUE(send(test::calling([](std::uint64_t r1, auto...) -> std::uint64_t {
                         reinterpret_cast<ebpf::XdpBuff*>(r1)->data[0] = 99;
                         return kTx;
                     }),
                     100));
    // They come home while the next run is under way, and hold its packet when it takes them.
    static test::FakePort* port = nullptr;
    port = &one_;
    g_seen.clear();
    ASSERT_TRUE(send(test::calling([](std::uint64_t r1, auto...) -> std::uint64_t {
                         ++g_seen[reinterpret_cast<ebpf::XdpBuff*>(r1)->data[0]];
                         port->drain();
                         return kDrop;
                     }),
                     6000));
    EXPECT_EQ(g_seen, (std::map<std::uint32_t, std::uint32_t>{{0, 6000}}));
}

TEST_F(LiveFrames, WhenNoPageComesHomeTheRunEnds) {
    one_.keeps = true;
    const auto run = send(test::returning(kTx), xdp::kLivePages + 1);
    ASSERT_FALSE(run);
    EXPECT_EQ(run.error().code, ENOMEM) << run.error().message;
    EXPECT_EQ(one_.sent.size(), xdp::kLivePages);
    EXPECT_EQ(xdp::retired_live_pools(), 1U);
}

TEST_F(LiveFrames, PoolsAreBounded) {
    one_.keeps = true;
    for (std::uint32_t i = 0; i < xdp::kLivePoolsMax; ++i) {
        ASSERT_TRUE(send(test::returning(kTx), xdp::kLivePages / 2)) << i;
        EXPECT_EQ(xdp::retired_live_pools(), i + 1);
    }
    const auto more = send(test::returning(kTx), 1);
    ASSERT_FALSE(more);
    EXPECT_EQ(more.error().code, ENOMEM) << more.error().message;
    one_.drain();
    ASSERT_TRUE(send(test::returning(kTx), 1)) << "they are destroyed when their pages are home";
    EXPECT_EQ(xdp::retired_live_pools(), 1U) << "of the last run";
}

TEST_F(LiveFrames, DevmapReachesItsPorts) {
    const auto map = make_map(MapType::devmap, 4);
    ASSERT_EQ(set_slot(*map, 3, 2), 0);
    g_ask = {.map = map.get(), .index = 3, .flags = 0};
    const auto run = send(test::calling(ask_for_redirect), 1000);
    EXPECT_EQ(run->verdicts.redirect, 1000U);
    EXPECT_EQ(other_.transmitted, 1000U);
}

TEST_F(LiveFrames, BroadcastHasPagesForItsCopies) {
    const auto map = make_map(MapType::devmap, 4);
    for (std::uint32_t i = 0; i < 3; ++i) {
        ASSERT_EQ(set_slot(*map, i, 1 + i), 0);
    }
    g_ask = {.map = map.get(), .index = 0, .flags = kBroadcast | kExcludeIngress};
    last_.keeps = true;
    const auto run = send(test::calling(ask_for_redirect), 300);
    ASSERT_TRUE(run) << run.error().message;
    EXPECT_EQ(run->verdicts.redirect, 300U);
    EXPECT_EQ(one_.transmitted, 0U);
    EXPECT_EQ(other_.transmitted, 300U);
    ASSERT_EQ(last_.sent.size(), 300U);
    for (const xdp::Frame& frame : last_.sent) {
        EXPECT_EQ(std::vector(frame.data, frame.data + frame.len), packet_of());
    }
}

TEST_F(LiveFrames, FramesInACpumapQueueComeHomeLater) {
    auto poller = CpuPoller::create(0);
    ASSERT_TRUE(poller) << poller.error().message;
    auto map = make_map(MapType::cpumap, 1);
    ASSERT_EQ(set_slot(*map, 0, 100), 0);
    g_ask = {.map = map.get(), .index = 0, .flags = 0};
    const auto run = send(test::calling(ask_for_redirect), 300);
    EXPECT_EQ(run->verdicts.redirect, 100U);
    EXPECT_EQ(run->verdicts.redirect_errors, 200U);
    std::array<rte_mbuf*, xdp::kBurstMax> mbufs;
    const std::uint32_t n = (*poller)->poll(mbufs.data(), 40);
    ASSERT_EQ(n, 40U);
    EXPECT_EQ(*rte_pktmbuf_mtod_offset(mbufs[0], std::uint8_t*, 1), 1);
    map.reset();  // what waits in its queue goes home
    ASSERT_TRUE(send(test::returning(kDrop), 1));
    EXPECT_EQ(xdp::retired_live_pools(), 1U) << "40 are the application's";
    rte_pktmbuf_free_bulk(mbufs.data(), n);
}

// --- ends before the end

TEST_F(LiveFrames, EndsWhenNobodyWaitsAnyMore) {
    const auto start = std::chrono::steady_clock::now();
    std::atomic<bool> waits{true};
    std::thread caller([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        waits.store(false);
    });
    {
        const caller::Scope scope(::getpid(), [&] { return waits.load(); });
        const auto run = send(test::returning(kTx), UINT32_MAX);
        ASSERT_FALSE(run);
        EXPECT_EQ(run.error().code, EINTR);
    }
    caller.join();
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
    EXPECT_GT(one_.transmitted, 0U);
}

TEST_F(LiveFrames, RunsOfManyThreadsDoNotMeet) {
    std::vector<std::thread> senders;
    std::atomic<std::uint32_t> done{0};
    for (std::uint32_t i = 0; i < 4; ++i) {
        senders.emplace_back([&done] {
            for (int round = 0; round < 5; ++round) {
                const auto run = send(test::returning(kTx), 3000, 256);
                done += run && run->verdicts.redirect == 3000 ? 1 : 0;
            }
        });
    }
    for (std::thread& sender : senders) {
        sender.join();
    }
    EXPECT_EQ(done.load(), 20U);
    EXPECT_EQ(one_.transmitted, 60'000U);
}

TEST_F(LiveFrames, RefusesWhatDoesNotFit) {
    const auto code = [](const std::shared_ptr<const ebpf::LoadedProgram>& program,
                         std::uint32_t bytes, const xdp::TestRunContext& context) {
        const auto run = xdp::run_live_frames(*program, packet_of(bytes), context, 1, 64);
        return run ? 0 : run.error().code;
    };
    const auto drop = test::returning(kDrop);
    EXPECT_EQ(code(drop, 14, from_port(1, 14)), 0);
    EXPECT_EQ(code(drop, 13, from_port(1, 13)), EINVAL);
    EXPECT_EQ(code(drop, xdp::kLiveFrameBytesMax, from_port(1, xdp::kLiveFrameBytesMax)), 0);
    EXPECT_EQ(code(drop, xdp::kLiveFrameBytesMax + 1, from_port(1, xdp::kLiveFrameBytesMax + 1)),
              ENOTSUP);
    EXPECT_EQ(code(drop, 64, from_port(1, 60)), EINVAL) << "the rest would be fragments";
    EXPECT_EQ(code(drop, 64, from_port(9)), ENODEV);
    EXPECT_EQ(code(drop, 240, from_port(1, 240, 216)), 0);
    EXPECT_EQ(code(drop, 240, from_port(1, 240, 220)), EINVAL);
    EXPECT_EQ(code(test::returning(kPass, ebpf::kAttachXdpDevmap), 64, from_port(1)), EINVAL);
    EXPECT_EQ(code(test::returning(kPass, ebpf::kAttachXdpCpumap), 64, from_port(1)), EINVAL);
}

}  // namespace
}  // namespace crema::redirect
