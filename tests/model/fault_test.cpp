// SPDX-License-Identifier: BSD-3-Clause
//
// Drivers with bugs, or hostile ones: the model says what was wrong and never reads or writes
// memory it was not given. Run under ASan and UBSan this is where the engines' bounds are proved.
#include <random>

#include "tests/model/port.h"

namespace crema::neta::model {
namespace {

std::uint64_t count(const Port& port, Diagnostic kind) {
    return port.device->diagnostics().count(kind);
}

TEST(ModelFault, CounterExcessSaturates) {
    const Port port;
    port.start();
    port.write(rxq_status_update(0), kRxqUpdateProcessed.of(5));
    EXPECT_EQ(count(port, Diagnostic::rx_processed_excess), 1U);
    EXPECT_EQ(port.read(rxq_status(0)), 0x00400000U) << "occupied stays 0";
    port.write(rxq_status_update(0), kRxqUpdateNew.of(1));
    EXPECT_EQ(count(port, Diagnostic::rx_overcommitted), 1U);
    for (int i = 0; i < 80; ++i) {
        port.write(rxq_status_update(0), kRxqUpdateNew.of(255));
    }
    EXPECT_EQ(port.read(rxq_status(0)), kRingMax << 16U) << "saturates";
    EXPECT_GT(count(port, Diagnostic::counter_overflow), 0U);
    port.write(txq_update(0), kTxqUpdateDecSent.of(1));
    EXPECT_EQ(count(port, Diagnostic::tx_dec_sent_excess), 1U);
    EXPECT_EQ(port.read(txq_status(0)), 0U);
}

TEST(ModelFault, ReservedBitsOfUpdates) {
    const Port port;
    port.start();
    port.write(rxq_status_update(0), 0x0100);
    port.write(txq_update(0), 0x01000000);
    EXPECT_EQ(count(port, Diagnostic::update_reserved_bits), 2U);
}

TEST(ModelFault, RingOfSizeZero) {
    Port port;
    port.start();
    port.write(kRxqCmd, 0x0100);
    port.write(kTxqCmd, 0x0100);
    port.write(rxq_size(0), 0);
    port.write(txq_size(0), 0);
    port.write(kRxqCmd, 1);
    port.write(kTxqCmd, 1);
    EXPECT_EQ(count(port, Diagnostic::ring_unconfigured), 2U);
    port.write(txq_update(0), 3);
    port.write(rxq_status_update(0), kRxqUpdateNew.of(1));
    EXPECT_EQ(count(port, Diagnostic::ring_unconfigured), 4U);
    EXPECT_EQ(port.occupied(0), 0U);
}

TEST(ModelFault, MisalignedRing) {
    Port port;
    port.initialise();
    port.set_up_queue(0);
    port.write(rxq_base(0), port.read(rxq_base(0)) + 16);
    port.give_rx(0, 64);
    port.write(kGmacCtrl0, 0x8be5);
    port.link_up();
    port.write(kTxqCmd, 1);
    port.write(kRxqCmd, 1);
    port.send(make_frame(broadcast, 0x0806));
    EXPECT_EQ(port.occupied(0), 1U);
    EXPECT_EQ(count(port, Diagnostic::ring_misaligned), 1U);
}

/// The space of the test, with other rights.
class OneWay final : public vfio::DmaReach {
  public:
    [[nodiscard]] Window window_at(std::uint32_t iova) const override {
        Window window = test_space().window_at(iova);
        window.rights = rights_;
        return window;
    }

    void allow(vfio::DmaRights rights) {
        rights_ = rights;
        generation_.fetch_add(1, std::memory_order_release);
    }

  private:
    vfio::DmaRights rights_ = vfio::DmaRights::both;
};

TEST(ModelFault, MemoryIsUsedInTheDirectionItWasMappedFor) {
    OneWay reach;
    Port port({.reach = &reach});
    port.start();
    port.send(make_frame(broadcast, 0x0806));
    EXPECT_EQ(port.occupied(0), 1U);
    EXPECT_EQ(port.device->diagnostics().total(), 0U);
    // Read only: frames leave, and nothing is received.
    reach.allow(vfio::DmaRights::read);
    port.send(make_frame(broadcast, 0x0806));
    EXPECT_EQ(port.occupied(0), 1U);
    EXPECT_EQ(count(port, Diagnostic::dma_rights), 1U);
    EXPECT_EQ(port.device->chip().mib.peek(mib_index(kMibGoodFramesTx)), 2U);
    // A fault while sending is not written into a ring that may only be read.
    port.write(kPortConfig, port.read(kPortConfig) & ~kPortConfigTxNoErrSum);
    port.post(0, 2, make_frame(broadcast, 0x0806));
    port.tx_ring(0)[2].buf_addr = 0xdead0000;
    port.write(txq_update(0), kTxqUpdateAddPending.of(1));
    EXPECT_EQ(count(port, Diagnostic::dma_unmapped), 1U);
    EXPECT_EQ(port.tx_ring(0)[2].hw_command, 0U);
    EXPECT_EQ(count(port, Diagnostic::dma_rights), 2U);
    // Write only: not even a descriptor can be read.
    reach.allow(vfio::DmaRights::write);
    port.post(0, 3, make_frame(broadcast, 0x0806));
    port.write(txq_update(0), kTxqUpdateAddPending.of(1));
    EXPECT_EQ(kTxqStatusPending.get(port.read(txq_status(0))), 1U);
    EXPECT_NE(port.read(kUnitCause) & kUnitCauseAddrViolation, 0U);
}

TEST(ModelFault, RingOutsideMappedMemory) {
    const Port port;
    port.start();
    port.write(kRxqCmd, 0x0100);
    port.write(kTxqCmd, 0x0100);
    port.write(rxq_base(0), 0xdead0000);
    port.write(txq_base(0), 0xdead0000);
    port.write(kRxqCmd, 1);
    port.write(kTxqCmd, 1);
    port.write(txq_update(0), 1);
    EXPECT_GT(count(port, Diagnostic::dma_unmapped), 0U);
    EXPECT_NE(port.read(kUnitCause) & kUnitCauseAddrViolation, 0U);
    EXPECT_EQ(port.read(kUnitErrAddr), 0xdead0000U);
    port.write(kTxqCmd, 0x0100);  // otherwise the pending descriptor is tried again
    port.write(kUnitCause, 0);
    EXPECT_EQ(port.read(kUnitCause), 0U);
}

TEST(ModelFault, BufferOutsideMappedMemory) {
    Port port;
    port.start();
    port.rx_ring(0)[0].buf_addr = 0xfffffff0;
    port.send(make_frame(broadcast, 0x0806));
    ASSERT_EQ(port.occupied(0), 1U) << "the descriptor is given back";
    EXPECT_NE(port.rx_ring(0)[0].status & kRxError, 0U);
    EXPECT_EQ(count(port, Diagnostic::dma_unmapped), 1U);
    EXPECT_EQ(port.read(kRxDiscardCnt), 1U);
    port.post(0, 1, make_frame(broadcast, 0x0806));
    port.tx_ring(0)[1].buf_addr = 0;
    port.write(txq_update(0), 1);
    EXPECT_EQ(port.read(txq_status(0)), 0x00010000U) << "SENT advances";
    EXPECT_NE(kIntrMiscTxqError.get(port.read(kIntrMiscCause)), 0U);
    EXPECT_EQ(count(port, Diagnostic::dma_unmapped), 2U);
    EXPECT_EQ(port.tx_ring(0)[1].hw_command, 0U) << "write-back suppressed by PORT_CONFIG";
    port.write(kPortConfig, port.read(kPortConfig) & ~kPortConfigTxNoErrSum);
    port.post(0, 2, make_frame(broadcast, 0x0806));
    port.tx_ring(0)[2].buf_addr = 0;
    port.write(txq_update(0), 1);
    EXPECT_EQ(port.tx_ring(0)[2].hw_command & kTxHwError, kTxHwError);
}

TEST(ModelFault, WindowsDecide) {
    Port port;
    port.start();
    port.write(kBaseAddrEnable, 0x3f);
    port.send(make_frame(broadcast, 0x0806));
    EXPECT_EQ(port.occupied(0), 0U);
    EXPECT_GT(count(port, Diagnostic::dma_no_window), 0U);
    EXPECT_NE(port.read(kUnitCause) & kUnitCauseNoWindow, 0U);
    port.write(kBaseAddrEnable, 0x3e);
    EXPECT_EQ(kTxqStatusPending.get(port.read(txq_status(0))), 0U) << "goes on when it is open";
    port.write(kUnitCause, 0);
    const std::uint32_t before = port.occupied(0);
    for (const auto& [offset, value] : {std::pair{win_base(0), kWinBaseTarget.of(4)},
                                        std::pair{win_remap(0), 1U}}) {  // no memory is there
        port.write(offset, value);
        port.send(make_frame(broadcast, 0x0806));
        EXPECT_EQ(port.occupied(0), before);
        EXPECT_NE(port.read(kUnitCause) & kUnitCauseAddrViolation, 0U);
        port.write(offset, 0);
        port.write(kRxqCmd, 0x0100);
        port.write(kRxqCmd, 1);
    }
    port.write(kAccessProtect, 1);  // read only: transmission works, reception does not
    port.write(kUnitCause, 0);
    port.send(make_frame(broadcast, 0x0806));
    EXPECT_EQ(port.occupied(0), before);
    EXPECT_NE(port.read(kUnitCause) & kUnitCauseAddrViolation, 0U);
}

TEST(ModelFault, FramesWithoutOrder) {
    const Port port;
    port.start();
    const Bytes frame = make_frame(broadcast, 0x0806);
    port.post(0, 0, frame, kTxLast | kTxL4Csum.of(kTxL4CsumNone));
    port.write(txq_update(0), 1);
    EXPECT_EQ(count(port, Diagnostic::tx_frame_without_first), 1U);
    EXPECT_EQ(port.read(txq_status(0)), 0x00010000U);
    port.post(0, 1, frame, kTxSingle & ~kTxLast);
    port.post(0, 2, frame);
    port.write(txq_update(0), 2);
    EXPECT_EQ(count(port, Diagnostic::tx_frame_restarted), 1U);
    EXPECT_EQ(port.read(txq_status(0)), 0x00030000U);
    EXPECT_EQ(port.occupied(0), 1U) << "the second one is a frame";
    port.post(0, 3, frame);
    port.tx_ring(0)[3].data_size = 0;
    port.write(txq_update(0), 1);
    EXPECT_EQ(count(port, Diagnostic::tx_frame_unusable), 1U);
    EXPECT_EQ(port.read(txq_status(0)), 0x00040000U);
}

TEST(ModelFault, TinyReceiveBuffers) {
    Port port;
    port.initialise();
    port.set_up_queue(0);
    port.write(rxq_size(0), kRxqSizeBufSize.of(1) | kRxqSizeDescNum.of(64));
    port.write(rxq_config(0), kRxqConfigPktOffset.of(15));
    port.give_rx(0, 64);
    port.write(kGmacCtrl0, 0x8be5);
    port.link_up();
    port.write(kTxqCmd, 1);
    port.write(kRxqCmd, 1);
    port.send(make_frame(broadcast, 0x0806));
    EXPECT_EQ(port.occupied(0), 0U);
    EXPECT_EQ(count(port, Diagnostic::rx_buffer_too_small), 1U);
    EXPECT_EQ(port.read(kRxDiscardCnt), 1U);
    port.write(rxq_config(0), 0);
    port.send(make_frame(broadcast, 0x0806));
    EXPECT_EQ(port.occupied(0), 9U) << "66 bytes in buffers of 8";
}

TEST(ModelFault, ReconfigurationIsNoticed) {
    const Port port;
    port.start();
    port.write(rxq_base(0), port.read(rxq_base(0)));
    EXPECT_EQ(count(port, Diagnostic::running_reconfigured), 0U) << "same value";
    port.write(rxq_base(0), port.read(rxq_base(0)) + 32);
    EXPECT_EQ(count(port, Diagnostic::running_reconfigured), 1U);
    port.write(kRxqCmd, 0x0100);
    port.write(kRxReset, 1);
    port.write(rxq_size(0), 0x08000010);
    EXPECT_EQ(count(port, Diagnostic::write_in_reset), 1U);
    EXPECT_EQ(port.read(rxq_size(0)), 0x08000010U) << "accepted";
}

TEST(ModelFault, UnsupportedModesRefuseDma) {
    Port port;
    port.start();
    port.write(kAccMode, 3);
    port.send(make_frame(broadcast, 0x0806));
    EXPECT_EQ(port.occupied(0), 0U);
    EXPECT_EQ(kTxqStatusPending.get(port.read(txq_status(0))), 1U);
    EXPECT_GT(count(port, Diagnostic::unsupported_mode), 0U);
}

// Random register writes and random descriptors: nothing to expect but survival.
TEST(ModelFault, RandomDriverDoesNotHurt) {
    PortOptions options;
    options.queues = 2;
    const Port port(options);
    port.start(9000);
    std::mt19937 generator(20261122);
    auto random = [&] { return static_cast<std::uint32_t>(generator()); };
    const std::uint32_t hot[] = {
        rxq_status_update(0), txq_update(0), txq_update(1), kRxqCmd,    kTxqCmd,
        rxq_size(0),          txq_size(0),   rxq_config(0), kRxReset,   kTxReset,
        kGmacCtrl0,           kAccMode,      kSdmaConfig,   kPortConfig};
    for (int i = 0; i < 30000; ++i) {
        const auto pick = random();
        if (pick % 4 == 0) {
            port.write(hot[random() % std::size(hot)], random() & random());
        } else if (pick % 4 == 1) {
            TxDescriptor& descriptor = port.tx_ring(pick >> 31U)[random() % 64];
            descriptor.command = random();
            descriptor.data_size = static_cast<std::uint16_t>(random() % 3000);
            descriptor.buf_addr = port.iova_of(port.tx_buffer(0, random() % 64));
        } else if (pick % 4 == 2) {
            port.start(2 + random() % 16000);
        } else {
            (void)port.read((random() % 0x5000) & ~3U);
        }
        if (i % 64 == 0) {
            port.rx_ring(0)[random() % 64].buf_addr = random();
        }
    }
    port.start();
    EXPECT_EQ(port.read(kRxqCmd), 3U);
}

}  // namespace
}  // namespace crema::neta::model
