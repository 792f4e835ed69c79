// SPDX-License-Identifier: BSD-3-Clause
//
// Reception: the worked example of the hardware page (appendix C) byte for byte, status words,
// buffers, several descriptors per frame, and each reason to lose a frame.
#include "tests/model/port.h"

namespace crema::neta::model {
namespace {

TEST(ModelRx, ArpExampleOfThePage) {
    PortOptions options;
    options.packet_offset = 64;
    Port port(options);
    port.start();
    std::memset(port.rx_buffer(0, 0), 0xaa, 256);
    const Bytes frame = make_frame(broadcast, 0x0806, 60);
    port.send(frame);
    ASSERT_EQ(port.read(rxq_status(0)), 0x003f0001U);
    const RxDescriptor& descriptor = port.rx_ring(0)[0];
    EXPECT_EQ(descriptor.status, 0x0cc00000U);
    EXPECT_EQ(descriptor.data_size, 66);
    EXPECT_EQ(descriptor.pnc_info, 0);
    EXPECT_EQ(descriptor.buf_addr, port.iova_of(port.rx_buffer(0, 0))) << "survives";
    EXPECT_EQ(descriptor.cookie, 0xc0000000U) << "survives";
    const std::uint8_t* const buffer = port.rx_buffer(0, 0);
    for (int i = 0; i < 64; ++i) {
        ASSERT_EQ(buffer[i], 0xaa) << "offset area touched at " << i;
    }
    EXPECT_EQ(buffer[0x40], 0);
    EXPECT_EQ(buffer[0x41], 0);
    EXPECT_EQ(std::memcmp(buffer + 0x42, frame.data(), 60), 0);
    const std::uint32_t fcs = fcs_of(frame.data(), 60);
    EXPECT_EQ(std::memcmp(buffer + 0x7e, &fcs, 4), 0);
    EXPECT_EQ(buffer[0x82], 0xaa) << "written behind the frame";
    EXPECT_EQ(port.device->diagnostics().total(), 0U);
}

TEST(ModelRx, FcsIsTheEthernetCrc) {
    const char* const text = "123456789";
    EXPECT_EQ(fcs_of(reinterpret_cast<const std::uint8_t*>(text), 9), 0xcbf43926U);
}

std::uint32_t status_after(const Bytes& frame) {
    Port port;
    port.start();
    port.promiscuous();
    port.send(frame);
    EXPECT_EQ(port.occupied(0), 1U);
    return port.rx_ring(0)[0].status;
}

TEST(ModelRx, StatusWordsOfThePage) {
    EXPECT_EQ(status_after(make_ipv4(broadcast, 17)), 0x4fa00000U);
    EXPECT_EQ(status_after(make_ipv4(broadcast, 6)), 0x4f800000U);
    EXPECT_EQ(status_after(make_ipv4(broadcast, 17, 20, 3)), 0x4fa80000U) << "VLAN";
    EXPECT_EQ(status_after(make_ipv4({2, 0, 0, 0, 0, 0x55}, 17)), 0x5fa00000U) << "unknown DA";
    Bytes bad_header = make_ipv4(broadcast, 17);
    bad_header[24] ^= 1;
    EXPECT_EQ(status_after(bad_header), 0x4da00000U);
    Bytes bad_payload = make_ipv4(broadcast, 17);
    bad_payload[50] ^= 1;
    EXPECT_EQ(status_after(bad_payload), 0x0fa00000U);
    Bytes no_sum = make_ipv4(broadcast, 17);
    no_sum[40] = no_sum[41] = 0;
    EXPECT_EQ(status_after(no_sum), 0x4fa00000U) << "UDP without checksum counts as right";
    EXPECT_EQ(status_after(make_ipv4(broadcast, 1)), 0x0fc00000U) << "ICMP: other";
}

TEST(ModelRx, FragmentHasNoChecksumVerdict) {
    Bytes frame = make_ipv4(broadcast, 17);
    frame[20] = 0x20;  // more fragments
    std::memset(&frame[24], 0, 2);
    const auto sum = static_cast<std::uint16_t>(~fold_sum(sum_bytes(&frame[14], 20)));
    std::memcpy(&frame[24], &sum, 2);
    EXPECT_EQ(status_after(frame), 0x8fa00000U);
}

TEST(ModelRx, Ipv6WithOtherL4) {
    Bytes frame = make_frame(broadcast, 0x86dd, 86);
    std::memset(&frame[14], 0, 40);
    frame[14] = 0x60;
    frame[19] = 32;
    frame[20] = 58;
    EXPECT_EQ(status_after(frame), 0x0ec00000U);
}

TEST(ModelRx, LengthFieldIsNotEthernet2) {
    EXPECT_EQ(status_after(make_frame(broadcast, 46)), 0x0c400000U);
}

TEST(ModelRx, TruncatedHeadersAreHarmless) {
    for (std::size_t bytes = 60; bytes < 80; ++bytes) {
        Bytes frame = make_frame(broadcast, 0x0800, bytes);
        frame[14] = 0x4f;  // 60-byte header
        frame[16] = 0xff;  // total length beyond the frame
        frame[23] = 6;
        EXPECT_EQ(status_after(frame) & (kRxL4CsumOk | kRxL3Type.mask()),
                  kRxL3Type.of(kRxL3Ipv4Bad));
    }
}

TEST(ModelRx, FrameOverSeveralBuffers) {
    PortOptions options;
    options.buffer_bytes = 256;
    Port port(options);
    port.start(1522);
    const Bytes frame = make_frame(broadcast, 0x88b5, 250);
    // 2 + 250 + 4 = 256 fits exactly; two bytes more split the FCS.
    port.send(frame);
    ASSERT_EQ(port.read(rxq_status(0)), 0x003f0001U);
    EXPECT_EQ(port.rx_ring(0)[0].data_size, 256);
    const Bytes longer = make_frame(broadcast, 0x88b5, 252);
    // Sent in two pieces: the port's TX buffers are as small as its RX buffers.
    port.post(0, 1, Bytes(longer.begin(), longer.begin() + 100), kTxSingle & ~kTxLast);
    port.post(0, 2, Bytes(longer.begin() + 100, longer.end()), kTxLast | kTxZeroPad);
    port.write(txq_update(0), 2);
    ASSERT_EQ(port.read(rxq_status(0)), 0x003d0003U) << "two descriptors more";
    const RxDescriptor& first = port.rx_ring(0)[1];
    const RxDescriptor& last = port.rx_ring(0)[2];
    EXPECT_EQ(first.status & (kRxFirst | kRxLast | kRxError), kRxFirst);
    EXPECT_EQ(last.status & (kRxFirst | kRxLast | kRxError), kRxLast);
    EXPECT_EQ(first.data_size, 258) << "the whole frame";
    EXPECT_EQ(last.data_size, 0) << "not defined by the page: 0";
    EXPECT_EQ(std::memcmp(port.rx_buffer(0, 1) + 2, longer.data(), 252), 0);
    const std::uint32_t fcs = fcs_of(longer.data(), 252);
    Bytes tail(port.rx_buffer(0, 1) + 254, port.rx_buffer(0, 1) + 256);
    tail.insert(tail.end(), port.rx_buffer(0, 2), port.rx_buffer(0, 2) + 2);
    EXPECT_EQ(std::memcmp(tail.data(), &fcs, 4), 0) << "FCS split over two buffers";
    EXPECT_EQ(port.device->diagnostics().total(), 0U);
}

TEST(ModelRx, OutOfDescriptorsInsideAFrame) {
    PortOptions options;
    options.buffer_bytes = 256;
    options.rx_descriptors = 4;
    Port port(options);
    port.initialise();
    port.set_up_queue(0);
    port.give_rx(0, 2);
    port.write(kGmacCtrl0, kGmacCtrl0MibEn | kGmacCtrl0PortEn | kGmacCtrl0MaxRxSize.of(761));
    port.link_up();
    port.write(kTxqCmd, 1);
    port.write(kRxqCmd, 1);
    for (std::uint32_t i = 0; i < 4; ++i) {
        const std::uint32_t place = (i == 0 ? kTxSingle & ~kTxLast : 0) | (i == 3 ? kTxLast : 0);
        port.post(0, i, i == 0 ? make_frame(broadcast, 0x88b5, 200) : Bytes(200, 7), place);
    }
    port.write(txq_update(0), 4);
    ASSERT_EQ(port.read(rxq_status(0)), 0x00000002U);
    for (int i = 0; i < 2; ++i) {
        EXPECT_NE(port.rx_ring(0)[i].status & kRxError, 0U);
        EXPECT_EQ(kRxErrorCode.get(port.rx_ring(0)[i].status), kRxErrorResource);
    }
    EXPECT_NE(port.rx_ring(0)[0].status & kRxFirst, 0U);
    EXPECT_NE(port.rx_ring(0)[1].status & kRxLast, 0U);
    EXPECT_EQ(port.read(kRxDiscardCnt), 1U);
}

TEST(ModelRx, NoFreeDescriptorDiscardsAndGoesOn) {
    PortOptions options;
    options.rx_descriptors = 4;
    Port port(options);
    port.start();
    for (int i = 0; i < 10; ++i) {
        port.send(make_frame(broadcast, 0x0806));
    }
    EXPECT_EQ(port.read(rxq_status(0)), 0x00000004U);
    EXPECT_EQ(port.read(kRxDiscardCnt), 6U);
    EXPECT_EQ(port.read(kRxDiscardCnt), 0U);
    EXPECT_EQ(kIntrRxqFree.get(port.read(kIntrOldCause)), 1U);
    port.write(rxq_status_update(0), 0x00040004);
    port.send(make_frame(broadcast, 0x0806));
    EXPECT_EQ(port.read(rxq_status(0)), 0x00030001U) << "no re-enable needed";
    EXPECT_EQ(port.read(rxq_index(0)), 1U);
    EXPECT_EQ(port.device->diagnostics().total(), 0U);
}

TEST(ModelRx, DisabledQueueDiscards) {
    Port port;
    port.start();
    port.write(kRxqCmd, 0x0100);
    port.send(make_frame(broadcast, 0x0806));
    EXPECT_EQ(port.occupied(0), 0U);
    EXPECT_EQ(port.read(kRxDiscardCnt), 1U);
}

TEST(ModelRx, TooLongIsCutAndMarked) {
    Port port;
    port.start(128);
    port.send(make_frame(broadcast, 0x0806, 125));
    ASSERT_EQ(port.occupied(0), 1U);
    EXPECT_EQ(port.rx_ring(0)[0].status, 0x0cc00000U | kRxError | kRxErrorCode.of(kRxErrorTooLong));
    EXPECT_EQ(port.rx_ring(0)[0].data_size, 130) << "header and the 128 bytes that are allowed";
    EXPECT_NE(port.read(kIntrMiscCause) & kIntrMiscRxTooLarge, 0U);
    EXPECT_EQ(port.read(kMibOversizeRx), 1U);
    EXPECT_EQ(port.read(kMibBadFramesRx), 1U);
    port.send(make_frame(broadcast, 0x0806, 124));
    ASSERT_EQ(port.occupied(0), 2U);
    EXPECT_EQ(port.rx_ring(0)[1].status, 0x0cc00000U) << "exactly the limit";
}

TEST(ModelRx, TooShortIsDropped) {
    Port port;
    port.start();
    port.write(kGmacCtrl2, port.read(kGmacCtrl2) | kGmacCtrl2PaddingDis);
    port.send(make_frame(broadcast, 0x0806, 59), kTxSingle & ~kTxZeroPad);
    EXPECT_EQ(port.occupied(0), 0U);
    EXPECT_EQ(port.read(kMibUndersizeRx), 1U);
}

TEST(ModelRx, DamagedFcsIsDeliveredAsError) {
    Port port;
    port.start();
    port.write(kPortConfigExt, kPortConfigExtTxCrcDisable);
    Bytes frame = make_frame(broadcast, 0x0806, 60);
    const std::uint32_t fcs = fcs_of(frame.data(), 60);
    frame.resize(64);
    std::memcpy(&frame[60], &fcs, 4);
    port.send(frame);
    ASSERT_EQ(port.occupied(0), 1U);
    EXPECT_EQ(port.rx_ring(0)[0].status, 0x0cc00000U) << "software's own FCS is right";
    EXPECT_EQ(port.rx_ring(0)[0].data_size, 66);
    frame[63] ^= 0x80;
    port.send(frame);
    ASSERT_EQ(port.occupied(0), 2U);
    EXPECT_EQ(port.rx_ring(0)[1].status, 0x0cc10000U) << "the page's logged word";
    EXPECT_EQ(port.rx_buffer(0, 1)[2 + 63], frame[63]) << "FCS as received";
    EXPECT_EQ(port.read(kMibBadCrc), 1U);
    EXPECT_EQ(port.read(kMibBadOctetsRx), 64U);
    EXPECT_NE(port.read(kIntrMiscCause) & kIntrMiscRxCrc, 0U);
}

TEST(ModelRx, PauseFramesStayInTheMac) {
    Port port;
    port.start();
    port.write(kDaOtherMcast, 0x01010101);
    for (std::uint32_t i = 0; i < 64; ++i) {
        port.write(kDaOtherMcast + 4 * i, 0x01010101);
    }
    Bytes frame = make_frame({0x01, 0x80, 0xc2, 0, 0, 1}, 0x8808);
    frame[14] = 0;
    frame[15] = 1;
    port.send(frame);
    EXPECT_EQ(port.occupied(0), 0U);
    EXPECT_EQ(port.read(kMibGoodFcRx), 1U);
    frame[15] = 2;
    port.send(frame);
    EXPECT_EQ(port.occupied(0), 1U);
    EXPECT_EQ(port.read(kMibUnrecMacCtrlRx), 1U);
}

TEST(ModelRx, PortOffHearsNothing) {
    Port port;
    port.start();
    port.write(kGmacCtrl0, port.read(kGmacCtrl0) & ~kGmacCtrl0PortEn);
    port.send(make_frame(broadcast, 0x0806));
    EXPECT_EQ(port.occupied(0), 0U);
    EXPECT_EQ(kTxqStatusPending.get(port.read(txq_status(0))), 1U) << "pending stays";
    port.write(kGmacCtrl0, port.read(kGmacCtrl0) | kGmacCtrl0PortEn);
    EXPECT_EQ(kTxqStatusPending.get(port.read(txq_status(0))), 0U) << "goes when the port is on";
    EXPECT_EQ(port.occupied(0), 1U);
}

}  // namespace
}  // namespace crema::neta::model
