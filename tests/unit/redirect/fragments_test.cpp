// SPDX-License-Identifier: BSD-3-Clause
//
// Frames of several pages on their way to other ports and CPUs: whole or not at all, with the
// kernel's limits: a port must be able to send them, none is copied for broadcast, and programs of
// slots cannot let them grow.
#include <gtest/gtest.h>

#include "lib/ebpf/helpers/natives.h"
#include "lib/redirect/counters.h"
#include "lib/redirect/cpu_poller.h"
#include "tests/unit/redirect/support.h"

namespace crema::redirect {
namespace {

using ebpf::maps::MapType;

[[maybe_unused]] const auto* const eal = test::with_eal({"-m", "64", "-l", "0"});

class RedirectFragments : public RedirectTest {
  protected:
    RedirectFragments() {
        EXPECT_TRUE(xdp::attach(0, test::calling(ask_for_redirect, ebpf::kAttachXdp, true)));
        for (test::FakePort* port : {&in_, &out_, &other_}) {
            port->bytes_max = 9018;
            port->keeps = true;
        }
    }

    void TearDown() override {
        for (test::FakePort* port : {&in_, &out_, &other_}) {
            port->drain();
        }
        EXPECT_EQ(source_.in_flight(), 0U);
    }

    /// A long frame between two short ones, into port 0.
    void long_burst() {
        std::array<xdp::Frame, 3> frames = {
            source_.make_long({64}), source_.make_long({2000, 1500, 700}), source_.make_long({65})};
        EXPECT_EQ(in_.run(frames.data(), 3), 0U);
    }

    static void expect_long(const xdp::Frame& frame) {
        EXPECT_EQ(frame.fragments, 2U);
        EXPECT_EQ(frame.len, 2000U);
        EXPECT_EQ(xdp::bytes_of(frame), 4200U);
    }

    static std::uint64_t refused(std::uint16_t port) { return device_counters(port).refused; }
};

TEST_F(RedirectFragments, LeaveByPortsThatSendThem) {
    g_ask.index = 2;
    long_burst();
    ASSERT_EQ(out_.sent.size(), 3U);
    expect_long(out_.sent[1]);
    EXPECT_EQ(xdp::verdicts(0).redirect, 3U);
}

TEST_F(RedirectFragments, AreRefusedWhereTheyCannotBeSent) {
    test::FakePort plain(4, false);
    plain.bytes_max = 9018;
    const std::uint64_t before = refused(4);
    g_ask.index = 5;
    long_burst();
    EXPECT_EQ(plain.transmitted, 2U);
    EXPECT_EQ(refused(4) - before, 1U);
    EXPECT_EQ(xdp::verdicts(0).redirect, 2U);
    EXPECT_EQ(xdp::verdicts(0).redirect_errors, 1U);
    EXPECT_EQ(source_.in_flight(), 0U);
}

TEST_F(RedirectFragments, AllTheirBytesCountForTheMtu) {
    g_ask.index = 2;
    out_.bytes_max = 4199;
    long_burst();
    EXPECT_EQ(out_.transmitted, 2U);
    out_.bytes_max = 4200;
    long_burst();
    EXPECT_EQ(out_.transmitted, 5U);
    out_.room = 1;  // a full ring: the rest of the burst comes home
    long_burst();
    EXPECT_EQ(out_.transmitted, 6U);
    EXPECT_EQ(xdp::verdicts(0).redirect_errors, 3U);
}

std::uint64_t shrink_or_grow(
    std::uint64_t r1, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t) {
    namespace helpers = ebpf::helpers;
    const std::uint64_t bytes = helpers::xdp_get_buff_len(r1, 0, 0, 0, 0);
    if (bytes < 100) {
        return 2;
    }
    const auto grown = static_cast<std::int64_t>(helpers::xdp_adjust_tail(r1, 1, 0, 0, 0));
    if (grown != -EOPNOTSUPP) {
        return 1;
    }
    return helpers::xdp_adjust_tail(r1, static_cast<std::uint64_t>(-800), 0, 0, 0) == 0 ? 2 : 0;
}

TEST_F(RedirectFragments, SlotProgramsShrinkThemButLetNoneGrow) {
    const auto map = make_map(MapType::devmap, 1);
    ASSERT_EQ(set_slot(*map, 0, 2, test::calling(shrink_or_grow, ebpf::kAttachXdpDevmap, true)), 0);
    g_ask = {.map = map.get(), .index = 0, .flags = 0};
    long_burst();
    ASSERT_EQ(out_.sent.size(), 3U);
    EXPECT_EQ(out_.sent[1].fragments, 1U);
    EXPECT_EQ(xdp::bytes_of(out_.sent[1]), 3400U);
}

TEST_F(RedirectFragments, SlotProgramsDropThemWhole) {
    const auto map = make_map(MapType::devmap, 1);
    const auto drop = [](auto...) -> std::uint64_t { return 1; };
    ASSERT_EQ(set_slot(*map, 0, 2, test::calling(drop, ebpf::kAttachXdpDevmap, true)), 0);
    g_ask = {.map = map.get(), .index = 0, .flags = 0};
    long_burst();
    EXPECT_EQ(source_.in_flight(), 0U);
}

TEST_F(RedirectFragments, BroadcastCopiesNone) {
    const auto map = make_map(MapType::devmap, 3);
    ASSERT_EQ(set_slot(*map, 0, 2), 0);
    g_ask = {.map = map.get(), .index = 0, .flags = kBroadcast};
    long_burst();
    ASSERT_EQ(out_.sent.size(), 3U) << "one port needs no copy";
    expect_long(out_.sent[1]);
    out_.drain();
    ASSERT_EQ(set_slot(*map, 1, 3), 0);
    long_burst();
    EXPECT_EQ(out_.sent.size(), 2U);
    EXPECT_EQ(other_.sent.size(), 2U);
    EXPECT_EQ(xdp::verdicts(0).redirect_errors, 1U);
    EXPECT_EQ(xdp::verdicts(0).redirect, 5U);
    other_.up = false;  // what cannot be sent to needs no copy either
    long_burst();
    EXPECT_EQ(out_.sent.size(), 5U);
}

TEST_F(RedirectFragments, BroadcastToNobodyIsTheirEnd) {
    const auto map = make_map(MapType::devmap, 2);
    ASSERT_EQ(set_slot(*map, 0, 2), 0);
    out_.up = false;
    g_ask = {.map = map.get(), .index = 0, .flags = kBroadcast};
    long_burst();
    EXPECT_EQ(xdp::verdicts(0).redirect, 3U);
    EXPECT_EQ(source_.in_flight(), 0U);
}

class RedirectFragmentsToCpu : public RedirectFragments {
  protected:
    RedirectFragmentsToCpu() {
        auto made = CpuPoller::create(0);
        EXPECT_TRUE(made) << made.error().message;
        poller_ = std::move(*made);
        g_ask = {.map = map_.get(), .index = 0, .flags = 0};
    }

    std::shared_ptr<ebpf::maps::Map> map_ = make_map(MapType::cpumap, 1);
    std::unique_ptr<CpuPoller> poller_;
    std::array<rte_mbuf*, xdp::kBurstMax> mbufs_{};
};

TEST_F(RedirectFragmentsToCpu, ArriveAsChains) {
    ASSERT_EQ(set_slot(*map_, 0, 64), 0);
    long_burst();
    ASSERT_EQ(poller_->poll(mbufs_.data(), xdp::kBurstMax), 3U);
    EXPECT_EQ(mbufs_[0]->nb_segs, 1U);
    EXPECT_EQ(mbufs_[1]->nb_segs, 3U);
    EXPECT_EQ(mbufs_[1]->pkt_len, 4200U);
    EXPECT_EQ(rte_mbuf_check(mbufs_[1], 1, nullptr), 0);
    rte_pktmbuf_free_bulk(mbufs_.data(), 3);
}

TEST_F(RedirectFragmentsToCpu, SecondProgramsShrinkThem) {
    ASSERT_EQ(set_slot(*map_, 0, 64, test::calling(shrink_or_grow, ebpf::kAttachXdpCpumap, true)),
              0);
    long_burst();
    ASSERT_EQ(poller_->poll(mbufs_.data(), xdp::kBurstMax), 3U);
    EXPECT_EQ(mbufs_[1]->nb_segs, 2U);
    EXPECT_EQ(mbufs_[1]->pkt_len, 3400U);
    EXPECT_EQ(source_.in_flight(), 4U);
    rte_pktmbuf_free_bulk(mbufs_.data(), 3);
}

TEST_F(RedirectFragmentsToCpu, ComeHomeWhenTheQueueIsFullOrGone) {
    ASSERT_EQ(set_slot(*map_, 0, 1), 0);
    long_burst();
    EXPECT_EQ(xdp::verdicts(0).redirect_errors, 2U);
    EXPECT_EQ(source_.in_flight(), 1U);
    ASSERT_EQ(set_slot(*map_, 0, 64), 0);
    EXPECT_EQ(source_.in_flight(), 0U) << "went with the slot that it waited in";
    long_burst();
    EXPECT_EQ(source_.in_flight(), 5U);
    const std::uint32_t key = 0;
    ASSERT_EQ(map_->erase(&key), 0);
    EXPECT_EQ(source_.in_flight(), 0U);
}

}  // namespace
}  // namespace crema::redirect
