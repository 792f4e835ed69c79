// SPDX-License-Identifier: BSD-3-Clause
//
// Jumbo frames on the model's loop: every length around the ends of buffers arrives byte for byte,
// pages in = pages out, and programs and frames of several buffers exclude each other.
#include <algorithm>
#include <gtest/gtest.h>
#include <random>
#include <string>
#include <vector>

#include "drivers/net/neta/offloads.h"
#include "lib/page_pool/page_pool.h"
#include "lib/xdp/hook.h"
#include "tests/driver/model_port.h"
#include "tests/driver/sums.h"

namespace crema::test {
namespace {

constexpr std::uint32_t kBuffer = page_pool::kPieceDmaBytes;
constexpr std::uint16_t kMtuMost = 16360;
constexpr std::uint32_t kFrameMost = kMtuMost + 18;

Bytes jumbo(std::size_t bytes, std::uint32_t seed) {
    std::mt19937 dice(seed);
    Bytes frame(bytes);
    std::generate(frame.begin(), frame.end(), [&] { return static_cast<std::uint8_t>(dice()); });
    std::memcpy(frame.data(), &kOwn, 6);
    frame.at(12) = 0x88;
    frame.at(13) = 0xb5;
    return frame;
}

/// In segments of up to 2000 bytes.
rte_mbuf* long_mbuf(const Bytes& bytes) {
    rte_mbuf* first = nullptr;
    for (std::size_t at = 0; at < bytes.size(); at += 2000) {
        const std::size_t n = std::min<std::size_t>(2000, bytes.size() - at);
        rte_mbuf* segment = EthPort::app_mbuf(static_cast<std::uint16_t>(n));
        std::memcpy(rte_pktmbuf_mtod(segment, std::uint8_t*), &bytes[at], n);
        if (first == nullptr) {
            first = segment;
        } else {
            EXPECT_EQ(rte_pktmbuf_chain(first, segment), 0);
        }
    }
    return first;
}

class ModelScatter : public PortOnModel {
  protected:
    void up_jumbo(std::uint16_t mtu = kMtuMost, std::uint64_t more = 0) {
        port_.conf.rxmode.offloads = RTE_ETH_RX_OFFLOAD_SCATTER | more;
        port_.conf.txmode.offloads = RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
        port_.conf.rxmode.mtu = mtu;
        up("loop");
    }
};

TEST_F(ModelScatter, EveryLengthArrivesWhole) {
    up_jumbo();
    std::vector<std::uint32_t> lengths = {60, 1514, kFrameMost - 1, kFrameMost};
    for (std::uint32_t buffers = 1; buffers <= 4; ++buffers) {
        for (std::uint32_t around = 0; around < 12; ++around) {
            lengths.push_back(buffers * kBuffer + around - 8);
        }
    }
    for (const std::uint32_t length : lengths) {
        SCOPED_TRACE(length);
        const Bytes frame = jumbo(length, length);
        ASSERT_TRUE(send(port_, long_mbuf(frame)));
        const auto mbufs = receive(port_);
        ASSERT_EQ(mbufs.size(), 1U);
        EXPECT_EQ(mbufs[0]->pkt_len, length);
        EXPECT_EQ(mbufs[0]->nb_segs, (length + 2 + kBuffer - 1) / kBuffer);
        EXPECT_EQ(bytes_of(mbufs[0]), frame);
        rte_pktmbuf_free(mbufs[0]);
    }
    EXPECT_EQ(port_.stats().ierrors, 0U);
    rte_eth_rxq_info info{};
    ASSERT_EQ(rte_eth_rx_queue_info_get(port_.id, 0, &info), 0);
    EXPECT_EQ(info.scattered_rx, 1);
}

TEST_F(ModelScatter, ChainsGoRoundInTheirPages) {
    up_jumbo();
    std::vector<Bytes> frames;
    std::mt19937 dice(7);
    for (std::uint32_t i = 0; i < 24; ++i) {
        frames.push_back(jumbo(60 + dice() % (kFrameMost - 60), i));
        ASSERT_TRUE(send(port_, long_mbuf(frames.back())));
        rte_eth_tx_done_cleanup(port_.id, 0, 0);
    }
    std::size_t next = 0;
    for (int seen = 0; seen < 5000;) {
        auto mbufs = receive(port_);
        ASSERT_FALSE(mbufs.empty());
        for (rte_mbuf* mbuf : mbufs) {
            if (seen % 50 == 0) {
                ASSERT_EQ(bytes_of(mbuf), frames.at(next));
            }
            ASSERT_EQ(mbuf->pkt_len, frames.at(next).size());
            next = (next + 1) % frames.size();
            ++seen;
        }
        ASSERT_EQ(
            rte_eth_tx_burst(port_.id, 0, mbufs.data(), static_cast<std::uint16_t>(mbufs.size())),
            mbufs.size());
        rte_eth_tx_done_cleanup(port_.id, 0, 0);
    }
    EXPECT_EQ(receive_and_free(port_), frames.size());
    EXPECT_EQ(port_.stats().ierrors, 0U);
    EXPECT_EQ(port_.stats().imissed, 0U);
}

TEST_F(ModelScatter, LimitFollowsTheMtuWhileRunning) {
    up_jumbo(9000);
    ASSERT_TRUE(send(port_, long_mbuf(jumbo(9018, 1))));
    EXPECT_EQ(receive_and_free(port_), 1U);
    ASSERT_TRUE(send(port_, long_mbuf(jumbo(9100, 1))));
    EXPECT_EQ(receive_and_free(port_), 0U);
    EXPECT_EQ(port_.xstat("rx_error_too_long"), 1U);
    EXPECT_EQ(port_.stats().ierrors, 1U);
    ASSERT_EQ(rte_eth_dev_set_mtu(port_.id, 1500), 0);
    ASSERT_TRUE(send(port_, long_mbuf(jumbo(4000, 1))));
    EXPECT_EQ(receive_and_free(port_), 0U);
    ASSERT_EQ(rte_eth_dev_set_mtu(port_.id, kMtuMost), 0);
    ASSERT_TRUE(send(port_, long_mbuf(jumbo(kFrameMost, 1))));
    EXPECT_EQ(receive_and_free(port_), 1U);
    EXPECT_LT(rte_eth_dev_set_mtu(port_.id, kMtuMost + 1), 0);
}

TEST_F(ModelScatter, LargeMtuNeedsTheOffload) {
    up("loop");
    EXPECT_EQ(rte_eth_dev_set_mtu(port_.id, page_pool::kFrameBytesMax - 18), 0);
    EXPECT_EQ(rte_eth_dev_set_mtu(port_.id, page_pool::kFrameBytesMax - 17), -EINVAL);
}

TEST_F(ModelScatter, ProgramsWithoutFragsSupportAndLargeMtusExcludeEachOther) {
    constexpr std::uint16_t kMost = page_pool::kXdpFrameBytesMax - 18;
    up_jumbo(kMost + 1);
    const xdp::Port* port = xdp::port_by_ifindex(xdp::ifindex_of(port_.id));
    ASSERT_NE(port, nullptr);
    const auto refused = port->ops->attach_check(port->port, false);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, EOPNOTSUPP);
    EXPECT_NE(refused.error().message.find("lower the MTU"), std::string::npos);
    EXPECT_TRUE(port->ops->attach_check(port->port, true));
    ASSERT_EQ(rte_eth_dev_set_mtu(port_.id, kMtuMost), 0);
    EXPECT_TRUE(port->ops->attach_check(port->port, true));
    const std::string object = std::string(CREMA_BPF_FOLDER) + "/pass.bpf.o";
    EXPECT_FALSE(xdp::attach_object(port_.id, object).has_value());
    ASSERT_EQ(rte_eth_dev_set_mtu(port_.id, kMost), 0);
    ASSERT_TRUE(xdp::attach_object(port_.id, object).has_value());
    EXPECT_EQ(rte_eth_dev_set_mtu(port_.id, kMost + 1), -EINVAL);
    ASSERT_TRUE(send(port_, long_mbuf(jumbo(kMost, 1))));
    EXPECT_EQ(receive_and_free(port_), 1U);
    EXPECT_EQ(port_.xstat("rx_xdp_pass"), 1U);
}

TEST_F(ModelScatter, LongFramesAreDescribedToo) {
    up_jumbo(9000, neta_pmd::kRxSumOffloads);
    const Bytes frame = frame_of(kIpv4, ipv4(kTcp, tcp(1, 2, filler(8000))));
    ASSERT_TRUE(send(port_, long_mbuf(frame)));
    const auto mbufs = receive(port_);
    ASSERT_EQ(mbufs.size(), 1U);
    EXPECT_EQ(bytes_of(mbufs[0]), frame);
    EXPECT_EQ(mbufs[0]->ol_flags, RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD);
    EXPECT_EQ(mbufs[0]->packet_type,
              RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV4_EXT_UNKNOWN | RTE_PTYPE_L4_TCP);
    rte_pktmbuf_free(mbufs[0]);
}

}  // namespace
}  // namespace crema::test
