// SPDX-License-Identifier: BSD-3-Clause
//
// The driver against a device that the test scripts: what it writes into descriptors and update
// registers, and that a lying or broken device cannot make it read, lose or double a page.
#include <array>
#include <cerrno>
#include <cstring>
#include <gtest/gtest.h>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "lib/page_pool/page_pool.h"
#include "tests/driver/scripted_port.h"
#include "tests/support/eal.h"

namespace crema::test {
namespace {

const auto* const eal_environment = with_eal({"-m", "96", "-l", "0"});

TEST_F(ScriptedPort, RingIsFilledInWholePairsAndLegalSteps) {
    up();
    EXPECT_EQ(device().free_rx, 256U);
    EXPECT_TRUE(device().oversized_updates.empty());
    EXPECT_EQ(neta::kRxqSizeBufSize.get(device().at(neta::rxq_size(0))) * 8, page_pool::kDmaBytes);
    EXPECT_EQ(device().at(neta::rxq_config(0)), 0U);
    for (std::uint32_t i = 0; i < 256; ++i) {
        const auto& descriptor = device().rx_descriptor(i);
        EXPECT_NE(descriptor.buf_addr, 0U);
        EXPECT_EQ(descriptor.buf_addr % 64, 0U);
        EXPECT_GT(descriptor.data_size, page_pool::kDmaBytes);  // poison
    }
    for (int i = 0; i < 1000; ++i) {
        ASSERT_TRUE(device().deliver(kGood, 66));
        receive_and_free();
    }
    EXPECT_EQ(device().odd_news, 0U);
    EXPECT_TRUE(device().oversized_updates.empty());
    EXPECT_GE(device().free_rx, 256U - 33U);
}

TEST_F(ScriptedPort, ReceivedFrameIsAnMbuf) {
    up();
    device().deliver(kGood, 106, 0xab);
    const auto mbufs = receive();
    ASSERT_EQ(mbufs.size(), 1U);
    EXPECT_EQ(mbufs[0]->pkt_len, 100U);
    EXPECT_EQ(mbufs[0]->data_len, 100U);
    EXPECT_EQ(mbufs[0]->port, port_.id);
    EXPECT_EQ(mbufs[0]->nb_segs, 1);
    EXPECT_EQ(rte_pktmbuf_headroom(mbufs[0]), page_pool::kDataOffset);
    EXPECT_EQ(*rte_pktmbuf_mtod(mbufs[0], const std::uint8_t*), 0xab);
    rte_pktmbuf_free(mbufs[0]);
    EXPECT_EQ(port_.stats().ipackets, 1U);
    EXPECT_EQ(port_.stats().ibytes, 100U);
}

TEST_F(ScriptedPort, BadDescriptorsAreCountedAndTheirPagesComeHome) {
    up();

    struct Case {
        std::uint32_t status;
        std::uint32_t size;
        const char* counter;
    };

    const std::vector<Case> cases = {
        {kGood | neta::kRxError, 66, "rx_error_crc"},
        {kGood | neta::kRxError | neta::kRxErrorCode.of(1), 66, "rx_error_overrun"},
        {kGood | neta::kRxError | neta::kRxErrorCode.of(2), 66, "rx_error_too_long"},
        {kGood | neta::kRxError | neta::kRxErrorCode.of(3), 66, "rx_error_resource"},
        {neta::kRxFirst, 3000, "rx_error_fragment"},
        {neta::kRxLast, 0, "rx_error_fragment"},
        {0, 0, "rx_error_fragment"},
        {kGood, 0, "rx_error_size"},
        {kGood, 5, "rx_error_size"},
        {kGood, 19, "rx_error_size"},
        {kGood, page_pool::kDmaBytes + 1, "rx_error_size"},
        {kGood, 0xffff, "rx_error_size"},
        {kGood, 6 + 1500 + 18 + 1, "rx_error_size"},
    };
    for (const Case& one : cases) {
        const std::uint64_t before = port_.xstat(one.counter);
        ASSERT_TRUE(device().deliver(one.status, one.size));
        ASSERT_TRUE(device().deliver(kGood, 66));
        EXPECT_EQ(receive_and_free(), 1U) << one.counter << ' ' << one.size;
        EXPECT_EQ(port_.xstat(one.counter), before + 1) << one.size;
    }
    EXPECT_EQ(port_.stats().ierrors, cases.size());
    EXPECT_EQ(port_.stats().ipackets, cases.size());
    ASSERT_TRUE(device().deliver(kGood, 6 + 1500 + 18));
    EXPECT_EQ(receive_and_free(), 1U);
}

TEST_F(ScriptedPort, DescriptorCountedBeforeItIsInMemoryIsWaitedFor) {
    up();
    device().deliver(kGood, 66);
    device().skip();  // OCCUPIED runs ahead of the descriptor
    EXPECT_EQ(receive_and_free(), 1U);
    EXPECT_EQ(receive_and_free(), 0U);
    EXPECT_GE(port_.xstat("rx_descriptor_late"), 1U);
    auto& late = device().rx_descriptor(1);
    late.status = kGood;
    late.data_size = 70;
    EXPECT_EQ(receive_and_free(), 1U);
}

TEST_F(ScriptedPort, CountsBeyondTheRingAreClamped) {
    up();
    for (const std::uint32_t claim : {257U, 16383U}) {
        device().claim_occupied = claim;
        for (int i = 0; i < 20; ++i) {
            EXPECT_EQ(receive_and_free(64), 0U);  // every descriptor still holds the poison
        }
    }
    EXPECT_GT(port_.xstat("device_count_errors"), 0U);
    device().claim_occupied = ScriptedDevice::kHonest;
}

TEST_F(ScriptedPort, SentCountsBeyondTheRingAreClamped) {
    up();
    device().send = false;
    device().claim_sent = 16383;
    for (int i = 0; i < 100; ++i) {
        std::array<rte_mbuf*, 32> mbufs{};
        for (auto& mbuf : mbufs) {
            mbuf = EthPort::app_mbuf(60);
        }
        const std::uint16_t n = rte_eth_tx_burst(port_.id, 0, mbufs.data(), 32);
        rte_pktmbuf_free_bulk(mbufs.data() + n, 32U - n);
    }
    EXPECT_GT(port_.xstat("device_count_errors"), 0U);
}

TEST_F(ScriptedPort, EmptyPoolMeansFewerDescriptorsAndRecovers) {
    up(",pool=512");
    std::vector<rte_mbuf*> held;
    while (device().deliver(kGood, 66)) {
        const auto mbufs = receive();
        held.insert(held.end(), mbufs.begin(), mbufs.end());
    }
    EXPECT_EQ(held.size(), 512U);
    EXPECT_GT(port_.xstat("refill_error"), 0U);
    EXPECT_EQ(port_.xstat("rx_pp_in_flight"), 512U);
    for (rte_mbuf* mbuf : held) {
        rte_pktmbuf_free(mbuf);
    }
    EXPECT_EQ(receive_and_free(), 0U);  // refills
    EXPECT_GE(device().free_rx, 224U);
    for (int i = 0; i < 600; ++i) {
        ASSERT_TRUE(device().deliver(kGood, 66));
        EXPECT_EQ(receive_and_free(), 1U);
    }
}

TEST_F(ScriptedPort, SingleAndChainedMbufsAreSentAsTheyAre) {
    up();
    std::array<rte_mbuf*, 2> mbufs = {EthPort::app_mbuf(42, 1), EthPort::app_mbuf(20, 2)};
    rte_mbuf* empty = rte_pktmbuf_alloc(EthPort::app_pool());
    ASSERT_EQ(rte_pktmbuf_chain(mbufs[1], empty), 0);
    ASSERT_EQ(rte_pktmbuf_chain(mbufs[1], EthPort::app_mbuf(30, 3)), 0);
    ASSERT_EQ(rte_pktmbuf_chain(mbufs[1], EthPort::app_mbuf(40, 4)), 0);
    EXPECT_EQ(rte_eth_tx_burst(port_.id, 0, mbufs.data(), 2), 2);
    ASSERT_EQ(device().frames.size(), 2U);
    EXPECT_EQ(device().frames[0], std::vector<std::uint8_t>(42, 1));
    std::vector<std::uint8_t> chain(20, 2);
    chain.insert(chain.end(), 30, 3);
    chain.insert(chain.end(), 40, 4);
    EXPECT_EQ(device().frames[1], chain);
    const std::uint32_t none = neta::kTxL4Csum.of(neta::kTxL4CsumNone);
    EXPECT_EQ(device().commands, (std::vector<std::uint32_t>{0x80380000, none | neta::kTxFirst, 0,
                                                             neta::kTxLast | neta::kTxZeroPad}));
    EXPECT_EQ(port_.stats().opackets, 2U);
    EXPECT_EQ(port_.stats().obytes, 132U);
    EXPECT_GE(rte_eth_tx_done_cleanup(port_.id, 0, 0), 4);
}

TEST_F(ScriptedPort, SharedAndIndirectMbufsAreFreedOnce) {
    up();
    rte_mbuf* direct = EthPort::app_mbuf(100);
    rte_mempool* clones = rte_pktmbuf_pool_create("clones", 31, 0, 0, 0, -1);
    rte_mbuf* clone = rte_pktmbuf_clone(direct, clones);
    ASSERT_NE(clone, nullptr);
    rte_mbuf_refcnt_update(direct, 1);
    std::array<rte_mbuf*, 2> mbufs = {direct, clone};
    EXPECT_EQ(rte_eth_tx_burst(port_.id, 0, mbufs.data(), 2), 2);
    EXPECT_EQ(rte_eth_tx_done_cleanup(port_.id, 0, 0), 2);
    EXPECT_EQ(device().frames[0], device().frames[1]);
    EXPECT_EQ(rte_mempool_in_use_count(clones), 0U);
    EXPECT_EQ(rte_mempool_in_use_count(EthPort::app_pool()), 1U);  // our reference
    EXPECT_EQ(rte_mbuf_refcnt_read(direct), 1);
    rte_pktmbuf_free(direct);
    rte_mempool_free(clones);
}

TEST_F(ScriptedPort, MemoryThatIsNotMappedIsRefused) {
    up();
    alignas(64) static std::array<std::uint8_t, 4096> elsewhere{};
    rte_mbuf_ext_shared_info info{};
    info.free_cb = [](void*, void*) {};
    rte_mbuf_ext_refcnt_set(&info, 1);
    rte_mbuf* mbuf = rte_pktmbuf_alloc(EthPort::app_pool());
    rte_pktmbuf_attach_extbuf(mbuf, elsewhere.data(), RTE_BAD_IOVA, 4096, &info);
    mbuf->data_len = 64;
    mbuf->pkt_len = 64;
    EXPECT_EQ(rte_eth_tx_burst(port_.id, 0, &mbuf, 1), 1);
    EXPECT_TRUE(device().frames.empty());
    EXPECT_EQ(port_.xstat("tx_refused"), 1U);
    EXPECT_EQ(port_.stats().oerrors, 1U);
    rte_mbuf* nothing = rte_pktmbuf_alloc(EthPort::app_pool());
    EXPECT_EQ(rte_eth_tx_burst(port_.id, 0, &nothing, 1), 1);
    EXPECT_EQ(port_.xstat("tx_refused"), 2U);
}

TEST_F(ScriptedPort, FullTxRingKeepsTheRestWithTheCaller) {
    up();
    device().send = false;
    std::vector<rte_mbuf*> mbufs(300);
    for (auto& mbuf : mbufs) {
        mbuf = EthPort::app_mbuf(60);
    }
    EXPECT_EQ(rte_eth_tx_burst(port_.id, 0, mbufs.data(), 300), 256);
    EXPECT_EQ(rte_eth_tx_burst(port_.id, 0, mbufs.data() + 256, 44), 0);
    EXPECT_EQ(port_.xstat("tx_ring_full"), 44U + 44U);
    EXPECT_EQ(device().pending[0], 256U);
    EXPECT_TRUE(device().oversized_updates.empty());
    rte_pktmbuf_free_bulk(mbufs.data() + 256, 44);
}

TEST_F(ScriptedPort, StopAndStartLoseNoPage) {
    up();
    for (int round = 0; round < 5; ++round) {
        for (int i = 0; i < 50; ++i) {
            ASSERT_TRUE(device().deliver(kGood, 66));
        }
        EXPECT_EQ(receive_and_free(), 32U);
        rte_mbuf* mbuf = EthPort::app_mbuf(60);
        device().send = round % 2 == 0;
        EXPECT_EQ(rte_eth_tx_burst(port_.id, 0, &mbuf, 1), 1);
        ASSERT_EQ(rte_eth_dev_stop(port_.id), 0);
        EXPECT_EQ(port_.xstat("rx_pp_in_flight"), 0U);
        ASSERT_EQ(port_.start(), 0);
        EXPECT_EQ(port_.xstat("rx_pp_in_flight"), 256U);
    }
}

TEST_F(ScriptedPort, CloseWithPagesHeldKeepsTheirMemory) {
    up();
    device().deliver(kGood, 66, 0x77);
    const auto mbufs = receive();
    ASSERT_EQ(mbufs.size(), 1U);
    port_.close();
    EXPECT_EQ(driver_pools().size(), 1U);
    EXPECT_EQ(*rte_pktmbuf_mtod(mbufs[0], const std::uint8_t*), 0x77);
    rte_pktmbuf_free(mbufs[0]);
    up();  // whoever comes next takes the old pool away
    EXPECT_EQ(driver_pools().size(), 1U);
    port_.close();
}

TEST_F(ScriptedPort, FiltersGoWhereTheChipLooks) {
    up();
    EXPECT_EQ(device().at(neta::kMacHigh), 0x02000000U);
    EXPECT_EQ(device().at(neta::kMacLow), 0x0010U);
    EXPECT_EQ(device().at(0x3600), 0x01U);
    rte_ether_addr near{{2, 0, 0, 0, 0, 0x15}};
    EXPECT_EQ(rte_eth_dev_mac_addr_add(port_.id, &near, 0), 0);
    EXPECT_EQ(device().at(0x3604), 0x0100U);
    EXPECT_EQ(rte_eth_dev_mac_addr_remove(port_.id, &near), 0);
    EXPECT_EQ(device().at(0x3604), 0U);
    rte_ether_addr far{{2, 0, 0, 0, 1, 0x10}};
    EXPECT_EQ(rte_eth_dev_mac_addr_add(port_.id, &far, 0), -ENOTSUP);
    std::array<rte_ether_addr, 2> groups = {rte_ether_addr{{0x33, 0x33, 0, 0, 0, 1}},
                                            rte_ether_addr{{1, 0, 0x5e, 0, 0, 1}}};
    EXPECT_EQ(rte_eth_dev_set_mc_addr_list(port_.id, groups.data(), 2), 0);
    EXPECT_EQ(device().at(0x3528), 0x0100U);
    EXPECT_EQ(device().at(0x3400), 0x0100U);
    EXPECT_EQ(rte_eth_allmulticast_enable(port_.id), 0);
    EXPECT_EQ(device().at(0x35fc), 0x01010101U);
    EXPECT_EQ(rte_eth_allmulticast_disable(port_.id), 0);
    EXPECT_EQ(device().at(0x35fc), 0U);
    EXPECT_EQ(device().at(0x3528), 0x0100U);
    EXPECT_EQ(rte_eth_promiscuous_enable(port_.id), 0);
    EXPECT_EQ(device().at(0x2400) & 1U, 1U);
    EXPECT_EQ(device().at(0x3600), 0x01010101U);
    EXPECT_EQ(rte_eth_promiscuous_disable(port_.id), 0);
    EXPECT_EQ(device().at(0x2400), 0x02001000U);
    EXPECT_EQ(device().at(0x3600), 0x01U);
    EXPECT_EQ(rte_eth_dev_default_mac_addr_set(port_.id, &far), 0);
    EXPECT_EQ(device().at(neta::kMacLow), 0x0110U);
}

TEST_F(ScriptedPort, MtuIsCheckedAndReachesTheMac) {
    up();
    const auto max_rx = [&] {
        return 2 * neta::kGmacCtrl0MaxRxSize.get(device().at(neta::kGmacCtrl0));
    };
    EXPECT_EQ(max_rx(), 1522U);
    EXPECT_EQ(rte_eth_dev_set_mtu(port_.id, 3000), 0);
    EXPECT_EQ(max_rx(), 3022U);
    EXPECT_EQ(device().at(neta::kTxMtu), 3018U * 8);
    EXPECT_EQ(device().at(neta::kRxqCmd), 1U);
    EXPECT_EQ(device().at(neta::kTxqCmd), 0xf1U);
    device().deliver(kGood, 6 + 3018);
    EXPECT_EQ(receive_and_free(), 1U);
    EXPECT_EQ(rte_eth_dev_set_mtu(port_.id, page_pool::kFrameBytesMax - 18), 0);
    EXPECT_EQ(rte_eth_dev_set_mtu(port_.id, page_pool::kFrameBytesMax - 17), -EINVAL);
    EXPECT_EQ(rte_eth_dev_set_mtu(port_.id, 60), -EINVAL);
}

TEST_F(ScriptedPort, LinkIsForcedAndReported) {
    up();
    rte_eth_link link{};
    EXPECT_EQ(rte_eth_link_get_nowait(port_.id, &link), 0);
    EXPECT_EQ(link.link_status, RTE_ETH_LINK_UP);
    EXPECT_EQ(link.link_speed, RTE_ETH_SPEED_NUM_1G);
    EXPECT_EQ(rte_eth_dev_set_link_down(port_.id), 0);
    EXPECT_EQ(rte_eth_link_get_nowait(port_.id, &link), 0);
    EXPECT_EQ(link.link_status, RTE_ETH_LINK_DOWN);
    EXPECT_EQ(rte_eth_dev_set_link_up(port_.id), 0);
    EXPECT_EQ(rte_eth_link_get_nowait(port_.id, &link), 0);
    EXPECT_EQ(link.link_status, RTE_ETH_LINK_UP);
}

TEST_F(ScriptedPort, ProbeRefusesWrongInputAndLeavesNothing) {
    for (const char* args :
         {"device=model,colour=red", "device=model,device=model", "pool=many", "pool=100",
          "mac=01:00:00:00:00:00", "mac=x", "windows=shut", "device=tape", "device=user:/nowhere",
          "device=platform:no.such.device"}) {
        EXPECT_LT(port_.plug("net_neta0", args), 0) << args;
        EXPECT_EQ(vfio::process_dma_space().ranges(), 0U) << args;
        EXPECT_EQ(rte_eth_dev_count_avail(), 0) << args;
    }
    ScriptedDevice::absent = true;
    EXPECT_LT(port_.plug("net_neta0", "device=model"), 0);
    ScriptedDevice::absent = false;
    EXPECT_LT(port_.plug("net_neta0", "xdp=/no/such/object.o"), 0);
}

TEST_F(ScriptedPort, OneWindowIsOpenedOrThoseOfOthersAreKept) {
    const std::map<std::uint32_t, std::uint32_t> of_others = {
        {neta::win_base(0), 0x00000e00}, {neta::win_size(0), 0x1fff0000},
        {neta::win_base(1), 0x20000d00}, {neta::win_size(1), 0x1fff0000},
        {neta::kBaseAddrEnable, 0x3c},   {neta::kAccessProtect, 0xf},
    };
    ScriptedDevice::power_on = of_others;
    up();
    EXPECT_EQ(device().at(neta::win_base(0)), 0U);
    EXPECT_EQ(device().at(neta::win_size(0)), neta::kWinSizeFull);
    EXPECT_EQ(device().at(neta::win_size(1)), 0U);
    EXPECT_EQ(device().at(neta::kBaseAddrEnable), neta::kBaseAddrEnableWindow0);
    EXPECT_EQ(device().at(neta::kAccessProtect), neta::kAccessProtectWindow0);
    port_.close();
    up(",windows=keep");
    for (const auto& [offset, value] : of_others) {
        EXPECT_EQ(device().at(offset), value) << std::hex << offset;
    }
    port_.close();
    for (const auto& [closed, access] : {std::pair{0x3fU, 0xfffU}, std::pair{0x3eU, 0x1U}}) {
        ScriptedDevice::power_on = {{neta::kBaseAddrEnable, closed},
                                    {neta::kAccessProtect, access}};
        EXPECT_EQ(port_.plug("net_neta0", "device=model,windows=keep"), -ENXIO);
        EXPECT_EQ(rte_eth_dev_count_avail(), 0);
    }
}

TEST_F(ScriptedPort, QueueSetupRefusesASmallPoolAndOddRings) {
    ASSERT_EQ(port_.plug("net_neta0", "pool=300"), 0);
    EXPECT_EQ(port_.configure(1, 1, 256, 256), -EINVAL);  // 256 + 192 pages
    EXPECT_EQ(port_.configure(1, 1, 64, 64), 0);
    EXPECT_EQ(port_.configure(1, 1, 65, 64), -EINVAL);
    EXPECT_EQ(port_.configure(1, 5, 64, 64), -EINVAL);
}

}  // namespace
}  // namespace crema::test
