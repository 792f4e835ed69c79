// SPDX-License-Identifier: BSD-3-Clause
//
// Checksum offloads as the device sees them: command words, and software beyond the chip's limit.
#include <gtest/gtest.h>
#include <string>
#include <vector>

#include "drivers/net/neta/offloads.h"
#include "tests/driver/scripted_port.h"
#include "tests/driver/sums.h"

namespace crema::test {
namespace {

class ScriptedOffloads : public ScriptedPort {
  protected:
    void up_with_sums(const std::string& more = "") {
        port_.conf.txmode.offloads = neta_pmd::kTxSumOffloads | RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
        up(more);
    }

    /// Commands of the descriptors that `mbuf` became.
    std::vector<std::uint32_t> commands_of(rte_mbuf* mbuf) {
        device().commands.clear();
        EXPECT_EQ(rte_eth_tx_burst(port_.id, 0, &mbuf, 1), 1);
        return device().commands;
    }
};

using Words = std::vector<std::uint32_t>;

TEST_F(ScriptedOffloads, CommandWordsSayWhatTheChipHasToSum) {
    up_with_sums();
    const Bytes payload = filler(100);
    const SumCase tcp4{.right = frame_of(kIpv4, ipv4(kTcp, tcp(1, 2, payload))), .flags = kIpv4Tcp};
    EXPECT_EQ(commands_of(request_of(tcp4)), (Words{0x403c050e}));
    EXPECT_EQ(commands_of(request_of(
                  {.right = frame_of(kIpv4, ipv4(kUdp, udp(1, 2, payload))), .flags = kIpv4Udp})),
              (Words{0x403d050e}));
    EXPECT_EQ(commands_of(request_of(
                  {.right = frame_of(kVlan, vlan(1, kIpv4, ipv4(kTcp, tcp(1, 2, payload)))),
                   .l2_bytes = 18,
                   .flags = kIpv4Tcp})),
              (Words{0x403c0512}));
    EXPECT_EQ(commands_of(request_of({.right = frame_of(kIpv4, ipv4(kIcmp, icmp(8))),
                                      .flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM})),
              (Words{0x803c050e}));
    EXPECT_EQ(commands_of(mbuf_of(tcp4.right)), (Words{0x80380000}));
    EXPECT_EQ(commands_of(request_of(tcp4, 60)), (Words{0x4024050e, 0x00180000}));
}

TEST_F(ScriptedOffloads, SumsBeyondTheLimitNeverReachTheChip) {
    up_with_sums(",tx-csum-limit=600");
    for (const std::size_t bytes : {600U, 601U}) {
        const SumCase one{.right = frame_of(kIpv4, ipv4(kTcp, tcp(1, 2, filler(bytes - 54)))),
                          .flags = kIpv4Tcp};
        ASSERT_EQ(one.right.size(), bytes);
        const bool chip = bytes == 600;
        EXPECT_EQ(commands_of(request_of(one)), (Words{chip ? 0x403c050e : 0x80380000}));
        EXPECT_EQ(device().frames.back(), chip ? spoiled(one) : one.right);
    }
    EXPECT_EQ(port_.xstat("tx_csum_software"), 1U);
    port_.close();
    for (const char* wrong : {"tx-csum-limit=9801", "tx-csum-limit=many", "tx-csum-limit="}) {
        EXPECT_LT(port_.plug("net_neta0", wrong), 0) << wrong;
    }
}

TEST_F(ScriptedOffloads, PortWithoutOffloadsLeavesHeadersAlone) {
    up();
    const SumCase one{.right = frame_of(kIpv4, ipv4(kTcp, tcp(1, 2, filler(100)))),
                      .flags = kIpv4Tcp};
    EXPECT_EQ(commands_of(request_of(one)), (Words{0x80380000}));
    EXPECT_EQ(device().frames.back(), spoiled(one));
    rte_mbuf* mbuf = request_of(one);
    EXPECT_EQ(rte_eth_tx_prepare(port_.id, 0, &mbuf, 1), 1);  // which does it in software
    EXPECT_EQ(commands_of(mbuf), (Words{0x80380000}));
    EXPECT_EQ(device().frames.back(), one.right);
}

}  // namespace
}  // namespace crema::test
