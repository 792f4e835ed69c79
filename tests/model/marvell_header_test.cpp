// SPDX-License-Identifier: BSD-3-Clause
//
// Two bytes between MAC and switch: part of the frame on the wire, the first bytes of the receive
// buffer, chosen by register or by the sender. Hardware page 2.3.4, 2.3.9, 3.3, 3.5, 10.48.
#include "tests/model/port.h"

namespace crema::neta::model {
namespace {

Bytes with_header(std::uint8_t high, std::uint8_t low, const Bytes& frame) {
    Bytes whole(2 + frame.size());
    whole[0] = high;
    whole[1] = low;
    std::copy(frame.begin(), frame.end(), whole.begin() + 2);
    return whole;
}

TEST(ModelMarvellHeader, IsCarriedAndLiesInFrontOfTheFrame) {
    Port port;
    port.start();
    port.write(kMarvellHeaderReg, kMarvellHeaderEn);
    const Bytes frame = make_ipv4(broadcast, 17, 40);
    const Bytes whole = with_header(0x12, 0x34, frame);
    port.send(whole);
    ASSERT_EQ(port.occupied(0), 1U);
    EXPECT_EQ(port.rx_ring(0)[0].data_size, 2 + frame.size() + 4);
    EXPECT_EQ(port.rx_ring(0)[0].status, 0x4fa00000U) << "parsed behind the header";
    EXPECT_EQ(std::memcmp(port.rx_buffer(0, 0), whole.data(), whole.size()), 0);
    const std::uint32_t fcs = fcs_of(whole.data(), static_cast<std::uint32_t>(whole.size()));
    EXPECT_EQ(std::memcmp(port.rx_buffer(0, 0) + whole.size(), &fcs, 4), 0) << "over both";
    EXPECT_EQ(port.device->diagnostics().total(), 0U);
}

TEST(ModelMarvellHeader, SizesLeaveItOut) {
    Port port;
    port.start(1522);
    port.write(kMarvellHeaderReg, kMarvellHeaderEn);
    port.send(with_header(0, 1, make_frame(broadcast, 0x88b5, 1518)));
    ASSERT_EQ(port.occupied(0), 1U);
    EXPECT_EQ(port.rx_ring(0)[0].status & kRxError, 0U);
    EXPECT_EQ(port.read(kMibGoodOctetsRx), 1522U);
    port.send(with_header(0, 1, make_frame(broadcast, 0x88b5, 42)));
    ASSERT_EQ(port.occupied(0), 2U);
    EXPECT_EQ(port.rx_ring(0)[1].data_size, 66) << "padded to 60 behind the header";
    EXPECT_EQ(port.read(kMibGoodOctetsTx), 1522U + 64U);
}

TEST(ModelMarvellHeader, DescriptorSelectsARegister) {
    Port port;
    port.start();
    port.write(kMarvellHeaderReg, kMarvellHeaderEn);
    port.write(tx_marvell_header(4), 0xabcd);
    Bytes frame = make_ipv4(broadcast, 17, 40);
    const Bytes right = frame;
    frame[40] ^= 0xff;
    port.post(0, 0, with_header(0x12, 0x34, frame),
              (kTxSingle & ~kTxL4Csum.mask()) | kTxL4Csum.of(kTxL4CsumFull) | kTxIpHlen.of(5) |
                  kTxL3Offset.of(14) | kTxL4Udp);
    port.tx_ring(0)[0].hw_command = kTxHwMarvellHeader.of(5);
    port.write(txq_update(0), 1);
    ASSERT_EQ(port.occupied(0), 1U);
    const Bytes wanted = with_header(0xab, 0xcd, right);
    EXPECT_EQ(std::memcmp(port.rx_buffer(0, 0), wanted.data(), wanted.size()), 0)
        << "L3_OFFSET counts from the destination address";
}

TEST(ModelMarvellHeader, TagsOfSwitchesAreRefused) {
    Port port;
    port.start();
    port.write(kMarvellHeaderReg, kMarvellHeaderDsa.of(1));
    port.send(make_frame(broadcast, 0x0806));
    EXPECT_EQ(kTxqStatusPending.get(port.read(txq_status(0))), 1U);
    EXPECT_EQ(port.occupied(0), 0U);
    EXPECT_GT(port.device->diagnostics().count(Diagnostic::unsupported_mode), 0U);
}

}  // namespace
}  // namespace crema::neta::model
