// SPDX-License-Identifier: BSD-3-Clause
//
// What differs between the SoCs: interrupt registers of each CPU, limit of checksum insertion,
// clock of the coalescing time. Hardware page 1.2, 1.5, 1.6, 2.3.8.
#include <chrono>
#include <thread>

#include "drivers/model/neta/interrupts.h"
#include "tests/model/port.h"

namespace crema::neta::model {
namespace {

PortOptions of(const char* variant) {
    PortOptions options;
    options.variant = variant;
    return options;
}

// Until the end of the test the calling thread is that CPU.
class ActAs {
  public:
    explicit ActAs(unsigned cpu) { NetaModel::act_as_cpu(cpu); }

    ~ActAs() { NetaModel::act_as_cpu(0); }

    ActAs(const ActAs&) = delete;
    ActAs& operator=(const ActAs&) = delete;
};

TEST(ModelVariants, ArgumentsAreChecked) {
    for (const char* wrong : {"armada", "380", " xp"}) {
        EXPECT_EQ(NetaModel::create(test_space(), {.variant = wrong}).error().code, EINVAL);
    }
    for (const char* wrong : {"0", "200MHz", "999999", "1000000001", "-1"}) {
        EXPECT_EQ(NetaModel::create(test_space(), {.clock = wrong}).error().code, EINVAL);
    }
    const auto model = NetaModel::create(test_space(), {.variant = "38x", .clock = "250000000"});
    ASSERT_TRUE(model.has_value());
    EXPECT_EQ((*model)->describe(), "model of Armada 38x, wire null, engine inline");
    EXPECT_EQ((*model)->chip().core_hz, 250'000'000U);
}

TEST(ModelVariants, EachCpuHasItsOwnCausesAndMasks) {
    for (const char* variant : {"38x", "xp"}) {
        PortOptions options = of(variant);
        options.queues = 2;
        Port port(options);
        port.start();
        port.write(cpu_map(0), 0x0101);  // queue 0
        port.write(cpu_map(1), 0x0202);  // queue 1
        port.write(kPortConfig, port_config_default(1));
        port.send(make_frame(broadcast, 0x0806));
        EXPECT_EQ(kIntrRxq.get(port.read(kIntrNewCause)), 0U) << "queue 1 is not of this CPU";
        port.write(kIntrNewMask, kIntrRxq.of(3));
        EXPECT_EQ(port.read(kIntrNewMask), kIntrRxq.of(1)) << "foreign bits ignore writes";
        EXPECT_FALSE(interrupt_level(port.device->chip()));
        const ActAs second(1);
        EXPECT_EQ(kIntrRxq.get(port.read(kIntrNewCause)), 2U);
        EXPECT_EQ(port.read(kIntrNewMask), 0U);
        port.write(kIntrNewMask, kIntrRxq.of(3));
        EXPECT_EQ(port.read(kIntrNewMask), kIntrRxq.of(2));
        EXPECT_TRUE(interrupt_level(port.device->chip(), 1));
        EXPECT_FALSE(interrupt_level(port.device->chip(), 0));
    }
}

TEST(ModelVariants, EachCpuClearsItsOwnEvents) {
    const Port port(of("xp"));
    port.start();
    ASSERT_NE(port.read(kIntrMiscCause) & kIntrMiscLinkChange, 0U);
    port.write(kIntrMiscCause, 0);
    port.write(kIntrMiscMask, kIntrMiscLinkChange);
    EXPECT_EQ(port.read(kIntrMiscCause), 0U);
    const ActAs fourth(3);
    EXPECT_NE(port.read(kIntrMiscCause) & kIntrMiscLinkChange, 0U);
    EXPECT_EQ(port.read(kIntrNewCause) & kIntrMiscSummary, 0U) << "not of this CPU's mask";
    port.write(kIntrMiscMask, kIntrMiscLinkChange);
    EXPECT_NE(port.read(kIntrNewCause) & kIntrMiscSummary, 0U);
}

TEST(ModelVariants, OneSetWithoutBanks) {
    for (const char* variant : {"3700", "370"}) {
        Port port(of(variant));
        port.start();
        port.send(make_frame(broadcast, 0x0806));
        const ActAs second(1);
        EXPECT_EQ(kIntrRxq.get(port.read(kIntrNewCause)), 1U);
        port.write(kIntrNewMask, kIntrRxq.of(1));
        NetaModel::act_as_cpu(0);
        EXPECT_EQ(port.read(kIntrNewMask), kIntrRxq.of(1));
        port.write(cpu_map(0), 0);
        port.write(cpu_map(1), kCpuMapAll);
        const bool any_map = std::string(variant) == "3700";
        EXPECT_EQ(kIntrRxq.get(port.read(kIntrNewCause)), any_map ? 1U : 0U);
    }
}

TEST(ModelVariants, ChecksumsAreInsertedUpToTheLimitOfTheSoc) {
    for (const auto& [variant, limit] : {std::pair{"370", 1600U}, std::pair{"38x", 9800U}}) {
        PortOptions options = of(variant);
        options.buffer_bytes = 16384;
        Port port(options);
        port.start(16000);
        const std::uint32_t command = (kTxSingle & ~kTxL4Csum.mask()) |
                                      kTxL4Csum.of(kTxL4CsumFull) | kTxIpCsum | kTxIpHlen.of(5) |
                                      kTxL3Offset.of(14) | kTxL4Udp;
        Bytes frame = make_ipv4(broadcast, 17, limit - 42);
        frame[40] ^= 0xff;
        port.send(frame, command);
        ASSERT_EQ(port.occupied(0), 1U);
        EXPECT_NE(port.rx_ring(0)[0].status & kRxL4CsumOk, 0U) << variant;
        frame = make_ipv4(broadcast, 17, limit - 41);
        frame[40] ^= 0xff;
        port.send(frame, command);
        ASSERT_EQ(port.occupied(0), 2U);
        EXPECT_EQ(port.rx_ring(0)[1].status & kRxL4CsumOk, 0U) << variant << ": sent as it is";
        EXPECT_EQ(port.device->diagnostics().count(Diagnostic::tx_checksum_limit), 1U);
    }
}

// 1 s at 1 MHz is 5 ms at 200 MHz.
TEST(ModelVariants, CoalescingTimeCountsCyclesOfTheClock) {
    PortOptions slow;
    slow.clock = "1000000";
    for (const PortOptions& options : {slow, PortOptions{}}) {
        Port port(options);
        port.start();
        port.write(rxq_threshold(0), kRxqThresholdOccupied.of(32));
        port.write(rxq_time_coal(0), 1'000'000);
        port.write(kIntrNewMask, kIntrRxq.of(1));
        port.send(make_frame(broadcast, 0x0806));
        ASSERT_EQ(port.occupied(0), 1U);
        const std::int64_t left = coalescing_left(port.device->chip());
        if (!options.clock.empty()) {
            EXPECT_GT(left, 500'000'000);
            continue;
        }
        EXPECT_LE(left, 5'000'000);
        std::this_thread::sleep_for(std::chrono::milliseconds(6));
        EXPECT_EQ(kIntrRxq.get(port.read(kIntrNewCause)), 1U);
        EXPECT_TRUE(interrupt_level(port.device->chip()));
    }
}

}  // namespace
}  // namespace crema::neta::model
