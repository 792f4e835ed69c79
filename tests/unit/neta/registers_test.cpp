// SPDX-License-Identifier: BSD-3-Clause
//
// The chip's numbers against the worked examples of the hardware page: filter hash vectors
// (2.3.4), composed register values (2.3.4, 5.3, appendix A and C), descriptor words (3.2, 3.5).
#include "lib/neta/registers.h"

#include <gtest/gtest.h>

#include "lib/neta/crc8.h"
#include "lib/neta/descriptors.h"

namespace crema::neta {
namespace {

struct HashCase {
    MacAddress address;
    std::uint8_t hash;
    std::uint32_t offset;  // register and byte of the entry
    unsigned byte;
};

TEST(NetaFilterHash, MatchesTheVectorsOfThePage) {
    const HashCase cases[] = {
        {{0x33, 0x33, 0, 0, 0, 0x01}, 0x29, 0x3528, 1},
        {{0x33, 0x33, 0, 0, 0, 0x02}, 0x20, 0x3520, 0},
        {{0x33, 0x33, 0xff, 0x12, 0x34, 0x56}, 0x83, 0x3580, 3},
        {{0x01, 0x80, 0xc2, 0, 0, 0}, 0x38, 0x3538, 0},
        {{0x01, 0x80, 0xc2, 0, 0, 0x0e}, 0x12, 0x3510, 2},
        {{0x01, 0x1b, 0x19, 0, 0, 0}, 0x65, 0x3564, 1},
        {{0x01, 0x00, 0x5e, 0, 0x01, 0x01}, 0x03, 0x3500, 3},
        {{0x01, 0x00, 0x5e, 0x7f, 0xff, 0xfa}, 0x0e, 0x350c, 2},
    };
    for (const HashCase& one : cases) {
        const auto hash = da_crc8(one.address.data());
        EXPECT_EQ(hash, one.hash);
        EXPECT_EQ(da_entry_register(kDaOtherMcast, hash), one.offset);
        EXPECT_EQ(da_entry_shift(hash), 8 * one.byte);
        EXPECT_FALSE(da_is_special(one.address.data()));
    }
}

TEST(NetaFilterHash, KnowsTheSpecialMulticastRange) {
    const MacAddress all_hosts{0x01, 0x00, 0x5e, 0, 0, 0x01};
    ASSERT_TRUE(da_is_special(all_hosts.data()));
    EXPECT_EQ(da_entry_register(kDaSpecialMcast, all_hosts[5]), 0x3400U);
    EXPECT_EQ(da_entry_shift(all_hosts[5]), 8U);
}

TEST(NetaRegisters, ComposeTheValuesOfThePage) {
    EXPECT_EQ(kRxqSizeBufSize.of(2048 / 8) | kRxqSizeDescNum.of(512), 0x08000200U);
    EXPECT_EQ(port_config_default(0), 0x02001000U);
    EXPECT_EQ(port_config_default(1), 0x02491012U);
    EXPECT_EQ(port_config_default(7), 0x03ff107eU);
    EXPECT_EQ(kPortConfigRxqDef.of(1) | kPortConfigRxqArp.of(1) | kPortConfigRxqTcp.of(1) |
                  kPortConfigRxqUdp.of(1) | kPortConfigRxqBpdu.of(1),
              0x00490012U);
    EXPECT_EQ(kGmacCtrl0MibEn | kGmacCtrl0PortEn | kGmacCtrl0MaxRxSize.of(1522 / 2), 0x8be5U);
    EXPECT_EQ((0x8000U & ~kGmacAutonegForceClear) | kGmacAutonegForce1000Full, 0x9042U);
    EXPECT_EQ(kRxqStatusNonOccupied.of(509) | kRxqStatusOccupied.of(3), 0x01fd0003U);
    EXPECT_EQ(kRxqUpdateNew.of(3) | kRxqUpdateProcessed.of(3), 0x00030003U);
}

TEST(NetaRegisters, StrideByQueueAndWindow) {
    EXPECT_EQ(rxq_status(7), 0x14fcU);
    EXPECT_EQ(rxq_index(7), 0x153cU);
    EXPECT_EQ(txq_sent(7), 0x3cbcU);
    EXPECT_EQ(win_size(5), 0x222cU);
    EXPECT_EQ(win_remap(3), 0x228cU);
    EXPECT_EQ(txq_token_cfg(7), 0x2774U);
    EXPECT_EQ(dscp_to_rxq(46 / 10), 0x2430U);
}

TEST(NetaField, CutsAndReplaces) {
    constexpr Field kMiddle{4, 3};
    EXPECT_EQ(kMiddle.mask(), 0x70U);
    EXPECT_EQ(kMiddle.of(9), 0x10U);
    EXPECT_EQ(kMiddle.set(0xffffffffU, 2), 0xffffffafU);
    EXPECT_EQ(kMiddle.get(0x50U), 5U);
    EXPECT_EQ((Field{0, 32}.mask()), 0xffffffffU);
}

TEST(NetaDescriptors, StatusWordsOfThePage) {
    const std::uint32_t arp = kRxFirst | kRxLast | kRxEthernet2 | kRxL4Type.of(kRxL4Other);
    EXPECT_EQ(arp, 0x0cc00000U);
    const std::uint32_t udp = kRxFirst | kRxLast | kRxEthernet2 | kRxL4Type.of(kRxL4Udp) |
                              kRxL3Type.of(kRxL3Ipv4Good) | kRxL4CsumOk;
    EXPECT_EQ(udp, 0x4fa00000U);
    EXPECT_EQ(udp | kRxError | kRxErrorCode.of(kRxErrorCrc), 0x4fa10000U);
}

TEST(NetaDescriptors, TxCommandsOfThePage) {
    EXPECT_EQ(kTxL4Csum.of(kTxL4CsumFull) | kTxFirst | kTxLast | kTxZeroPad | kTxIpCsum |
                  kTxIpHlen.of(5) | kTxL3Offset.of(14),
              0x403c050eU);
    EXPECT_EQ(kTxL4Csum.of(kTxL4CsumFull) | kTxFirst | kTxLast | kTxZeroPad | kTxL3Ipv6 |
                  kTxIpHlen.of(10) | kTxL3Offset.of(14),
              0x403a0a0eU);
}

}  // namespace
}  // namespace crema::neta
