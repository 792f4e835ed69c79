// SPDX-License-Identifier: BSD-3-Clause
//
// Single queues, descriptors and registers as a scripted device shows them.
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <gtest/gtest.h>
#include <vector>

#include <rte_cycles.h>
#include <rte_dev_info.h>

#include "tests/driver/scripted_port.h"

namespace crema::test {
namespace {

class DeviceQueues : public ScriptedPort {
  protected:
    [[nodiscard]] int rx_status(std::uint16_t offset) const {
        return rte_eth_rx_descriptor_status(port_.id, 0, offset);
    }

    [[nodiscard]] int tx_status(std::uint16_t offset) const {
        return rte_eth_tx_descriptor_status(port_.id, 0, offset);
    }

    void post(unsigned n) {
        for (unsigned i = 0; i < n; ++i) {
            rte_mbuf* mbuf = EthPort::app_mbuf(60);
            ASSERT_EQ(rte_eth_tx_burst(port_.id, 0, &mbuf, 1), 1);
        }
    }
};

TEST_F(DeviceQueues, DescriptorsTellWhoHasThem) {
    up();
    for (int i = 0; i < 3; ++i) {
        device().deliver(kGood, 66);
    }
    EXPECT_EQ(rte_eth_rx_queue_count(port_.id, 0), 3);
    EXPECT_EQ(rx_status(2), RTE_ETH_RX_DESC_DONE);
    EXPECT_EQ(rx_status(3), RTE_ETH_RX_DESC_AVAIL);
    EXPECT_EQ(rx_status(255), RTE_ETH_RX_DESC_AVAIL);
    EXPECT_EQ(rx_status(256), -EINVAL);
    EXPECT_EQ(receive_and_free(2), 2U);  // too few to refill
    EXPECT_EQ(rte_eth_rx_queue_count(port_.id, 0), 1);
    EXPECT_EQ(rx_status(0), RTE_ETH_RX_DESC_DONE);
    EXPECT_EQ(rx_status(253), RTE_ETH_RX_DESC_AVAIL);
    EXPECT_EQ(rx_status(254), RTE_ETH_RX_DESC_UNAVAIL);
    device().claim_occupied = 16383;
    EXPECT_EQ(rte_eth_rx_queue_count(port_.id, 0), 254);
    device().claim_occupied = ScriptedDevice::kHonest;

    device().send = false;
    post(10);
    EXPECT_EQ(tx_status(0), RTE_ETH_TX_DESC_DONE);
    EXPECT_EQ(tx_status(245), RTE_ETH_TX_DESC_DONE);
    EXPECT_EQ(tx_status(246), RTE_ETH_TX_DESC_FULL);
    EXPECT_EQ(tx_status(256), -EINVAL);
    device().sent[0] = 4;
    EXPECT_EQ(tx_status(249), RTE_ETH_TX_DESC_DONE);
    EXPECT_EQ(tx_status(250), RTE_ETH_TX_DESC_FULL);
    device().sent[0] = 0;
}

TEST_F(DeviceQueues, StoppedTxQueueKeepsWhatItCouldNotSend) {
    up();
    device().send = false;
    post(3);
    EXPECT_EQ(rte_eth_dev_tx_queue_stop(port_.id, 0), 0);
    EXPECT_EQ(device().at(neta::kTxqCmd), 0xf0U);
    EXPECT_EQ(rte_mempool_in_use_count(EthPort::app_pool()), 3U);
    EXPECT_EQ(rte_eth_dev_tx_queue_start(port_.id, 0), 0);
    EXPECT_EQ(device().at(neta::kTxqCmd), 0xf1U);
    device().send = true;
    post(1);
    EXPECT_EQ(device().frames.size(), 4U);
    EXPECT_EQ(rte_eth_tx_done_cleanup(port_.id, 0, 0), 4);
}

TEST_F(DeviceQueues, QueueThatDoesNotComeToRestIsNotCalledStopped) {
    up();
    device().stuck = true;
    EXPECT_EQ(rte_eth_dev_rx_queue_stop(port_.id, 0), -EIO);
    EXPECT_EQ(rte_eth_dev_tx_queue_stop(port_.id, 0), -EIO);
    device().stuck = false;
    device().deliver(kGood, 66);
    EXPECT_EQ(receive_and_free(), 1U);
}

TEST_F(DeviceQueues, RegistersAreDumpedWithoutHarm) {
    up();
    rte_dev_reg_info info{};
    ASSERT_EQ(rte_eth_dev_get_reg_info(port_.id, &info), 0);
    EXPECT_EQ(info.width, 4U);
    ASSERT_EQ(info.length, neta::kRegionBytes / 4);
    std::vector<std::uint32_t> words(info.length, ~0U);
    info.data = words.data();
    device().at(neta::kVersion) = 0x17;
    for (auto& word : device().was_read) {
        word = false;
    }
    ASSERT_EQ(rte_eth_dev_get_reg_info(port_.id, &info), 0);
    EXPECT_EQ(info.version, 0x17U);
    for (const std::uint32_t harmful : {neta::kSmi, neta::kRxDiscardCnt, neta::kRxOverrunCnt,
                                        neta::kTxBadFcsCnt, neta::kTxDropCnt, neta::kLpiCounter}) {
        EXPECT_FALSE(device().was_read.at(harmful / 4)) << harmful;
    }
    for (std::uint32_t offset = 0; offset < neta::kRegionBytes; offset += 4) {
        const bool counter = offset >= neta::kMib && offset < neta::kMib + neta::kMibBytes;
        if (device().was_read.at(offset / 4)) {
            EXPECT_FALSE(counter) << offset;
            EXPECT_EQ(words[offset / 4], device().read(offset)) << offset;
        } else {
            EXPECT_EQ(words[offset / 4], 0U) << offset;
        }
    }
    EXPECT_EQ(words[neta::kPortConfig / 4], 0x02001000U);
    EXPECT_EQ(words[neta::kMacHigh / 4], 0x02000000U);
    EXPECT_EQ(words[neta::rxq_status(0) / 4], 256U << 16U);
    EXPECT_EQ(words[neta::kMib / 4], 0U);

    std::array<std::uint32_t, 2> part{};
    info.data = part.data();
    info.offset = neta::kMacLow / 4;
    info.length = 2;
    ASSERT_EQ(rte_eth_dev_get_reg_info(port_.id, &info), 0);
    EXPECT_EQ(part[0], 0x10U);
    EXPECT_EQ(part[1], 0x02000000U);
    info.offset = neta::kRegionBytes / 4 - 1;
    info.length = 2;
    EXPECT_EQ(rte_eth_dev_get_reg_info(port_.id, &info), -EINVAL);
    info.offset = ~0U;
    info.length = 2;
    EXPECT_EQ(rte_eth_dev_get_reg_info(port_.id, &info), -EINVAL);
}

TEST_F(DeviceQueues, FlowControlIsOneBitForBothWays) {
    up();
    const auto is_on = [&] {
        return (device().at(neta::kGmacAutoneg) & neta::kGmacAutonegFlowCtrl) != 0;
    };
    rte_eth_fc_conf conf{};
    ASSERT_EQ(rte_eth_dev_flow_ctrl_get(port_.id, &conf), 0);
    EXPECT_EQ(conf.mode, RTE_ETH_FC_NONE);
    EXPECT_FALSE(is_on());
    conf.mode = RTE_ETH_FC_FULL;
    ASSERT_EQ(rte_eth_dev_flow_ctrl_set(port_.id, &conf), 0);
    EXPECT_TRUE(is_on());
    ASSERT_EQ(rte_eth_dev_set_mtu(port_.id, 1400), 0);
    EXPECT_TRUE(is_on());
    ASSERT_EQ(rte_eth_dev_stop(port_.id), 0);
    ASSERT_EQ(port_.start(), 0);
    EXPECT_TRUE(is_on());
    ASSERT_EQ(rte_eth_dev_set_link_down(port_.id), 0);
    for (const auto mode : {RTE_ETH_FC_RX_PAUSE, RTE_ETH_FC_TX_PAUSE}) {
        conf.mode = mode;
        EXPECT_EQ(rte_eth_dev_flow_ctrl_set(port_.id, &conf), -ENOTSUP);
    }
    conf.mode = RTE_ETH_FC_NONE;
    conf.high_water = 1000;
    EXPECT_EQ(rte_eth_dev_flow_ctrl_set(port_.id, &conf), -ENOTSUP);
    ASSERT_EQ(rte_eth_dev_flow_ctrl_get(port_.id, &conf), 0);
    EXPECT_EQ(conf.mode, RTE_ETH_FC_FULL);
    conf.mode = RTE_ETH_FC_NONE;
    ASSERT_EQ(rte_eth_dev_flow_ctrl_set(port_.id, &conf), 0);
    EXPECT_EQ(device().at(neta::kGmacAutoneg) & neta::kGmacAutonegForceLinkPass, 0U);  // still down
    ASSERT_EQ(rte_eth_dev_set_link_up(port_.id), 0);
    EXPECT_FALSE(is_on());
}

TEST_F(DeviceQueues, LinkChangesAreTold) {
    static std::atomic<int> told{0};
    told = 0;
    port_.conf.intr_conf.lsc = 1;
    up();
    port_.count_events(RTE_ETH_EVENT_INTR_LSC, told);
    rte_eth_link link{};
    for (const int wanted : {RTE_ETH_LINK_DOWN, RTE_ETH_LINK_UP}) {
        device().at(neta::kGmacAutoneg) ^= neta::kGmacAutonegForceLinkPass;
        const int before = told;
        for (int i = 0; i < 300 && told == before; ++i) {
            rte_delay_us_sleep(10'000);
        }
        EXPECT_EQ(told, before + 1);
        EXPECT_EQ(rte_eth_link_get_nowait(port_.id, &link), 0);
        EXPECT_EQ(link.link_status, wanted);
    }
}

// Many times faster than the looks that go on beside.
TEST_F(DeviceQueues, LinkChangesAreToldByInterrupt) {
    constexpr int kChanges = 20;
    static std::atomic<int> told{0};
    told = 0;
    ScriptedDevice::interrupts = true;
    port_.conf.intr_conf.lsc = 1;
    up();
    EXPECT_EQ(device().at(neta::kIntrNewMask), neta::kIntrMiscSummary);
    EXPECT_NE(device().at(neta::kIntrMiscMask) & neta::kIntrMiscLinkChange, 0U);
    port_.count_events(RTE_ETH_EVENT_INTR_LSC, told);
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < kChanges; ++i) {
        device().at(neta::kGmacAutoneg) ^= neta::kGmacAutonegForceLinkPass;
        device().at(neta::kIntrMiscCause) = neta::kIntrMiscLinkChange;
        device().at(neta::kIntrNewCause) = neta::kIntrMiscSummary;
        ASSERT_EQ(::eventfd_write(device().event.get(), 1), 0);
        while (told != i + 1) {
            ASSERT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
        }
    }
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(100 * kChanges));
    EXPECT_EQ(device().at(neta::kIntrMiscCause), ~neta::kIntrMiscLinkChange) << "acknowledged";
    ASSERT_EQ(rte_eth_dev_stop(port_.id), 0);
    EXPECT_GE(device().rearmed, static_cast<std::uint32_t>(kChanges));
    EXPECT_EQ(device().at(neta::kIntrNewMask), 0U);
}

TEST_F(DeviceQueues, DevicesWithoutInterruptsSaySo) {
    port_.conf.intr_conf.rxq = 1;
    ASSERT_EQ(port_.plug("net_neta0", "device=model,mac=02:00:00:00:00:10"), 0);
    ASSERT_EQ(port_.configure(), 0);
    EXPECT_EQ(port_.start(), -ENOTSUP);
    port_.conf.intr_conf.rxq = 0;
    ASSERT_EQ(port_.configure(), 0);
    EXPECT_EQ(port_.start(), 0);
}

TEST_F(DeviceQueues, TransmitterThatHangsIsToldAndResetCuresIt) {
    static std::atomic<int> told{0};
    told = 0;
    port_.conf.intr_conf.lsc = 1;
    up();
    port_.count_events(RTE_ETH_EVENT_INTR_RESET, told);
    post(1);
    rte_delay_us_sleep(1'000'000);  // idle is no hang
    device().send = false;
    post(3);
    rte_delay_us_sleep(2'000'000);
    EXPECT_EQ(told, 0);  // nor is a short wait
    for (int i = 0; i < 800 && told == 0; ++i) {
        rte_delay_us_sleep(10'000);
    }
    EXPECT_EQ(told, 1);
    rte_delay_us_sleep(300'000);
    EXPECT_EQ(told, 1);  // once
    device().send = true;
    ASSERT_EQ(rte_eth_dev_reset(port_.id), 0);
    ASSERT_EQ(port_.configure(), 0);
    ASSERT_EQ(port_.start(), 0);
    EXPECT_EQ(rte_mempool_in_use_count(EthPort::app_pool()), 0U);
    const std::size_t before = device().frames.size();
    post(1);
    EXPECT_EQ(device().frames.size(), before + 1);
    EXPECT_EQ(rte_eth_tx_done_cleanup(port_.id, 0, 0), 1);
}

}  // namespace
}  // namespace crema::test
