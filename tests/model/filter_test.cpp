// SPDX-License-Identifier: BSD-3-Clause
//
// Address acceptance and queue selection: hardware page 2.3.4, with its vectors.
#include "lib/neta/crc8.h"
#include "tests/model/port.h"

namespace crema::neta::model {
namespace {

constexpr std::uint32_t kQ1 = 0x03;  // table entry: pass, queue 1

class ModelFilter : public ::testing::Test {
  protected:
    ModelFilter() : port_(options()) {
        port_.start();
        port_.write(kMacHigh, 0x02112233);
        port_.write(kMacLow, 0x4455);
    }

    static PortOptions options() {
        PortOptions chosen;
        chosen.queues = 8;
        chosen.rx_descriptors = 16;
        return chosen;
    }

    // Queue that took the frame, or -1.
    int queue_of(const Bytes& frame) {
        std::array<std::uint32_t, kQueues> before{};
        for (unsigned q = 0; q < kQueues; ++q) {
            before[q] = port_.occupied(q);
        }
        port_.send(frame);
        int found = -1;
        for (unsigned q = 0; q < kQueues; ++q) {
            if (port_.occupied(q) != before[q]) {
                EXPECT_EQ(found, -1) << "taken twice";
                found = static_cast<int>(q);
            }
        }
        return found;
    }

    int queue_of_da(const Bytes& da) { return queue_of(make_frame(da, 0x88b5)); }

    void set_entry(std::uint32_t table, unsigned entry, std::uint32_t value) const {
        const std::uint32_t at = da_entry_register(table, entry);
        const Field field{da_entry_shift(entry), 8};
        port_.write(at, field.set(port_.read(at), value));
    }

    Port port_;
};

TEST_F(ModelFilter, UnicastNeedsAddressAndEntry) {
    const Bytes own{0x02, 0x11, 0x22, 0x33, 0x44, 0x55};
    EXPECT_EQ(queue_of_da(own), -1) << "no table entry";
    set_entry(kDaUnicast, 5, kQ1);
    EXPECT_EQ(queue_of_da(own), 1);
    set_entry(kDaUnicast, 9, 0x07);
    EXPECT_EQ(queue_of_da({0x02, 0x11, 0x22, 0x33, 0x44, 0x59}), 3) << "low four bits select";
    EXPECT_EQ(queue_of_da({0x02, 0x11, 0x22, 0x33, 0x44, 0x65}), -1);
    EXPECT_EQ(queue_of_da({0x02, 0x11, 0x22, 0x33, 0x45, 0x55}), -1);
    EXPECT_EQ(queue_of_da({0x06, 0x11, 0x22, 0x33, 0x44, 0x55}), -1);
}

TEST_F(ModelFilter, PromiscuousTakesAnyUnicast) {
    port_.write(kPortConfig, port_config_default(2) | kPortConfigUpm);
    EXPECT_EQ(queue_of_da({0x06, 0, 0, 0, 0, 1}), 2) << "default queue";
    EXPECT_NE(port_.rx_ring(2)[0].status & kRxUnknownDa, 0U);
    EXPECT_EQ(queue_of_da({0x33, 0x33, 0, 0, 0, 1}), -1) << "not multicast";
}

TEST_F(ModelFilter, ForcedUnicastIsAHit) {
    port_.write(kTypePrio, kTypePrioForceUni);
    EXPECT_EQ(queue_of_da({0x06, 0, 0, 0, 0, 1}), 0);
    EXPECT_EQ(port_.rx_ring(0)[0].status & kRxUnknownDa, 0U);
}

TEST_F(ModelFilter, OtherMulticastByHash) {
    const Bytes addresses[] = {
        {0x33, 0x33, 0, 0, 0, 0x01},       {0x33, 0x33, 0xff, 0x12, 0x34, 0x56},
        {0x01, 0x80, 0xc2, 0, 0, 0x0e},    {0x01, 0x1b, 0x19, 0, 0, 0},
        {0x01, 0x00, 0x5e, 0, 0x01, 0x01}, {0x01, 0x00, 0x5e, 0x7f, 0xff, 0xfa},
    };
    for (const Bytes& da : addresses) {
        EXPECT_EQ(queue_of_da(da), -1);
        set_entry(kDaOtherMcast, da_crc8(da.data()), kQ1);
        EXPECT_EQ(queue_of_da(da), 1);
    }
}

TEST_F(ModelFilter, SpecialMulticastByLastByte) {
    const Bytes all_hosts{0x01, 0x00, 0x5e, 0, 0, 0x01};
    EXPECT_EQ(queue_of_da(all_hosts), -1);
    port_.write(0x3400, 0x00000500);  // byte 1: pass, queue 2
    EXPECT_EQ(queue_of_da(all_hosts), 2);
    EXPECT_EQ(queue_of_da({0x01, 0x00, 0x5e, 0, 0, 0x02}), -1);
}

TEST_F(ModelFilter, BroadcastNeedsNoTableButObeysReject) {
    EXPECT_EQ(queue_of_da(broadcast), 0);
    port_.write(kPortConfig, port_config_default(0) | kPortConfigRejectBcastOther);
    EXPECT_EQ(queue_of_da(broadcast), -1);
    EXPECT_EQ(queue_of(make_frame(broadcast, 0x0806)), 0);
    EXPECT_EQ(queue_of(make_ipv4(broadcast, 17)), 0);
    port_.write(kPortConfig, port_config_default(0) | kPortConfigRejectBcastArp);
    EXPECT_EQ(queue_of(make_frame(broadcast, 0x0806)), -1);
    port_.write(kPortConfig, port_config_default(0) | kPortConfigRejectBcastIp);
    EXPECT_EQ(queue_of(make_ipv4(broadcast, 17)), -1);
    EXPECT_EQ(queue_of(make_frame(broadcast, 0x0806)), 0);
    EXPECT_EQ(port_.read(kRxDiscardCnt), 0U) << "filtered frames are no discards";
}

TEST_F(ModelFilter, ArpTcpUdpHaveTheirQueues) {
    port_.write(kPortConfig, port_config_default(0) | kPortConfigRxqArp.of(4) |
                                 kPortConfigRxqTcp.of(5) | kPortConfigRxqUdp.of(6));
    EXPECT_EQ(queue_of(make_frame(broadcast, 0x0806)), 4);
    EXPECT_EQ(queue_of(make_ipv4(broadcast, 6)), 0) << "no capture";
    port_.write(kPortConfig,
                port_.read(kPortConfig) | kPortConfigTcpCapture | kPortConfigUdpCapture);
    EXPECT_EQ(queue_of(make_ipv4(broadcast, 6)), 5);
    EXPECT_EQ(queue_of(make_ipv4(broadcast, 17)), 6);
    EXPECT_EQ(queue_of(make_ipv4(broadcast, 1)), 0);
}

TEST_F(ModelFilter, VlanPrioritiesOfThePage) {
    port_.write(kVlanPrioToRxq, 0x00fac688);
    for (int priority = 0; priority < 8; ++priority) {
        EXPECT_EQ(queue_of(make_ipv4(broadcast, 17, 20, priority)), priority);
    }
    EXPECT_EQ(queue_of(make_ipv4(broadcast, 17)), 0) << "untagged";
}

TEST_F(ModelFilter, DscpOfThePage) {
    port_.write(0x2430, 5U << 18U);
    EXPECT_EQ(queue_of(make_ipv4(broadcast, 17, 20, -1, 46 << 2)), 5);
    EXPECT_EQ(queue_of(make_ipv4(broadcast, 17, 20, -1, 45 << 2)), 0);
}

TEST_F(ModelFilter, HighestQueueWinsUnlessTypeIsFirst) {
    port_.write(kVlanPrioToRxq, 0x00fac688);
    port_.write(0x2430, 5U << 18U);
    EXPECT_EQ(queue_of(make_ipv4(broadcast, 17, 20, 3, 46 << 2)), 5);
    EXPECT_EQ(queue_of(make_ipv4(broadcast, 17, 20, 7, 46 << 2)), 7);
    port_.write(kTypePrio, kTypePrioEn | kTypePrioRxq.of(1) | kTypePrioEthertype.of(0x0800));
    EXPECT_EQ(queue_of(make_ipv4(broadcast, 17, 20, 7)), 7);
    EXPECT_EQ(queue_of(make_ipv4(broadcast, 17)), 1);
    port_.write(kTypePrio, port_.read(kTypePrio) | kTypePrioFirst);
    EXPECT_EQ(queue_of(make_ipv4(broadcast, 17, 20, 7)), 1);
}

TEST_F(ModelFilter, BpduWithSpan) {
    const Bytes bpdu{0x01, 0x80, 0xc2, 0, 0, 0};
    EXPECT_EQ(queue_of(make_frame(bpdu, 38)), -1);
    port_.write(kPortConfig, port_config_default(0) | kPortConfigRxqBpdu.of(7));
    port_.write(kPortConfigExt, kPortConfigExtSpan);
    EXPECT_EQ(queue_of(make_frame(bpdu, 38)), 7);
    EXPECT_NE(port_.rx_ring(7)[0].status & kRxBpdu, 0U);
}

}  // namespace
}  // namespace crema::neta::model
