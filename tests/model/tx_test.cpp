// SPDX-License-Identifier: BSD-3-Clause
//
// Transmission: counters, gathering, padding, checksum insertion, priorities, link down. Frames
// are looked at on the receive side of the same port (wire loop).
#include "tests/model/port.h"

namespace crema::neta::model {
namespace {

// Frame of RX descriptor i of queue 0, without header and FCS.
Bytes received(const Port& port, std::uint32_t i) {
    const std::uint8_t* const buffer = port.rx_buffer(0, i);
    const std::uint32_t size = port.rx_ring(0)[i].data_size;
    return {buffer + 2, buffer + size - 4};
}

TEST(ModelTx, ArpExampleOfThePage) {
    Port port;
    port.start();
    const Bytes frame = make_frame(broadcast, 0x0806, 42);
    port.post(0, 0, frame);
    ASSERT_EQ(port.tx_ring(0)[0].command, 0x80380000U);
    port.write(txq_update(0), 1);
    EXPECT_EQ(port.read(txq_status(0)), 0x00010000U);
    port.write(txq_update(0), 0x00010000);
    EXPECT_EQ(port.read(txq_status(0)), 0U);
    ASSERT_EQ(port.occupied(0), 1U);
    Bytes padded = frame;
    padded.resize(60, 0);
    EXPECT_EQ(received(port, 0), padded) << "60 bytes on the wire, zeros behind the frame";
    EXPECT_EQ(port.read(kMibGoodOctetsTx), 64U);
    EXPECT_EQ(port.device->diagnostics().total(), 0U);
}

TEST(ModelTx, GathersFromFirstToLast) {
    Port port;
    port.start();
    const Bytes frame = make_frame(broadcast, 0x88b5, 300);
    port.post(0, 0, Bytes(frame.begin(), frame.begin() + 14), kTxSingle & ~kTxLast);
    port.post(0, 1, Bytes(frame.begin() + 14, frame.begin() + 200), 0);
    port.post(0, 2, Bytes(frame.begin() + 200, frame.end()), kTxLast);
    port.tx_ring(0)[1].buf_addr -= 5;  // skipped again by the packet offset
    port.tx_ring(0)[1].command = kTxPktOffset.of(5);
    port.write(txq_update(0), 2);
    EXPECT_EQ(port.read(txq_status(0)), 0x00000002U) << "waits for the rest of the frame";
    EXPECT_EQ(port.occupied(0), 0U);
    port.write(txq_update(0), 1);
    EXPECT_EQ(port.read(txq_status(0)), 0x00030000U) << "SENT counts descriptors";
    ASSERT_EQ(port.occupied(0), 1U);
    EXPECT_EQ(received(port, 0), frame);
}

TEST(ModelTx, PaddingCanBeOff) {
    Port port;
    port.start();
    port.write(kRxMinFrame, 0);  // 40 bytes
    port.write(kGmacCtrl2, kGmacCtrl2PaddingDis);
    port.send(make_frame(broadcast, 0x0806, 42), kTxSingle & ~kTxZeroPad);
    port.send(make_frame(broadcast, 0x0806, 42));
    ASSERT_EQ(port.occupied(0), 2U);
    EXPECT_EQ(received(port, 0).size(), 42U);
    EXPECT_EQ(received(port, 1).size(), 60U) << "asked for by the descriptor";
}

TEST(ModelTx, InsertsChecksums) {
    Port port;
    port.start();
    for (const std::uint8_t protocol : {std::uint8_t{6}, std::uint8_t{17}}) {
        for (const int vlan : {-1, 3}) {
            const Bytes right = make_ipv4(broadcast, protocol, 37, vlan);
            const std::uint32_t l3 = vlan < 0 ? 14 : 18;
            Bytes wrong = right;
            wrong[l3 + 10] ^= 0x5a;
            wrong[l3 + 20 + (protocol == 6 ? 16 : 6)] ^= 0x5a;
            const std::uint32_t command =
                (kTxSingle & ~kTxL4Csum.mask()) | kTxL4Csum.of(kTxL4CsumFull) | kTxIpCsum |
                kTxIpHlen.of(5) | kTxL3Offset.of(l3) | (protocol == 17 ? kTxL4Udp : 0);
            const std::uint32_t slot = port.occupied(0);
            port.send(wrong, command);
            ASSERT_EQ(port.occupied(0), slot + 1);
            EXPECT_EQ(received(port, slot), right) << int{protocol} << " " << vlan;
        }
    }
    EXPECT_EQ(port.device->diagnostics().total(), 0U);
}

TEST(ModelTx, ChecksumOffsetsOutsideTheFrameAreHarmless) {
    Port port;
    port.start();
    const Bytes frame = make_ipv4(broadcast, 6);
    port.send(frame, (kTxSingle & ~kTxL4Csum.mask()) | kTxL4Csum.of(kTxL4CsumFull) | kTxIpCsum |
                         kTxIpHlen.of(31) | kTxL3Offset.of(127));
    ASSERT_EQ(port.occupied(0), 1U);
    EXPECT_EQ(received(port, 0), frame) << "sent as it is";
    EXPECT_EQ(port.device->diagnostics().count(Diagnostic::tx_frame_unusable), 1U);
}

TEST(ModelTx, LinkDownConsumesAndDrops) {
    Port port;
    port.start();
    port.write(kGmacAutoneg, kGmacAutonegForceLinkDown);
    port.post(0, 0, make_frame(broadcast, 0x0806));
    port.write(txq_update(0), 1);
    EXPECT_EQ(port.read(txq_status(0)), 0x00010000U) << "the ring drains";
    EXPECT_EQ(port.read(kTxDropCnt), 1U);
    EXPECT_EQ(port.read(kTxDropCnt), 0U);
    EXPECT_EQ(port.read(kMibGoodFramesTx), 0U);
    port.link_up();
    EXPECT_EQ(port.occupied(0), 0U);
}

TEST(ModelTx, DisabledQueueKeepsPending) {
    Port port;
    port.start();
    port.write(kTxqCmd, 0x0100);
    port.post(0, 0, make_frame(broadcast, 0x0806));
    port.write(txq_update(0), 1);
    EXPECT_EQ(port.read(txq_status(0)), 0x00000001U);
    EXPECT_EQ(port.device->diagnostics().count(Diagnostic::doorbell_disabled), 1U);
    port.write(kTxqCmd, 0x0001);
    EXPECT_EQ(port.read(txq_status(0)), 0x00010000U) << "sent when enabled";
}

TEST(ModelTx, RingWrapsAndMayBeFull) {
    PortOptions options;
    options.tx_descriptors = 3;
    Port port(options);
    port.start();
    for (std::uint32_t round = 0; round < 5; ++round) {
        for (std::uint32_t i = 0; i < 3; ++i) {
            port.post(0, i, make_frame(broadcast, 0x88b5, 60 + round * 3 + i));
        }
        port.write(txq_update(0), 3);
        ASSERT_EQ(port.read(txq_status(0)), 0x00030000U);
        port.write(txq_update(0), 0x00030000);
    }
    ASSERT_EQ(port.occupied(0), 15U);
    for (std::uint32_t i = 0; i < 15; ++i) {
        EXPECT_EQ(received(port, i).size(), 60U + i) << "in order";
    }
    EXPECT_EQ(port.device->diagnostics().total(), 0U);
}

// Order on the wire of one frame per queue q = 0..7, each 60 + q bytes long, posted while the
// port was off.
std::vector<std::size_t> order(std::uint32_t fixed) {
    PortOptions options;
    options.queues = 8;
    const Port port(options);
    port.start();
    port.write(kTxFixedPrio, fixed);
    port.write(kGmacCtrl0, port.read(kGmacCtrl0) & ~kGmacCtrl0PortEn);
    for (unsigned q = 0; q < kQueues; ++q) {
        port.post(q, 0, make_frame(broadcast, 0x88b5, 60 + q));
        port.write(txq_update(q), 1);
    }
    port.write(kGmacCtrl0, port.read(kGmacCtrl0) | kGmacCtrl0PortEn);
    EXPECT_EQ(port.occupied(0), 8U);
    std::vector<std::size_t> queues;
    for (std::uint32_t i = 0; i < 8; ++i) {
        queues.push_back(received(port, i).size() - 60);
    }
    return queues;
}

TEST(ModelTx, FixedPriorityHighestFirst) {
    EXPECT_EQ(order(0xff), (std::vector<std::size_t>{7, 6, 5, 4, 3, 2, 1, 0}));
}

TEST(ModelTx, FixedPriorityBeforeRoundRobin) {
    const auto queues = order(0x14);
    EXPECT_EQ(queues[0], 4U);
    EXPECT_EQ(queues[1], 2U);
}

TEST(ModelTx, RoundRobinServesByWeight) {
    PortOptions options;
    options.queues = 2;
    options.tx_descriptors = 64;
    options.rx_descriptors = 64;
    const Port port(options);
    port.start();
    port.write(txq_wrr(0), 8);
    port.write(txq_wrr(1), 2);
    port.write(kGmacCtrl0, port.read(kGmacCtrl0) & ~kGmacCtrl0PortEn);
    for (unsigned q = 0; q < 2; ++q) {
        for (std::uint32_t i = 0; i < 30; ++i) {
            port.post(q, i, make_frame(broadcast, 0x88b5, 512 + q));
        }
        port.write(txq_update(q), 30);
    }
    port.write(kGmacCtrl0, port.read(kGmacCtrl0) | kGmacCtrl0PortEn);
    ASSERT_EQ(port.occupied(0), 60U);
    std::uint32_t of_queue0 = 0;
    for (std::uint32_t i = 0; i < 20; ++i) {
        of_queue0 += received(port, i).size() == 512 ? 1U : 0U;
    }
    EXPECT_EQ(of_queue0, 16U) << "4 : 1 by weight";
}

TEST(ModelTx, LoopbackInsideTheMac) {
    PortOptions options;
    options.wire = "null";
    Port port(options);
    port.start();
    port.send(make_frame(broadcast, 0x0806));
    EXPECT_EQ(port.occupied(0), 0U);
    for (const std::uint32_t loop : {kGmacCtrl1GmiiLoopback, kGmacCtrl1PcsLoopback}) {
        port.write(kGmacCtrl1, loop);
        port.write(kGmacAutoneg, kGmacAutonegForceLinkDown);
        EXPECT_NE(port.read(kGmacStatus) & kGmacStatusLinkUp, 0U) << "link is up in loopback";
        port.send(make_frame(broadcast, 0x0806));
    }
    EXPECT_EQ(port.occupied(0), 2U);
}

}  // namespace
}  // namespace crema::neta::model
