// SPDX-License-Identifier: BSD-3-Clause
//
// Token buckets of the transmitter: rates, sizes, and when there are none. Hardware page 2.3.11.
#include <chrono>
#include <thread>

#include "tests/model/port.h"

namespace crema::neta::model {
namespace {

constexpr std::uint32_t kFrameBits = (1000 + 4) * 8;

class ModelShaper : public ::testing::Test {
  protected:
    ModelShaper() : port_(options()) {
        port_.start();
        port_.write(kTxRefillClocks, 20);  // 100 ns at 200 MHz
        port_.write(kTxMtu, kFrameBits);
        port_.write(kTxpTokenSize, 0xffffffff);
        for (unsigned q = 0; q < 2; ++q) {
            port_.write(txq_token_size(q), 2 * kFrameBits);
        }
    }

    static PortOptions options() {
        PortOptions chosen;
        chosen.wire = "null";
        chosen.queues = 2;
        return chosen;
    }

    // 10 kbit/s a token, as Linux sets it up.
    static std::uint32_t rate(std::uint32_t tokens) {
        return kRefillPeriod.of(1000) | kRefillTokens.of(tokens);
    }

    // Frames of queue q that leave at once, of `n`.
    std::uint32_t at_once(unsigned q, std::uint32_t n) {
        for (std::uint32_t i = 0; i < n; ++i) {
            port_.post(q, i, make_frame(broadcast, 0x88b5, 1000));
        }
        port_.write(txq_update(q), kTxqUpdateAddPending.of(n));
        return kTxqStatusSent.get(port_.read(txq_sent(q)));
    }

    Port port_;
};

TEST_F(ModelShaper, NothingIsShapedUnlessAskedFor) {
    EXPECT_EQ(at_once(0, 40), 40U) << "no rate";
    port_.write(txq_refill(1), rate(1));
    port_.write(kTxCmd1, 0x9);
    EXPECT_EQ(at_once(1, 20), 20U) << "switched off";
}

TEST_F(ModelShaper, RefillClockOfTheBasicPeriodHasAMinimum) {
    port_.write(txq_refill(1), rate(1));
    port_.write(kTxRefillClocks, 15);
    EXPECT_EQ(at_once(1, 20), 20U);
}

TEST_F(ModelShaper, BucketHoldsABurst) {
    port_.write(txq_tokens(0), 0xffffffff);
    port_.write(txq_refill(0), rate(1));  // 10 kbit/s: nothing comes while the test runs
    EXPECT_EQ(at_once(0, 10), 2U) << "cut to its size";
}

TEST_F(ModelShaper, FramesLeaveAtTheRate) {
    port_.write(txq_refill(0), rate(1000));  // 10 Mbit/s
    const auto start = std::chrono::steady_clock::now();
    at_once(0, 12);
    std::uint32_t sent = 0;
    while (sent < 12) {
        static_cast<void>(port_.read(txq_status(0)));
        sent = kTxqStatusSent.get(port_.read(txq_sent(0)));
    }
    const auto took = std::chrono::steady_clock::now() - start;
    EXPECT_GE(took, std::chrono::microseconds(9500)) << "12 frames of 8032 bits: 9.6 ms";
    EXPECT_LT(took, std::chrono::seconds(2));
    EXPECT_EQ(at_once(1, 5), 5U) << "the other queue has no rate";
}

TEST_F(ModelShaper, PortHasABucketToo) {
    port_.write(kTxpRefill, rate(1));
    port_.write(kTxpTokenSize, 2 * kFrameBits);
    port_.write(kTxpTokens, 2 * kFrameBits);
    port_.write(kGmacCtrl0, port_.read(kGmacCtrl0) & ~kGmacCtrl0PortEn);
    at_once(0, 5);
    at_once(1, 5);
    port_.write(kGmacCtrl0, port_.read(kGmacCtrl0) | kGmacCtrl0PortEn);
    EXPECT_EQ(
        kTxqStatusSent.get(port_.read(txq_sent(0))) + kTxqStatusSent.get(port_.read(txq_sent(1))),
        2U);
}

TEST_F(ModelShaper, SoftwareClosesAQueueByItsTokens) {
    port_.write(txq_refill(0), rate(1));
    port_.write(txq_tokens(0), 0);
    EXPECT_EQ(at_once(0, 1), 0U);
    port_.write(txq_tokens(0), 0xffffffff);
    EXPECT_EQ(kTxqStatusSent.get(port_.read(txq_sent(0))), 1U);
}

}  // namespace
}  // namespace crema::neta::model
