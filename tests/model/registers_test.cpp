// SPDX-License-Identifier: BSD-3-Clause
//
// Registers of the model: power-on values, access classes, link rules by force, resets,
// clear-on-read, causes as levels. Numbers are those of the hardware page, section 2.3 and 4.6.
#include "tests/model/port.h"

namespace crema::neta::model {
namespace {

TEST(ModelRegisters, PowerOnValues) {
    const Port port;
    EXPECT_EQ(port.read(kPortConfig), 0x02001000U);
    EXPECT_EQ(port.read(kGmacCtrl0), 0x8be4U);
    EXPECT_EQ(port.read(kGmacCtrl2), 0xc040U);
    EXPECT_EQ(port.read(kGmacAutoneg), 0x8000U);
    EXPECT_EQ(port.read(kBaseAddrEnable), 0x3fU);
    EXPECT_EQ(port.read(kAccessProtect), 0xfffU);
    EXPECT_EQ(port.read(kPortStatus), 0x00010100U);
    EXPECT_GE(port.read(kVersion) & 0xffU, 0x10U);
    EXPECT_NE(port.read(kUnitControl) & kUnitControlRamInitDone, 0U);
    EXPECT_EQ(port.read(rxq_status(0)), 0U);
    EXPECT_EQ(port.read(kGmacStatus) & kGmacStatusLinkUp, 0U);
}

TEST(ModelRegisters, MacAddressFollowsTheInstance) {
    const Port first;
    const Port again;
    PortOptions options;
    options.instance = "net_neta1";
    const Port other(options);
    EXPECT_EQ(first.read(kMacHigh) >> 24U, 0x02U) << "locally administered unicast";
    EXPECT_EQ(first.read(kMacHigh), again.read(kMacHigh));
    EXPECT_EQ(first.read(kMacLow), again.read(kMacLow));
    EXPECT_FALSE(first.read(kMacHigh) == other.read(kMacHigh) &&
                 first.read(kMacLow) == other.read(kMacLow));
}

TEST(ModelRegisters, AccessClasses) {
    const Port port;
    port.write(kTxMtu, 0x12345);
    EXPECT_EQ(port.read(kTxMtu), 0x12345U);
    port.write(txq_token_count(3), kTxqTokenCountMax);
    EXPECT_EQ(port.read(txq_token_count(3)), kTxqTokenCountMax);
    port.write(kVersion, 0);
    EXPECT_NE(port.read(kVersion), 0U) << "read only";
    port.write(kGmacStatus, 0xffff);
    EXPECT_EQ(port.read(kGmacStatus) & kGmacStatusLinkUp, 0U) << "read only";
    EXPECT_EQ(port.read(0x3080), 0U);
    EXPECT_EQ(port.device->diagnostics().total(), 0U);
    EXPECT_EQ(port.read(0x0010), 0U);
    port.write(0x0010, 5);
    EXPECT_EQ(port.read(0x0010), 0U);
    EXPECT_EQ(port.read(kRegionBytes), 0U);
    EXPECT_EQ(port.device->diagnostics().count(Diagnostic::unknown_register), 4U);
    EXPECT_NE(port.read(kUnitCause) & kUnitCauseInternalAddr, 0U);
    port.write(kUnitCause, ~kUnitCauseInternalAddr);
    EXPECT_EQ(port.read(kUnitCause), 0U) << "write 0 clears";
}

TEST(ModelRegisters, AccessWithoutRegisterIsToldThreeTimes) {
    const Port port;
    port.write(kUnitMask, kUnitCauseInternalAddr);
    EXPECT_EQ(port.read(kUnitCause), 0U);
    EXPECT_EQ(port.read(0x1a34), 0U);
    EXPECT_EQ(port.read(kPortIntAddrErr), 0x1a34U);
    EXPECT_EQ(port.read(kUnitIntAddrErr), 0x034U) << "nine bits";
    EXPECT_EQ(port.read(kUnitCause), kUnitCauseInternalAddr | kUnitCauseSummary);
    EXPECT_EQ(port.read(kIntrMiscCause), kIntrMiscInternalAddr);
    port.write(kUnitCause, 0);
    EXPECT_EQ(port.read(kUnitCause), 0U);
    port.write(kPortIntAddrErr, 0);
    EXPECT_EQ(port.read(kPortIntAddrErr), 0x1a34U) << "read only";
}

TEST(ModelRegisters, TransmitErrorsShowInTheirSummary) {
    const Port port;
    port.start();
    port.post(0, 0, make_frame(broadcast, 0x0806));
    port.tx_ring(0)[0].buf_addr = 0;
    port.write(txq_update(0), 1);
    EXPECT_NE(port.read(kIntrNewCause) & kIntrTxErrorSummary, 0U);
    EXPECT_NE(port.read(kIntrOldCause) & kIntrTxErrorSummary, 0U);
    port.write(kIntrMiscCause, 0);
    EXPECT_EQ(port.read(kIntrNewCause) & kIntrTxErrorSummary, 0U);
}

TEST(ModelRegisters, MacResetClearsAtOnce) {
    const Port port;
    port.write(kGmacCtrl2, port.read(kGmacCtrl2) | kGmacCtrl2PortReset | kGmacCtrl2RgmiiEn);
    EXPECT_EQ(port.read(kGmacCtrl2), 0xc000U | kGmacCtrl2RgmiiEn);
}

TEST(ModelRegisters, LinkRules) {
    const Port port;
    port.initialise();
    port.link_up();
    EXPECT_EQ(port.read(kGmacAutoneg), 0x9042U);
    EXPECT_EQ(port.read(kGmacStatus), kGmacStatusLinkUp | kGmacStatus1000 | kGmacStatusFullDuplex);
    EXPECT_NE(port.read(kIntrMiscCause) & kIntrMiscLinkChange, 0U);
    port.write(kIntrMiscCause, 0);
    port.write(kGmacAutoneg, kGmacAutonegForceLinkDown);
    EXPECT_EQ(port.read(kGmacStatus) & kGmacStatusLinkUp, 0U);
    EXPECT_NE(port.read(kIntrMiscCause) & kIntrMiscLinkChange, 0U) << "link change is latched";
    port.write(kIntrMiscCause, 0);
    EXPECT_EQ(port.read(kIntrMiscCause), 0U);
    port.write(kGmacAutoneg, kGmacAutonegForceLinkDown | kGmacAutonegForceLinkPass);
    EXPECT_NE(port.read(kGmacStatus) & kGmacStatusLinkUp, 0U) << "both: pass wins";
    port.write(kGmacAutoneg, kGmacAutonegForceLinkPass | kGmacAutonegMiiSpeed);
    EXPECT_EQ(port.read(kGmacStatus), kGmacStatusLinkUp | kGmacStatus100);
    port.write(kGmacAutoneg, 0);
    EXPECT_EQ(port.read(kGmacStatus) & kGmacStatusLinkUp, 0U) << "nobody follows the wire";
    EXPECT_EQ(port.device->diagnostics().total(), 0U);
}

TEST(ModelRegisters, QueueCommands) {
    const Port port;
    port.initialise();
    for (unsigned q = 0; q < 2; ++q) {
        port.write(rxq_size(q), 16);
    }
    port.write(kRxqCmd, 0x03);
    EXPECT_EQ(port.read(kRxqCmd), 0x03U);
    port.write(kRxqCmd, 0x00);
    EXPECT_EQ(port.read(kRxqCmd), 0x03U) << "0 changes nothing";
    port.write(kRxqCmd, 0x0101);
    EXPECT_EQ(port.read(kRxqCmd), 0x02U) << "disable wins";
}

TEST(ModelRegisters, FiveHundredTwelveDescriptorsOfThePage) {
    PortOptions options;
    options.rx_descriptors = 512;
    const Port port(options);
    port.start();
    EXPECT_EQ(port.read(rxq_status(0)), 0x02000000U);
    for (int i = 0; i < 3; ++i) {
        port.post(0, 0, make_frame(broadcast, 0x0806));
        port.write(txq_update(0), 0x00000001);
        port.tx_ring(0)[1] = port.tx_ring(0)[0];
        port.tx_ring(0)[2] = port.tx_ring(0)[0];
    }
    EXPECT_EQ(port.read(rxq_status(0)), 0x01fd0003U);
    port.write(rxq_status_update(0), 0x00030003);
    EXPECT_EQ(port.read(rxq_status(0)), 0x02000000U);
    EXPECT_EQ(port.read(rxq_index(0)), 3U);
    EXPECT_EQ(port.device->diagnostics().total(), 0U);
}

TEST(ModelRegisters, RxResetClearsCountersKeepsConfiguration) {
    Port port;
    port.start();
    port.send(make_frame(broadcast, 0x0806));
    ASSERT_EQ(port.occupied(0), 1U);
    const std::uint32_t base = port.read(rxq_base(0));
    const std::uint32_t size = port.read(rxq_size(0));
    port.write(kRxReset, 1);
    EXPECT_EQ(port.read(rxq_status(0)), 0U);
    EXPECT_EQ(port.read(rxq_index(0)), 0U);
    EXPECT_EQ(port.read(kRxqCmd), 0U);
    EXPECT_EQ(port.read(rxq_base(0)), base);
    EXPECT_EQ(port.read(rxq_size(0)), size);
    port.send(make_frame(broadcast, 0x0806));
    port.write(kRxReset, 0);
    port.give_rx(0, 64);
    port.write(kRxqCmd, 1);
    port.send(make_frame(broadcast, 0x0806));
    EXPECT_GE(port.occupied(0), 1U);
    EXPECT_EQ(port.device->diagnostics().total(), 0U);
}

TEST(ModelRegisters, TxResetClearsCounters) {
    const Port port;
    port.start();
    port.write(kTxqCmd, 0x0100);
    port.post(0, 0, make_frame(broadcast, 0x0806));
    port.write(kTxqCmd, 0x01);
    port.write(txq_update(0), 1);
    ASSERT_EQ(port.read(txq_status(0)), 0x00010000U);
    ASSERT_EQ(port.read(txq_index(0)), 1U);
    EXPECT_EQ(port.read(txq_sent(0)), 0x00010000U);
    port.write(kTxReset, 1);
    EXPECT_EQ(port.read(txq_status(0)), 0U);
    EXPECT_EQ(port.read(txq_index(0)), 0U);
    EXPECT_EQ(port.read(kTxqCmd), 0U);
    port.write(kTxReset, 0);
    EXPECT_EQ(kTxqSizeDescNum.get(port.read(txq_size(0))), 64U);
}

TEST(ModelRegisters, MibClearsOnRead) {
    Port port;
    port.start();
    port.send(make_frame(broadcast, 0x0806, 60));
    port.send(make_frame({0x33, 0x33, 0, 0, 0, 1}, 0x86dd, 200));
    ASSERT_EQ(port.occupied(0), 1U) << "multicast is counted, but filtered";
    EXPECT_EQ(port.read(kMibGoodFramesTx), 2U);
    EXPECT_EQ(port.read(kMibGoodFramesTx), 0U);
    EXPECT_EQ(port.read(kMibGoodOctetsTx), 268U);
    EXPECT_EQ(port.read(kMibGoodOctetsTx + 4), 0U);
    EXPECT_EQ(port.read(kMibGoodOctetsTx), 0U);
    EXPECT_EQ(port.read(kMibGoodOctetsRx), 268U);
    EXPECT_EQ(port.read(kMibGoodFramesRx), 2U);
    EXPECT_EQ(port.read(kMibBcastRx), 1U);
    EXPECT_EQ(port.read(kMibMcastRx), 1U);
    EXPECT_EQ(port.read(kMibBcastTx), 1U);
    EXPECT_EQ(port.read(kMibMcastTx), 1U);
    EXPECT_EQ(port.read(kMibFrames64), 2U) << "both directions";
    EXPECT_EQ(port.read(kMibFrames128To255), 2U);
    EXPECT_EQ(port.read(kMibBcastRx), 0U);
}

TEST(ModelRegisters, MibNeedsItsEnableBit) {
    Port port;
    port.start();
    port.write(kGmacCtrl0, port.read(kGmacCtrl0) & ~kGmacCtrl0MibEn);
    port.send(make_frame(broadcast, 0x0806));
    ASSERT_EQ(port.occupied(0), 1U);
    EXPECT_EQ(port.read(kMibGoodFramesTx), 0U);
}

TEST(ModelRegisters, MibOctetsCarryIntoTheHighWord) {
    Mib mib;
    MibDelta delta;
    delta.add(mib_index(kMibGoodOctetsRx), 0x1'2345'6789);
    EXPECT_FALSE(mib.apply(delta, true));
    EXPECT_EQ(mib.read_clear(kMibGoodOctetsRx), 0x23456789U);
    EXPECT_EQ(mib.read_clear(kMibGoodOctetsRx + 4), 1U);
    EXPECT_EQ(mib.read_clear(kMibGoodOctetsRx + 4), 0U);
}

TEST(ModelRegisters, MibCountersWrapAndSaySo) {
    Mib mib;
    MibDelta delta;
    delta.add(mib_index(kMibGoodFramesRx), 0xffffffff);
    EXPECT_FALSE(mib.apply(delta, true));
    delta.add(mib_index(kMibGoodFramesRx), 3);
    EXPECT_TRUE(mib.apply(delta, true));
    EXPECT_EQ(mib.read_clear(kMibGoodFramesRx), 2U);
}

TEST(ModelRegisters, QueueCausesAreLevels) {
    Port port;
    port.start();
    port.write(rxq_threshold(0), kRxqThresholdOccupied.of(2));
    port.write(rxq_time_coal(0), kRxqTimeCoalCycles.max());  // 84 ms
    port.write(kIntrNewMask, kIntrRxq.of(1));
    port.send(make_frame(broadcast, 0x0806));
    EXPECT_EQ(kIntrRxq.get(port.read(kIntrNewCause)), 0U) << "one of two, time not up";
    port.send(make_frame(broadcast, 0x0806));
    EXPECT_EQ(kIntrRxq.get(port.read(kIntrNewCause)), 1U);
    port.write(kIntrNewCause, 0);
    EXPECT_EQ(kIntrRxq.get(port.read(kIntrNewCause)), 1U) << "a level";
    EXPECT_EQ(kIntrRxq.get(port.read(kIntrOldCause)), 1U);
    EXPECT_NE(port.read(kIntrOldCause) & kIntrOtherSummary, 0U);
    port.write(rxq_status_update(0), kRxqUpdateProcessed.of(2));
    EXPECT_EQ(kIntrRxq.get(port.read(kIntrNewCause)), 0U);
    EXPECT_EQ(kIntrRxq.get(port.read(kIntrOldCause)), 1U) << "latched";
    port.write(kIntrOldCause, 0);
    EXPECT_EQ(kIntrRxq.get(port.read(kIntrOldCause)), 0U);
    port.write(rxq_time_coal(0), 0);
    port.send(make_frame(broadcast, 0x0806));
    EXPECT_EQ(kIntrRxq.get(port.read(kIntrNewCause)), 1U) << "no time: at once";
    port.write(rxq_threshold(0), kRxqThresholdNonOccupied.of(63));
    EXPECT_EQ(kIntrRxqFree.get(port.read(kIntrNewCause)), 1U) << "61 free, 63 wanted";
    port.write(cpu_map(0), 0);
    EXPECT_EQ(port.read(kIntrNewCause) & 0xffffffU, 0U) << "no CPU has the queue";
}

}  // namespace
}  // namespace crema::neta::model
