// SPDX-License-Identifier: BSD-3-Clause
//
// A port that sleeps until frames come: interrupts of a model behind a vfio-user socket reach the
// application's epoll.
#include <cerrno>
#include <gtest/gtest.h>
#include <string>

#include <rte_epoll.h>

#include "tests/driver/model_port.h"
#include "tests/support/user_server.h"

namespace crema::test {
namespace {

class ModelInterrupts : public PortOnModel {
  protected:
    void up_with_interrupts() {
        port_.conf.intr_conf.rxq = 1;
        ASSERT_EQ(port_.plug("net_neta0", "device=user:" + server_.path + ",mac=02:00:00:00:00:10"),
                  0);
        ASSERT_EQ(port_.configure(), 0);
        ASSERT_EQ(port_.start(), 0);
        ASSERT_EQ(rte_eth_dev_rx_intr_ctl_q(port_.id, 0, RTE_EPOLL_PER_THREAD, RTE_INTR_EVENT_ADD,
                                            nullptr),
                  0);
    }

    static int events(int wait_ms) {
        rte_epoll_event event{};
        return rte_epoll_wait(RTE_EPOLL_PER_THREAD, &event, 1, wait_ms);
    }

    vfio::ServerThread server_{"neta", vfio::ModelArgs{"model", "loop", ""}};
};

TEST_F(ModelInterrupts, SleepersAreWokenOncePerArming) {
    up_with_interrupts();
    for (std::uint32_t round = 0; round < 50; ++round) {
        ASSERT_EQ(rte_eth_dev_rx_intr_enable(port_.id, 0), 0);
        EXPECT_EQ(events(round == 0 ? 50 : 0), 0);
        ASSERT_TRUE(send(port_, numbered_frame(kOwn, round)));
        ASSERT_EQ(events(5000), 1);
        ASSERT_EQ(rte_eth_dev_rx_intr_disable(port_.id, 0), 0);
        EXPECT_EQ(receive_and_free(port_), 1U);
    }
    // A frame that came before the interrupt was wanted.
    ASSERT_TRUE(send(port_, numbered_frame(kOwn, 1)));
    EXPECT_EQ(rte_eth_rx_queue_count(port_.id, 0), 1);
    EXPECT_EQ(events(50), 0);
    ASSERT_EQ(rte_eth_dev_rx_intr_enable(port_.id, 0), 0);
    EXPECT_EQ(events(5000), 1);
    EXPECT_EQ(receive_and_free(port_), 1U);
    ASSERT_EQ(rte_eth_dev_stop(port_.id), 0);
    ASSERT_EQ(port_.start(), 0);
    EXPECT_EQ(events(0), 0);
}

TEST_F(ModelInterrupts, PortsThatCannotSleepSaySo) {
    port_.conf.intr_conf.rxq = 1;
    ASSERT_EQ(port_.plug("net_neta0", "device=user:" + server_.path), 0);
    ASSERT_EQ(port_.configure(2, 1), 0);
    EXPECT_EQ(port_.start(), -ENOTSUP);  // one line, two queues
    ASSERT_EQ(port_.configure(1, 1), 0);
    EXPECT_EQ(port_.start(), 0);
    ASSERT_EQ(rte_eth_dev_stop(port_.id), 0);
    port_.close();
    ASSERT_EQ(port_.plug("net_neta0", on_wire("null")), 0);
    ASSERT_EQ(port_.configure(), 0);
    EXPECT_EQ(port_.start(), -ENOTSUP);  // the model in this process has no interrupts
}

}  // namespace
}  // namespace crema::test
