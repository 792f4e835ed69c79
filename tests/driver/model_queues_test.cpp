// SPDX-License-Identifier: BSD-3-Clause
//
// Queues that start and stop by themselves, and a port that is reset, on the model's wires.
#include <array>
#include <gtest/gtest.h>
#include <string>
#include <vector>

#include <rte_dev_info.h>

#include "drivers/net/neta/offloads.h"
#include "lib/neta/registers.h"
#include "lib/page_pool/page_pool.h"
#include "tests/driver/model_port.h"

namespace crema::test {
namespace {

class ModelQueues : public PortOnModel {
  protected:
    [[nodiscard]] std::uint8_t rx_state(std::uint16_t queue) const {
        rte_eth_rxq_info info{};
        EXPECT_EQ(rte_eth_rx_queue_info_get(port_.id, queue, &info), 0);
        return info.queue_state;
    }

    [[nodiscard]] std::uint8_t tx_state(std::uint16_t queue) const {
        rte_eth_txq_info info{};
        EXPECT_EQ(rte_eth_tx_queue_info_get(port_.id, queue, &info), 0);
        return info.queue_state;
    }

    void send_to_queue(std::uint16_t queue, unsigned n, std::uint16_t tx_queue = 0) {
        for (unsigned i = 0; i < n; ++i) {
            rte_mbuf* mbuf = numbered_frame(kOwn, i);
            auto* data = rte_pktmbuf_mtod(mbuf, std::uint8_t*);
            data[12] = 0x81;
            data[13] = 0x00;
            data[14] = static_cast<std::uint8_t>(queue == 0 ? 0 : 0xe0);  // priority 7: the last
            ASSERT_EQ(rte_eth_tx_burst(port_.id, tx_queue, &mbuf, 1), 1);
        }
    }

    std::uint32_t drain(std::uint16_t queue) {
        std::array<rte_mbuf*, 64> mbufs{};
        const std::uint16_t n = rte_eth_rx_burst(port_.id, queue, mbufs.data(), 64);
        rte_pktmbuf_free_bulk(mbufs.data(), n);
        return n;
    }
};

TEST_F(ModelQueues, RxQueueStopsAndStarts) {
    up("loop");
    send_to_queue(0, 5);
    EXPECT_EQ(rte_eth_rx_queue_count(port_.id, 0), 5);
    ASSERT_EQ(rte_eth_dev_rx_queue_stop(port_.id, 0), 0);
    EXPECT_EQ(rx_state(0), RTE_ETH_QUEUE_STATE_STOPPED);
    EXPECT_GE(port_.xstat("rx_pp_in_flight"), 255U);  // empty ones, in pairs, with the chip
    send_to_queue(0, 3);
    ASSERT_EQ(rte_eth_dev_set_mtu(port_.id, 1400), 0);  // enables no stopped queue
    EXPECT_EQ(rte_eth_rx_queue_count(port_.id, 0), 0);
    ASSERT_EQ(rte_eth_dev_rx_queue_start(port_.id, 0), 0);
    EXPECT_EQ(rx_state(0), RTE_ETH_QUEUE_STATE_STARTED);
    EXPECT_EQ(drain(0), 0U);
    EXPECT_EQ(port_.stats().imissed, 3U);
    for (int round = 0; round < 100; ++round) {
        send_to_queue(0, 7);
        EXPECT_EQ(drain(0), 7U);
    }
    ASSERT_EQ(rte_eth_dev_rx_queue_stop(port_.id, 0), 0);  // and is stopped when the port stops
}

TEST_F(ModelQueues, TxQueueStopsAndStarts) {
    up("loop");
    for (int round = 0; round < 10; ++round) {
        send_to_queue(0, 10);
        ASSERT_EQ(rte_eth_dev_tx_queue_stop(port_.id, 0), 0);
        EXPECT_EQ(tx_state(0), RTE_ETH_QUEUE_STATE_STOPPED);
        EXPECT_EQ(rte_mempool_in_use_count(EthPort::app_pool()), 0U);
        ASSERT_EQ(rte_eth_dev_tx_queue_start(port_.id, 0), 0);
        EXPECT_EQ(tx_state(0), RTE_ETH_QUEUE_STATE_STARTED);
        EXPECT_EQ(drain(0), 10U);
    }
}

TEST_F(ModelQueues, DeferredQueuesWait) {
    ASSERT_EQ(port_.plug("net_neta0", on_wire("loop") + ",mac=02:00:00:00:00:10"), 0);
    port_.deferred_rx = port_.deferred_tx = 2;
    ASSERT_EQ(port_.configure(2, 2), 0);
    for (int round = 0; round < 2; ++round) {
        ASSERT_EQ(port_.start(), 0);
        EXPECT_EQ(rx_state(0), RTE_ETH_QUEUE_STATE_STARTED);
        EXPECT_EQ(rx_state(1), RTE_ETH_QUEUE_STATE_STOPPED);
        EXPECT_EQ(tx_state(1), RTE_ETH_QUEUE_STATE_STOPPED);
        EXPECT_EQ(port_.xstat("rx_pp_in_flight"), 256U);  // of queue 0
        send_to_queue(1, 4);
        send_to_queue(0, 2);
        EXPECT_EQ(drain(0), 2U);
        ASSERT_EQ(rte_eth_dev_rx_queue_start(port_.id, 1), 0);
        ASSERT_EQ(rte_eth_dev_tx_queue_start(port_.id, 1), 0);
        EXPECT_EQ(port_.xstat("rx_pp_in_flight"), 254U + 256U);
        send_to_queue(1, 3, 1);
        EXPECT_EQ(drain(1), 3U);
        EXPECT_EQ(drain(0), 0U);
        ASSERT_EQ(rte_eth_dev_stop(port_.id), 0);
        EXPECT_EQ(rx_state(0), RTE_ETH_QUEUE_STATE_STOPPED);
    }
    EXPECT_EQ(port_.stats().imissed, 8U);
}

TEST_F(ModelQueues, QueuesTellWhatTheyAre) {
    port_.conf.rxmode.offloads = RTE_ETH_RX_OFFLOAD_IPV4_CKSUM;
    port_.deferred_rx = 1;
    up("null");
    rte_eth_rxq_info rx{};
    ASSERT_EQ(rte_eth_rx_queue_info_get(port_.id, 0, &rx), 0);
    EXPECT_EQ(rx.nb_desc, 256);
    EXPECT_EQ(rx.rx_buf_size, page_pool::kDmaBytes);
    EXPECT_EQ(rx.conf.rx_deferred_start, 1);
    EXPECT_EQ(rx.conf.rx_drop_en, 1);
    EXPECT_EQ(rx.conf.rx_free_thresh, 32);
    EXPECT_EQ(rx.scattered_rx, 0);
    EXPECT_TRUE(page_pool::is_page_pool(rx.mp));
    rte_eth_txq_info tx{};
    ASSERT_EQ(rte_eth_tx_queue_info_get(port_.id, 0, &tx), 0);
    EXPECT_EQ(tx.nb_desc, 256);
    rte_eth_burst_mode mode{};
    ASSERT_EQ(rte_eth_rx_burst_mode_get(port_.id, 0, &mode), 0);
    EXPECT_STREQ(mode.info, "scalar, packet types and checksums");
    ASSERT_EQ(rte_eth_tx_burst_mode_get(port_.id, 0, &mode), 0);
    EXPECT_STREQ(mode.info, "scalar");
}

TEST_F(ModelQueues, ResetBringsThePortBack) {
    up("loop");
    for (int round = 0; round < 3; ++round) {
        send_to_queue(0, 20);
        EXPECT_EQ(drain(0), 20U);
        send_to_queue(0, 20);  // left on the way
        ASSERT_EQ(rte_eth_dev_reset(port_.id), 0);
        ASSERT_EQ(port_.configure(), 0);
        ASSERT_EQ(port_.start(), 0);
        drain(0);
    }
    EXPECT_EQ(port_.xstat("rx_pp_in_flight"), 256U);
}

TEST_F(ModelQueues, DumpTouchesNoRegisterThatIsNotThere) {
    up("loop");
    std::vector<std::uint32_t> words(neta::kRegionBytes / 4);
    rte_dev_reg_info info{};
    info.data = words.data();
    for (int i = 0; i < 2; ++i) {
        ASSERT_EQ(rte_eth_dev_get_reg_info(port_.id, &info), 0);
        EXPECT_EQ(words[neta::kUnitCause / 4] & neta::kUnitCauseInternalAddr, 0U);
    }
    send_to_queue(0, 4);
    ASSERT_EQ(rte_eth_dev_get_reg_info(port_.id, &info), 0);
    EXPECT_EQ(port_.xstat("good_frames_sent"), 4U);
    EXPECT_EQ(drain(0), 4U);
}

}  // namespace
}  // namespace crema::test
