// SPDX-License-Identifier: BSD-3-Clause
//
// cpumap: frames change the CPU, a second program decides there, and nothing waits or is lost when
// queues are full, slots are removed or workers end. One thread plays both CPUs except in the last
// test.
#include <gtest/gtest.h>

#include "lib/redirect/cpu_poller.h"
#include "tests/unit/redirect/support.h"

namespace crema::redirect {
namespace {

using ebpf::maps::MapType;

[[maybe_unused]] const auto* const eal = test::with_eal({"-m", "64", "-l", "0"});

class RedirectCpu : public RedirectTest {
  protected:
    RedirectCpu() {
        g_ask = {.map = map_.get(), .index = 0, .flags = 0};
        before_ = cpumap_counters(0);
    }

    void start_poller() {
        auto made = CpuPoller::create(0);
        ASSERT_TRUE(made) << made.error().message;
        poller_ = std::move(*made);
    }

    /// Polls until nothing comes; frees what was passed. Returns how many.
    std::uint32_t poll_all() {
        std::array<rte_mbuf*, xdp::kBurstMax> mbufs;
        std::uint32_t total = 0;
        for (std::uint32_t i = 0; i < 100; ++i) {
            const std::uint32_t n = poller_->poll(mbufs.data(), xdp::kBurstMax);
            rte_pktmbuf_free_bulk(mbufs.data(), n);
            total += n;
        }
        return total;
    }

    [[nodiscard]] CpumapCounters since() const {
        CpumapCounters now = cpumap_counters(0);
        now.received -= before_.received;
        now.pass -= before_.pass;
        now.drop -= before_.drop;
        now.aborted -= before_.aborted;
        now.redirect -= before_.redirect;
        now.redirect_errors -= before_.redirect_errors;
        now.enqueue_drops -= before_.enqueue_drops;
        return now;
    }

    std::shared_ptr<ebpf::maps::Map> map_ = make_map(MapType::cpumap, 1);
    std::unique_ptr<CpuPoller> poller_;
    CpumapCounters before_;
};

TEST_F(RedirectCpu, PassedFramesArriveAsMbufsInOrder) {
    start_poller();
    ASSERT_EQ(set_slot(*map_, 0, 128), 0);
    burst(40, 77);
    std::array<rte_mbuf*, xdp::kBurstMax> mbufs;
    ASSERT_EQ(poller_->poll(mbufs.data(), xdp::kBurstMax), 40U);
    for (std::uint32_t i = 0; i < 40; ++i) {
        EXPECT_EQ(*rte_pktmbuf_mtod(mbufs[i], std::uint8_t*), i);
        EXPECT_EQ(mbufs[i]->pkt_len, 77U);
        EXPECT_EQ(mbufs[i]->data_len, 77U);
        EXPECT_EQ(mbufs[i]->port, 0U);
    }
    rte_pktmbuf_free_bulk(mbufs.data(), 40);
    EXPECT_EQ(xdp::verdicts(0).redirect, 40U);
    EXPECT_EQ(since().pass, 40U);
    EXPECT_EQ(since().received, 40U);
}

TEST_F(RedirectCpu, WithoutAPollerFramesAreRefused) {
    ASSERT_EQ(set_slot(*map_, 0, 128), 0);
    burst(12);
    EXPECT_EQ(xdp::verdicts(0).redirect_errors, 12U);
    EXPECT_EQ(since().enqueue_drops, 12U);
    EXPECT_EQ(source_.in_flight(), 0U);
}

TEST_F(RedirectCpu, QueueHoldsExactlyItsSize) {
    start_poller();
    ASSERT_EQ(set_slot(*map_, 0, 5), 0);
    burst(12);
    EXPECT_EQ(xdp::verdicts(0).redirect, 5U);
    EXPECT_EQ(xdp::verdicts(0).redirect_errors, 7U);
    EXPECT_EQ(since().enqueue_drops, 7U);
    EXPECT_EQ(source_.in_flight(), 5U);
    EXPECT_EQ(poll_all(), 5U);
}

TEST_F(RedirectCpu, RemovedSlotSendsItsFramesHome) {
    start_poller();
    ASSERT_EQ(set_slot(*map_, 0, 64), 0);
    burst(30);
    EXPECT_EQ(source_.in_flight(), 30U);
    const std::uint32_t key = 0;
    ASSERT_EQ(map_->erase(&key), 0);
    EXPECT_EQ(source_.in_flight(), 0U);
    EXPECT_EQ(poll_all(), 0U);
}

TEST_F(RedirectCpu, EndingPollerSendsFramesHome) {
    start_poller();
    ASSERT_EQ(set_slot(*map_, 0, 64), 0);
    burst(30);
    poller_.reset();
    EXPECT_EQ(source_.in_flight(), 0U);
    burst(1);
    EXPECT_EQ(since().enqueue_drops, 31U);
}

TEST_F(RedirectCpu, OnePollerPerCpu) {
    start_poller();
    EXPECT_EQ(CpuPoller::create(0).error().code, EBUSY);
    EXPECT_EQ(CpuPoller::create(1'000'000).error().code, EINVAL);
}

// ABORTED, DROP, PASS, TX, REDIRECT to port 1, and codes nobody knows; ingress is checked.
std::uint64_t second_program(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t r3, std::uint64_t r4, std::uint64_t) {
    auto& buff = *reinterpret_cast<ebpf::XdpBuff*>(r1);
    if (buff.ingress_ifindex != 1 || buff.rx_queue_index != 0) {
        return 0;
    }
    const std::uint32_t act = buff.data[0] % 8;
    if (act == 4) {
        const Ask outer = g_ask;
        g_ask = {.map = nullptr, .index = 2, .flags = 0};
        ask_for_redirect(r1, r2, r3, r4, 0);
        g_ask = outer;
    }
    return act;
}

TEST_F(RedirectCpu, SecondProgramDecidesOnTheOtherCpu) {
    start_poller();
    ASSERT_EQ(set_slot(*map_, 0, 128, test::calling(second_program, ebpf::kAttachXdpCpumap)), 0);
    EXPECT_EQ(set_slot(*map_, 0, 128, test::returning(2)), -ENOMEM)
        << "not a cpumap program; the kernel says it so";
    burst(64);
    EXPECT_EQ(poll_all(), 8U);
    const CpumapCounters now = since();
    EXPECT_EQ(now.received, 64U);
    EXPECT_EQ(now.pass, 8U);
    EXPECT_EQ(now.drop, 8U);
    EXPECT_EQ(now.redirect, 8U);
    EXPECT_EQ(now.aborted, 40U) << "ABORTED, TX and unknown codes";
    EXPECT_EQ(out_.transmitted, 8U);
    EXPECT_EQ(source_.in_flight(), 0U);
}

TEST_F(RedirectCpu, NothingIsLostBetweenTwoThreads) {
    start_poller();
    ASSERT_EQ(set_slot(*map_, 0, 64), 0);
    std::atomic<bool> stop{false};
    std::uint64_t frames_in = 0;
    std::thread sender([&] {
        std::array<xdp::Frame, xdp::kBurstMax> frames;
        while (!stop.load()) {
            const std::uint32_t n = source_.make(frames.data(), 32);
            EXPECT_EQ(in_.run(frames.data(), n), 0U);
            frames_in += n;
        }
    });
    std::thread control([&] {
        for (std::uint32_t i = 0; i < 25; ++i) {
            EXPECT_EQ(set_slot(*map_, 0, 16 + i), 0);
            std::this_thread::yield();
        }
        stop.store(true);
    });
    std::uint64_t got = 0;
    while (!stop.load()) {
        got += poll_all();
    }
    sender.join();
    control.join();
    got += poll_all();
    EXPECT_EQ(since().received, got);
    const xdp::VerdictCounters verdicts = xdp::verdicts(0);
    EXPECT_EQ(verdicts.redirect + verdicts.redirect_errors, frames_in);
    // enqueue_drops has the refused ones and those that went home with their slot
    EXPECT_EQ(got + since().enqueue_drops, frames_in);
    EXPECT_EQ(source_.in_flight(), 0U);
}

}  // namespace
}  // namespace crema::redirect
