// SPDX-License-Identifier: BSD-3-Clause
//
// Who runs the engines: inside register accesses from one or more threads, or in a thread of the
// model. Frames must neither get lost nor change, and no doorbell may be forgotten.
#include <atomic>
#include <limits>
#include <thread>

#include "drivers/model/neta/interrupts.h"
#include "tests/model/port.h"

namespace crema::neta::model {
namespace {

std::string unique(const char* name) {
    return std::string(name) + std::to_string(::getpid());
}

// Sends `frames` numbered frames on queue q, freeing descriptors as they are sent.
void send_numbered(const Port& port, unsigned q, std::uint32_t ring, std::uint32_t frames) {
    std::uint32_t posted = 0;
    std::uint32_t in_flight = 0;
    while (posted < frames || in_flight > 0) {
        const std::uint32_t sent = kTxqStatusSent.get(port.read(txq_status(q)));
        port.write(txq_update(q), kTxqUpdateDecSent.of(std::min(sent, kUpdateMax)));
        in_flight -= std::min(sent, kUpdateMax);
        std::uint32_t batch = 0;
        while (batch < 8 && posted < frames && in_flight < ring) {
            Bytes frame = make_frame(broadcast, 0x88b5, 64);
            std::memcpy(&frame[20], &posted, 4);
            frame[24] = static_cast<std::uint8_t>(q);
            port.post(q, posted % ring, frame);
            ++posted;
            ++in_flight;
            ++batch;
        }
        if (batch != 0) {
            port.write(txq_update(q), kTxqUpdateAddPending.of(batch));
        } else {
            std::this_thread::yield();
        }
    }
}

// Takes frames from queue 0 until `frames` came; next[q] counts what came from TX queue q.
void receive_numbered(const Port& port,
                      std::uint32_t ring,
                      std::uint32_t frames,
                      std::array<std::uint32_t, kQueues>& next) {
    std::uint32_t slot = 0;
    for (std::uint32_t total = 0; total < frames;) {
        const std::uint32_t ready = std::min(port.occupied(0), kUpdateMax);
        for (std::uint32_t i = 0; i < ready; ++i) {
            const std::uint8_t* const frame = port.rx_buffer(0, slot) + 2;
            ASSERT_EQ(port.rx_ring(0)[slot].data_size, 70);
            std::uint32_t number = 0;
            std::memcpy(&number, frame + 20, 4);
            ASSERT_EQ(number, next[frame[24]]++) << "lost or out of order";
            slot = slot + 1 == ring ? 0 : slot + 1;
        }
        port.write(rxq_status_update(0), kRxqUpdateProcessed.of(ready) | kRxqUpdateNew.of(ready));
        total += ready;
        if (ready == 0) {
            std::this_thread::yield();
        }
    }
}

void exchange(const std::string& engine) {
    PortOptions options;
    options.engine = engine;
    options.wire = "pair:" + unique("engine");
    options.rx_descriptors = 1024;
    const Port sender(options);
    options.instance = "net_neta1";
    const Port receiver(options);
    receiver.start();
    sender.start();
    constexpr std::uint32_t kFrames = 5000;
    std::array<std::uint32_t, kQueues> next{};
    // The wire is bounded and the receiver's ring too: one window of frames at a time.
    std::thread listener([&] { receive_numbered(receiver, 1024, kFrames, next); });
    std::uint32_t rounds = 0;
    send_numbered(sender, 0, 64, kFrames);
    listener.join();
    ++rounds;
    EXPECT_EQ(next[0], kFrames);
    EXPECT_EQ(sender.device->wire_losses().tx_full.load(), 0U);
    EXPECT_EQ(sender.device->diagnostics().total(), 0U);
    EXPECT_EQ(receiver.device->diagnostics().total(), 0U);
}

TEST(ModelEngine, InlineBetweenTwoThreads) {
    exchange("inline");
}

TEST(ModelEngine, ThreadLoopKeepsEveryFrame) {
    PortOptions options;
    options.engine = "thread";
    options.rx_descriptors = 4096;
    const Port port(options);
    port.start();
    constexpr std::uint32_t kFrames = 4000;  // all fit the RX ring: nothing depends on timing
    send_numbered(port, 0, 64, kFrames);
    std::array<std::uint32_t, kQueues> next{};
    receive_numbered(port, 4096, kFrames, next);
    EXPECT_EQ(next[0], kFrames);
    EXPECT_EQ(port.read(kRxDiscardCnt), 0U);
    EXPECT_EQ(port.device->diagnostics().total(), 0U);
}

TEST(ModelEngine, ResetsInTheMiddleOfTraffic) {
    for (const char* engine : {"inline", "thread"}) {
        PortOptions options;
        options.engine = engine;
        const Port port(options);
        port.start();
        for (std::uint32_t round = 0; round < 200; ++round) {
            for (std::uint32_t i = 0; i < 32; ++i) {
                port.post(0, i, make_frame(broadcast, 0x88b5, 64));
            }
            port.write(txq_update(0), kTxqUpdateAddPending.of(32));
            port.write(round % 2 == 0 ? kTxReset : kRxReset, kResetHold);
            port.write(round % 2 == 0 ? kRxReset : kTxReset, kResetHold);
            ASSERT_EQ(port.read(txq_status(0)), 0U);
            ASSERT_EQ(port.read(rxq_status(0)), 0U);
            ASSERT_EQ(port.read(rxq_index(0)), 0U);
            ASSERT_EQ(port.read(txq_index(0)), 0U);
            ASSERT_EQ(port.read(kRxqCmd) | port.read(kTxqCmd), 0U);
            port.write(kTxReset, 0);
            port.write(kRxReset, 0);
            port.give_rx(0, 64);
            port.write(kRxqCmd, 1);
            port.write(kTxqCmd, 1);
        }
        port.write(txq_update(0), kTxqUpdateAddPending.of(1));
        while (kTxqStatusSent.get(port.read(txq_status(0))) != 1 || port.occupied(0) == 0) {
            std::this_thread::yield();
        }
        EXPECT_EQ(port.device->diagnostics().total(), 0U) << engine;
    }
}

TEST(ModelEngine, TwoThreadsUseTwoQueuesOfOnePort) {
    for (const char* engine : {"inline", "thread"}) {
        PortOptions options;
        options.engine = engine;
        options.queues = 2;
        options.rx_descriptors = 8192;
        options.buffer_bytes = 256;
        const Port port(options);
        port.start();
        constexpr std::uint32_t kFrames = 3000;
        std::thread other([&] { send_numbered(port, 1, 64, kFrames); });
        send_numbered(port, 0, 64, kFrames);
        other.join();
        std::array<std::uint32_t, kQueues> next{};
        receive_numbered(port, 8192, 2 * kFrames, next);
        EXPECT_EQ(next[0], kFrames);
        EXPECT_EQ(next[1], kFrames);
        EXPECT_EQ(port.device->diagnostics().total(), 0U) << engine;
    }
}

TEST(ModelEngine, ControlWritesWhileTrafficRuns) {
    PortOptions options;
    options.engine = "thread";
    options.wire = "gen:flows=8";
    const Port port(options);
    port.start();
    port.promiscuous();
    for (int i = 0; i < 200; ++i) {
        port.write(kRxqCmd, 0x0100);
        EXPECT_EQ(port.read(kRxqCmd), 0U);
        const std::uint32_t stopped = port.read(rxq_status(0));
        EXPECT_EQ(port.read(rxq_status(0)), stopped) << "a stopped queue does not move";
        port.write(kRxReset, 1);
        port.write(kRxReset, 0);
        EXPECT_EQ(port.read(rxq_status(0)), 0U);
        port.give_rx(0, 64);
        port.write(kRxqCmd, 1);
    }
    EXPECT_EQ(port.device->diagnostics().total(), 0U);
}

// A driver that sleeps: served, the model takes frames until there is an interrupt, and no more.
TEST(ModelEngine, ServedModelWakesWhoSleeps) {
    PortOptions options;
    options.wire = "gen:count=1000";
    const Port port(options);
    vfio::Servable& served = *port.device;
    port.start();
    port.promiscuous();
    EXPECT_FALSE(served.advance());  // interrupts are off: who polls asks
    EXPECT_FALSE(served.interrupt_level());
    EXPECT_EQ(served.idle().ns, std::numeric_limits<std::int64_t>::max());
    port.write(rxq_threshold(0), kRxqThresholdOccupied.of(32));
    port.write(rxq_time_coal(0), kRxqTimeCoalCycles.mask());  // 84 ms
    port.write(kIntrNewMask, kIntrRxq.of(1));
    EXPECT_LT(served.idle().ns, 1'000'000);  // the generator must be asked
    EXPECT_TRUE(served.advance());
    EXPECT_TRUE(served.interrupt_level());
    EXPECT_FALSE(served.advance());  // told already
    port.write(rxq_status_update(0), kRxqUpdateProcessed.of(40) | kRxqUpdateNew.of(1));
    // Fewer than 32 are left: not before the time is over.
    const bool raised = served.interrupt_level();
    const std::int64_t left = coalescing_left(port.device->chip());
    EXPECT_TRUE(!raised || left == 0);
    EXPECT_LE(left, 84'000'000);
    ASSERT_LE(served.idle().ns, 84'000'000);
    port.write(rxq_time_coal(0), kRxqTimeCoalCycles.of(0));
    EXPECT_TRUE(served.interrupt_level());
    port.write(kIntrNewMask, 0);
    EXPECT_FALSE(served.interrupt_level());
}

TEST(ModelEngine, PowerCycleForgetsEverythingButTheAddress) {
    Port port;
    const std::uint32_t address = port.read(kMacHigh);
    port.start();
    port.send(make_frame(broadcast, 0x0806));
    EXPECT_EQ(port.occupied(0), 1U);
    port.write(kMacHigh, 0x02111111);
    port.device->power_cycle();
    EXPECT_EQ(port.read(kMacHigh), address);
    EXPECT_EQ(port.read(rxq_status(0)), 0U);
    EXPECT_EQ(port.read(rxq_size(0)), 0U);
    EXPECT_EQ(port.read(kRxqCmd), 0U);
    EXPECT_EQ(port.read(kMibGoodFramesRx), 0U);
    EXPECT_EQ(port.read(kGmacStatus) & kGmacStatusLinkUp, 0U);
    port.start();
    port.send(make_frame(broadcast, 0x0806));
    EXPECT_EQ(port.occupied(0), 1U);
}

TEST(ModelEngine, RefusesBadArguments) {
    for (const char* engine : {"fast", "thread:", "thread:x", "thread:-1", "thread:99999"}) {
        const auto made = NetaModel::create(test_space(), {"n", "null", engine});
        ASSERT_FALSE(made.has_value()) << engine;
        EXPECT_EQ(made.error().code, EINVAL) << engine;
    }
    const auto offline = NetaModel::create(test_space(), {"n", "null", "thread:1023"});
    ASSERT_FALSE(offline.has_value());
    EXPECT_EQ(offline.error().code, EINVAL);
    EXPECT_NE(offline.error().message.find("thread:1023"), std::string::npos);
}

TEST(ModelEngine, DescribesItself) {
    PortOptions options;
    options.wire = "null";
    options.engine = "thread:0";
    const Port port(options);
    EXPECT_EQ(port.device->describe(), "model, wire null, engine thread:0");
}

TEST(ModelEngine, IsTheRegisteredModelOfTheChip) {
    const auto device = vfio::open("model", "neta", {"net_neta0", "loop", ""});
    ASSERT_TRUE(device.has_value()) << device.error().message;
    EXPECT_EQ((*device)->describe(), "model, wire loop, engine inline");
    EXPECT_TRUE((*device)->coherent());
}

}  // namespace
}  // namespace crema::neta::model
