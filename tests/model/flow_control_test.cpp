// SPDX-License-Identifier: BSD-3-Clause
//
// Pause frames: obeyed for the time they ask for, sent when descriptors run out, never delivered.
// Hardware page 2.3.4, 2.3.5, 2.3.6, 2.3.13.
#include <chrono>
#include <thread>

#include "lib/neta/crc8.h"
#include "tests/model/port.h"

namespace crema::neta::model {
namespace {

std::string unique(const char* name) {
    return std::string(name) + std::to_string(::getpid());
}

Bytes pause_frame(std::uint16_t quanta) {
    Bytes frame(60, 0);
    const Bytes head{0x01, 0x80, 0xc2, 0, 0, 1, 2, 0, 0, 0, 0, 9, 0x88, 0x08, 0, 1};
    std::copy(head.begin(), head.end(), frame.begin());
    frame[16] = static_cast<std::uint8_t>(quanta >> 8U);
    frame[17] = static_cast<std::uint8_t>(quanta);
    return frame;
}

// Two ports on one cable. `quiet_` has flow control and is what the tests look at.
class ModelFlowControl : public ::testing::Test {
  protected:
    ModelFlowControl() : quiet_(options("net_neta0")), loud_(options("net_neta1")) {
        quiet_.start();
        loud_.start();
        loud_.promiscuous();
        quiet_.write(kGmacAutoneg, quiet_.read(kGmacAutoneg) | kGmacAutonegFlowCtrl);
    }

    static PortOptions options(const char* instance) {
        PortOptions chosen;
        chosen.wire = "pair:" + unique("pause");
        chosen.instance = instance;
        chosen.rx_descriptors = 16;
        return chosen;
    }

    // Lets the port look at its wire.
    static std::uint32_t look(const Port& port) { return port.occupied(0); }

    [[nodiscard]] std::uint64_t counted(const Port& port, std::uint32_t mib) const {
        return port.device->chip().mib.peek(mib_index(mib));
    }

    [[nodiscard]] std::uint32_t pending() const {
        return kTxqStatusPending.get(quiet_.read(txq_status(0)));
    }

    Port quiet_;
    Port loud_;
};

TEST_F(ModelFlowControl, TransmitterWaitsAsLongAsItIsTold) {
    loud_.send(pause_frame(0xffff));  // 33.5 ms
    EXPECT_EQ(look(quiet_), 0U) << "not for the application";
    EXPECT_EQ(counted(quiet_, kMibGoodFcRx), 1U);
    EXPECT_EQ(quiet_.read(kGmacStatus) & kGmacStatusRxPaused, kGmacStatusRxPaused);
    const auto start = std::chrono::steady_clock::now();
    quiet_.send(make_frame(broadcast, 0x0806));
    EXPECT_EQ(pending(), 1U);
    EXPECT_EQ(look(loud_), 0U);
    while (pending() != 0) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    const auto waited = std::chrono::steady_clock::now() - start;
    EXPECT_GE(waited, std::chrono::milliseconds(25));
    EXPECT_EQ(look(loud_), 1U);
    EXPECT_EQ(quiet_.read(kGmacStatus) & kGmacStatusRxPaused, 0U);
}

TEST_F(ModelFlowControl, PauseOfNothingEndsIt) {
    loud_.send(pause_frame(0xffff));
    look(quiet_);
    quiet_.send(make_frame(broadcast, 0x0806));
    EXPECT_EQ(pending(), 1U);
    loud_.send(pause_frame(0));
    look(quiet_);
    EXPECT_EQ(pending(), 0U);
    EXPECT_EQ(look(loud_), 1U);
}

TEST_F(ModelFlowControl, LinkThatGoesTakesThePauseAlong) {
    loud_.send(pause_frame(0xffff));
    look(quiet_);
    quiet_.send(make_frame(broadcast, 0x0806));
    ASSERT_EQ(pending(), 1U);
    const std::uint32_t up = quiet_.read(kGmacAutoneg);
    quiet_.write(kGmacAutoneg, kGmacAutonegForceLinkDown);
    EXPECT_EQ(pending(), 0U);
    EXPECT_EQ(quiet_.read(kTxDropCnt), 1U);
    quiet_.write(kGmacAutoneg, up);
    quiet_.send(make_frame(broadcast, 0x0806));
    EXPECT_EQ(pending(), 0U);
}

TEST_F(ModelFlowControl, WhoDoesNotControlFlowDoesNotWait) {
    quiet_.link_up();
    loud_.send(pause_frame(0xffff));
    EXPECT_EQ(look(quiet_), 0U) << "and is not shown them either";
    quiet_.send(make_frame(broadcast, 0x0806));
    EXPECT_EQ(pending(), 0U);
    Bytes other = pause_frame(1);
    other[15] = 2;  // another opcode is a frame like others
    loud_.send(other);
    EXPECT_EQ(look(quiet_), 0U) << "filtered: no table entry";
    EXPECT_EQ(counted(quiet_, kMibUnrecMacCtrlRx), 1U);
}

TEST_F(ModelFlowControl, PartnerIsAskedWhenDescriptorsRunLow) {
    quiet_.write(rxq_threshold(0), kRxqThresholdNonOccupied.of(8));
    quiet_.write(fc_timer(2), 0x1234);
    for (int i = 0; i < 8; ++i) {
        loud_.send(make_frame(broadcast, 0x0806));
    }
    EXPECT_EQ(look(quiet_), 8U);
    EXPECT_EQ(look(loud_), 0U) << "8 of 16 are free";
    loud_.send(make_frame(broadcast, 0x0806));
    EXPECT_EQ(look(quiet_), 9U);
    EXPECT_EQ(counted(quiet_, kMibFcTx), 1U);
    EXPECT_EQ(quiet_.read(kGmacStatus) & kGmacStatusTxPausing, kGmacStatusTxPausing);
    EXPECT_EQ(counted(quiet_, kMibGoodFramesTx), 0U) << "no frame of a queue";
    look(loud_);
    EXPECT_EQ(counted(loud_, kMibGoodFcRx), 1U);
    quiet_.write(rxq_status_update(0), kRxqUpdateProcessed.of(2) | kRxqUpdateNew.of(2));
    look(quiet_);
    EXPECT_EQ(counted(quiet_, kMibFcTx), 2U) << "told that it is over";
    EXPECT_EQ(quiet_.read(kGmacStatus) & kGmacStatusTxPausing, 0U);
    look(loud_);
    EXPECT_EQ(counted(loud_, kMibGoodFcRx), 2U);
}

// Seen as a tagged frame it is delivered.
TEST_F(ModelFlowControl, FrameThatAsksHasTheAddressAndTimeOfTheRegisters) {
    const Bytes to{0x01, 0x80, 0xc2, 0, 0, 1};
    loud_.write(kVlanEthertype, 0x8808);
    loud_.write(da_entry_register(kDaOtherMcast, da_crc8(to.data())), 0x01010101);
    quiet_.write(kMacHigh, 0x02112233);
    quiet_.write(kMacLow, 0x4455);
    quiet_.write(fc_timer(2), 0x1234);
    quiet_.write(kPortSerialCtrl0, kPortSerialCtrl0ForceFc.of(kForceFcPause));
    look(quiet_);
    ASSERT_EQ(look(loud_), 1U);
    Bytes wanted(60, 0);
    const Bytes head{0x01, 0x80, 0xc2, 0,    0,    1, 2, 0x11, 0x22,
                     0x33, 0x44, 0x55, 0x88, 0x08, 0, 1, 0x12, 0x34};
    std::copy(head.begin(), head.end(), wanted.begin());
    EXPECT_EQ(loud_.rx_ring(0)[0].data_size, 66);
    EXPECT_EQ(std::memcmp(loud_.rx_buffer(0, 0) + 2, wanted.data(), 60), 0);
}

TEST_F(ModelFlowControl, WhoHearsItselfWaitsForItself) {
    quiet_.write(fc_timer(2), 0x1234);
    quiet_.write(kGmacCtrl1, kGmacCtrl1GmiiLoopback);
    quiet_.write(kPortSerialCtrl0, kPortSerialCtrl0ForceFc.of(kForceFcPause));
    look(quiet_);
    look(quiet_);
    EXPECT_EQ(counted(quiet_, kMibGoodFcRx), 1U);
    const auto left = quiet_.device->chip().paused_until_ns.load() - now_ns();
    EXPECT_LE(left, 0x1234 * 512);
    EXPECT_GT(left, 0);
}

TEST_F(ModelFlowControl, AskingIsRepeatedWhileItLasts) {
    quiet_.write(rxq_threshold(0), kRxqThresholdNonOccupied.of(16));
    quiet_.write(fc_timer(2), 2000);  // 1 ms
    loud_.send(make_frame(broadcast, 0x0806));
    look(quiet_);
    look(quiet_);
    EXPECT_EQ(counted(quiet_, kMibFcTx), 1U) << "half of the time is not over";
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    look(quiet_);
    EXPECT_EQ(counted(quiet_, kMibFcTx), 2U);
}

}  // namespace
}  // namespace crema::neta::model
