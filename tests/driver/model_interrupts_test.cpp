// SPDX-License-Identifier: BSD-3-Clause
//
// Ports that sleep until frames come: the chip's one line wakes the queue that has frames and no
// other, whether the model is in this process or behind a vfio-user socket.
#include <array>
#include <atomic>
#include <cerrno>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <thread>

#include <rte_epoll.h>
#include <rte_interrupts.h>

#include "tests/driver/model_port.h"
#include "tests/support/user_server.h"

namespace crema::test {
namespace {

constexpr int kPatienceMs = 10'000;

// Parameter: the engine of a model in this process, or "user".
class ModelInterrupts : public PortOnModel, public testing::WithParamInterface<std::string> {
  protected:
    void up_with_interrupts(std::uint16_t queues) {
        port_.conf.intr_conf.rxq = 1;
        std::string device = on_wire("loop", GetParam());
        if (GetParam() == "user") {
            server_ = std::make_unique<vfio::ServerThread>(
                "neta", vfio::ModelArgs{.instance = "model", .wire = "loop"});
            device = "device=user:" + server_->path;
        }
        ASSERT_EQ(port_.plug("net_neta0", device + ",mac=02:00:00:00:00:10"), 0);
        ASSERT_EQ(port_.configure(queues), 0);
        ASSERT_EQ(port_.start(), 0);
    }

    void TearDown() override {
        PortOnModel::TearDown();
        server_.reset();
    }

    void watch(std::uint16_t queue) const {
        // NOLINTNEXTLINE(performance-no-int-to-ptr): the number is all there is to say
        ASSERT_EQ(
            rte_eth_dev_rx_intr_ctl_q(port_.id, queue, RTE_EPOLL_PER_THREAD, RTE_INTR_EVENT_ADD,
                                      reinterpret_cast<void*>(std::uintptr_t{queue})),
            0);
    }

    // Queue whose event comes, or -1.
    static int event(int wait_ms) {
        rte_epoll_event event{};
        if (rte_epoll_wait(RTE_EPOLL_PER_THREAD, &event, 1, wait_ms) != 1) {
            return -1;
        }
        return static_cast<int>(reinterpret_cast<std::uintptr_t>(event.epdata.data));
    }

    // A frame for that queue of four: VLAN priorities are spread.
    bool send_to(std::uint16_t queue, std::uint16_t tx_queue = 0) {
        rte_mbuf* mbuf = numbered_frame(kOwn, queue);
        auto* data = rte_pktmbuf_mtod(mbuf, std::uint8_t*);
        data[12] = 0x81;
        data[13] = 0;
        data[14] = static_cast<std::uint8_t>(queue << 6U);
        if (rte_eth_tx_burst(port_.id, tx_queue, &mbuf, 1) == 1) {
            return true;
        }
        rte_pktmbuf_free(mbuf);
        return false;
    }

    std::uint32_t drain(std::uint16_t queue) {
        std::array<rte_mbuf*, 32> mbufs{};
        std::uint32_t total = 0;
        while (const std::uint16_t n = rte_eth_rx_burst(port_.id, queue, mbufs.data(), 32)) {
            rte_pktmbuf_free_bulk(mbufs.data(), n);
            total += n;
        }
        return total;
    }

    std::unique_ptr<vfio::ServerThread> server_;
};

TEST_P(ModelInterrupts, SleepersAreWokenOncePerArming) {
    up_with_interrupts(1);
    watch(0);
    for (std::uint32_t round = 0; round < 50; ++round) {
        ASSERT_EQ(rte_eth_dev_rx_intr_enable(port_.id, 0), 0);
        EXPECT_EQ(event(round == 0 ? 50 : 0), -1);
        ASSERT_TRUE(send(port_, numbered_frame(kOwn, round)));
        ASSERT_EQ(event(kPatienceMs), 0);
        ASSERT_EQ(rte_eth_dev_rx_intr_disable(port_.id, 0), 0);
        EXPECT_EQ(drain(0), 1U);
    }
    // A frame that came before the interrupt was wanted.
    ASSERT_TRUE(send(port_, numbered_frame(kOwn, 1)));
    while (rte_eth_rx_queue_count(port_.id, 0) == 0) {
    }
    EXPECT_EQ(event(50), -1);
    ASSERT_EQ(rte_eth_dev_rx_intr_enable(port_.id, 0), 0);
    EXPECT_EQ(event(kPatienceMs), 0);
    EXPECT_EQ(drain(0), 1U);
    ASSERT_EQ(rte_eth_dev_stop(port_.id), 0);
    ASSERT_EQ(port_.start(), 0);
    EXPECT_EQ(event(0), -1);
}

TEST_P(ModelInterrupts, EachQueueIsWokenByItsOwnFrames) {
    up_with_interrupts(4);
    for (std::uint16_t q = 0; q < 4; ++q) {
        watch(q);
        ASSERT_EQ(rte_eth_dev_rx_intr_enable(port_.id, q), 0);
    }
    EXPECT_EQ(event(50), -1);
    for (const std::uint16_t q : {std::uint16_t{3}, std::uint16_t{0}, std::uint16_t{2}}) {
        ASSERT_TRUE(send_to(q));
        ASSERT_EQ(event(kPatienceMs), q);
        EXPECT_EQ(event(20), -1) << "the others sleep on";
        EXPECT_EQ(drain(q), 1U);
    }
    // Queue 3 was woken and has not asked again: its frames wake nobody.
    ASSERT_TRUE(send_to(3));
    EXPECT_EQ(event(50), -1);
    ASSERT_TRUE(send_to(1));
    EXPECT_EQ(event(kPatienceMs), 1);
    ASSERT_EQ(rte_eth_dev_rx_intr_enable(port_.id, 3), 0);
    EXPECT_EQ(event(kPatienceMs), 3);
    ASSERT_EQ(rte_eth_dev_rx_intr_enable(port_.id, 0), 0);
    ASSERT_EQ(rte_eth_dev_rx_intr_disable(port_.id, 0), 0);
    ASSERT_TRUE(send_to(0));
    EXPECT_EQ(event(50), -1);
    for (std::uint16_t q = 0; q < 4; ++q) {
        drain(q);
    }
}

TEST_P(ModelInterrupts, ThreadsSleepOnTheirQueues) {
    constexpr std::uint32_t kFrames = 300;
    up_with_interrupts(4);
    std::array<std::atomic<std::uint32_t>, 4> got{};
    std::array<std::atomic<std::uint32_t>, 4> slept{};
    const auto sleeper = [&](std::uint16_t q) {
        watch(q);
        while (got.at(q) < kFrames) {
            got.at(q) += drain(q);
            ASSERT_EQ(rte_eth_dev_rx_intr_enable(port_.id, q), 0);
            if (got.at(q) < kFrames) {
                ASSERT_EQ(event(kPatienceMs), q);
                ++slept.at(q);
            }
            ASSERT_EQ(rte_eth_dev_rx_intr_disable(port_.id, q), 0);
        }
    };
    std::thread first(sleeper, std::uint16_t{1});
    std::thread second(sleeper, std::uint16_t{2});
    for (std::uint32_t i = 0; i < kFrames; ++i) {
        for (const std::uint16_t q : {std::uint16_t{1}, std::uint16_t{2}}) {
            while (i - got.at(q) > 64) {  // rings are bounded
                std::this_thread::yield();
            }
            while (!send_to(q)) {
            }
        }
    }
    first.join();
    second.join();
    EXPECT_EQ(got.at(1), kFrames);
    EXPECT_EQ(got.at(2), kFrames);
    EXPECT_GT(slept.at(1) + slept.at(2), 0U);
}

INSTANTIATE_TEST_SUITE_P(Devices,
                         ModelInterrupts,
                         testing::Values("inline", "thread", "user"),
                         [](const auto& one) { return one.param; });

}  // namespace
}  // namespace crema::test
