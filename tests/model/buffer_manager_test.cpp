// SPDX-License-Identifier: BSD-3-Clause
//
// The buffer manager of 38x and XP: its registers and pointer window, and a port that receives into
// its pools and gives back what it sent. The set-up is the page's, section 6.4.
#include "lib/neta/bm_registers.h"
#include "tests/model/port.h"

namespace crema::neta::model {
namespace {

constexpr std::uint32_t kEntries = 128;
constexpr std::uint32_t kWindowBase = 0xf1200000;
constexpr std::uint32_t kShortBytes = 256;
constexpr std::uint32_t kLongBytes = 2048;
constexpr unsigned kShort = 1;
constexpr unsigned kLong = 2;

class ModelBufferManager : public ::testing::Test {
  protected:
    ModelBufferManager() : port_(options()) {
        const std::size_t bytes =
            (kBmPools * kEntries * 4 + kBuffers * kLongBytes + 4095) & ~4095UL;
        memory_ = static_cast<std::uint8_t*>(std::aligned_alloc(4096, bytes));
        std::memset(memory_, 0, bytes);
        const auto mapped = test_space().map(memory_, bytes);
        if (!mapped) {
            ADD_FAILURE() << mapped.error().message;
            std::abort();
        }
        start_unit();
    }

    ~ModelBufferManager() override {
        port_.device.reset();
        EXPECT_TRUE(test_space().unmap(memory_).has_value());
        std::free(memory_);
    }

    static PortOptions options() {
        PortOptions chosen;
        chosen.variant = "38x";
        return chosen;
    }

    [[nodiscard]] std::uint32_t bm(std::uint32_t offset) const {
        return port_.device->buffer_manager_registers().read(offset);
    }

    void bm(std::uint32_t offset, std::uint32_t value) const {
        port_.device->buffer_manager_registers().write(offset, value);
    }

    void give(unsigned pool, std::uint32_t address) const {
        port_.device->buffer_pointers().write(bm_pointer(pool), address);
    }

    [[nodiscard]] std::uint32_t take(unsigned pool) const {
        return port_.device->buffer_pointers().read(bm_pointer(pool));
    }

    // 6.4 steps 1-4.
    void start_unit() const {
        bm(kBmMask, 0);
        bm(kBmCause, 0);
        bm(kBmConfig, kBmConfigBurst.of(2));
        bm(kBmCommand, kBmCommandStart);
        for (unsigned pool = 0; pool < kBmPools; ++pool) {
            bm(bm_pool_read(pool), 0);
            bm(bm_pool_write(pool), 0);
            bm(bm_pool_size(pool), kEntries);
            bm(bm_pool_base(pool), port_.iova_of(memory_ + pool * kEntries * 4));
            bm(bm_pool_base(pool), bm(bm_pool_base(pool)) | kBmPoolEnable);
        }
        bm(kBmCause, 0);
    }

    [[nodiscard]] std::uint8_t* buffer(std::uint32_t i) const {
        return memory_ + kBmPools * kEntries * 4 + std::size_t{i} * kLongBytes;
    }

    // Step 5: its number in the first word, then the address to the pool.
    void give_buffer(unsigned pool, std::uint32_t i) const {
        std::memcpy(buffer(i), &i, 4);
        give(pool, port_.iova_of(buffer(i)));
    }

    // Step 6, buffers i < kBuffers / 2 short, the others long.
    void start_port(std::uint32_t offset = 64) {
        for (std::uint32_t i = 0; i < kBuffers; ++i) {
            give_buffer(i < kBuffers / 2 ? kShort : kLong, i);
        }
        port_.start(9000);
        port_.write(kRxqCmd, 0x0100);
        port_.write(win_base(1), (kWindowBase & 0xffff0000) |
                                     kWinBaseAttribute.of(kAttributeBufferManager) |
                                     kWinBaseTarget.of(kTargetBufferManager));
        port_.write(win_size(1), 0x000f0000);
        // Memory below it: windows do not overlap.
        port_.write(win_size(0), 0xf0ff0000);
        port_.write(kBaseAddrEnable, 0x3c);
        port_.write(kAccessProtect, 0xf);
        port_.write(pool_buf_size(kShort), kShortBytes);
        port_.write(pool_buf_size(kLong), kLongBytes);
        port_.write(kBmAddress, kWindowBase);
        port_.write(kAccMode, kAccModeEnhancedBm);
        port_.write(rxq_config(0), kRxqConfigHwBufAlloc | kRxqConfigShortPool.of(kShort) |
                                       kRxqConfigLongPool.of(kLong) |
                                       kRxqConfigPktOffset.of(offset / 8));
        port_.write(rxq_size(0), kRxqSizeDescNum.of(64));
        for (std::uint32_t i = 0; i < 64; ++i) {
            port_.rx_ring(0)[i] = {};  // nothing of software's
        }
        port_.write(kRxqCmd, 1);
    }

    static constexpr std::uint32_t kBuffers = 32;
    Port port_;
    std::uint8_t* memory_ = nullptr;
};

TEST_F(ModelBufferManager, PoolIsARingInMemory) {
    const auto* ring = reinterpret_cast<const std::uint32_t*>(memory_);
    for (std::uint32_t round = 0; round < 3; ++round) {
        for (std::uint32_t i = 1; i <= 100; ++i) {
            give(0, 0x1000 * i);
        }
        EXPECT_EQ(ring[(100 * round) % kEntries], 0x1000U);
        bm(kBmConfig, kBmConfigBurst.of(2) | kBmConfigEmptyLimit);
        for (std::uint32_t i = 1; i <= 100; ++i) {
            ASSERT_EQ(take(0), 0x1000 * i);
        }
        EXPECT_EQ(kBmPointerGet.get(bm(bm_pool_read(0))), 100 * (round + 1) % kEntries);
        EXPECT_EQ(bm(bm_pool_read(0)) >> 16U, 400 * (round + 1) % 512) << "as byte offset";
    }
    EXPECT_EQ(bm(kBmCause), bm_cause_empty(0));
    EXPECT_EQ(take(0), 0U);
    EXPECT_EQ(bm(kBmCause), bm_cause_empty(0) | bm_cause_alloc_failed(0));
}

TEST_F(ModelBufferManager, LastBurstStaysWithoutTheLimit) {
    for (std::uint32_t i = 1; i <= 20; ++i) {
        give(3, 64 * i);
    }
    for (std::uint32_t i = 1; i <= 4; ++i) {
        EXPECT_EQ(take(3), 64 * i);
    }
    EXPECT_EQ(take(3), 0U) << "16 are left";
    EXPECT_EQ(bm(kBmCause), 0U);
    bm(kBmConfig, kBmConfigBurst.of(3));
    EXPECT_EQ(take(3), 64U * 5) << "a burst of 8";
}

TEST_F(ModelBufferManager, FullPoolsStoppedUnitsAndForeignTargetsRefuse) {
    for (std::uint32_t i = 0; i < kEntries; ++i) {
        give(0, 0x100);
    }
    EXPECT_EQ(bm(kBmCause), bm_cause_full(0));
    give(0, 0x100);
    EXPECT_EQ(bm(kBmCause), bm_cause_full(0) | bm_cause_free_failed(0));
    EXPECT_FALSE(port_.device->buffer_manager()->interrupt_level());
    bm(kBmMask, bm_cause_free_failed(0));
    EXPECT_TRUE(port_.device->buffer_manager()->interrupt_level());
    EXPECT_NE(bm(kBmCause) & kBmCauseSummary, 0U);
    bm(kBmCause, ~bm_cause_free_failed(0));
    EXPECT_EQ(bm(kBmCause), bm_cause_full(0));
    bm(kBmCommand, kBmCommandPause);
    EXPECT_EQ(kBmCommandStatus.get(bm(kBmCommand)), kBmPaused);
    EXPECT_EQ(take(0), 0U);
    bm(kBmCommand, kBmCommandStop);
    EXPECT_EQ(kBmCommandStatus.get(bm(kBmCommand)), kBmIdle);
    EXPECT_NE(bm(kBmCause) & (kBmCausePaused | kBmCauseStopped), 0U);
    bm(kBmCommand, kBmCommandStart);
    bm(bm_xbar(0), bm_xbar_target(0).of(3));
    EXPECT_EQ(take(0), 0U);
    bm(bm_xbar(0), 0);
    EXPECT_EQ(take(0), 0x100U);
}

TEST_F(ModelBufferManager, FramesGoIntoTheSmallestPoolThatFits) {
    start_port();
    // 64 + 2 + 186 + 4 = 256.
    const Bytes small = make_frame(broadcast, 0x88b5, 186);
    const Bytes large = make_frame(broadcast, 0x88b5, 187);
    port_.send(small);
    port_.send(large);
    ASSERT_EQ(port_.occupied(0), 2U);
    const RxDescriptor* const ring = port_.rx_ring(0);
    EXPECT_EQ(ring[0].status,
              kRxFirst | kRxLast | kRxEthernet2 | kRxL4Type.of(kRxL4Other) | kRxBmPool.of(kShort));
    EXPECT_EQ(ring[0].buf_addr, port_.iova_of(buffer(0)));
    EXPECT_EQ(ring[0].cookie, 0U);
    EXPECT_EQ(ring[0].data_size, 192);
    EXPECT_EQ(kRxBmPool.get(ring[1].status), kLong);
    EXPECT_EQ(ring[1].buf_addr, port_.iova_of(buffer(kBuffers / 2)));
    EXPECT_EQ(ring[1].cookie, kBuffers / 2) << "its first word";
    EXPECT_EQ(std::memcmp(buffer(0) + 66, small.data(), small.size()), 0);
    EXPECT_EQ(std::memcmp(buffer(kBuffers / 2) + 66, large.data(), large.size()), 0);
    EXPECT_EQ(port_.device->diagnostics().total(), 0U);
}

TEST_F(ModelBufferManager, LongFramesTakeSeveralBuffers) {
    start_port(0);
    const Bytes frame = make_frame(broadcast, 0x88b5, 5000);
    port_.write(kTxqCmd, 0x0100);
    std::memcpy(port_.tx_buffer(0, 0), frame.data(), frame.size());  // over three buffers
    port_.tx_ring(0)[0] = {};
    port_.tx_ring(0)[0].command = kTxSingle;
    port_.tx_ring(0)[0].data_size = 5000;
    port_.tx_ring(0)[0].buf_addr = port_.iova_of(port_.tx_buffer(0, 0));
    port_.write(kTxqCmd, 1);
    port_.write(txq_update(0), 1);
    ASSERT_EQ(port_.occupied(0), 3U);
    Bytes stored;
    for (std::uint32_t i = 0; i < 3; ++i) {
        const RxDescriptor& descriptor = port_.rx_ring(0)[i];
        EXPECT_EQ(descriptor.cookie, kBuffers / 2 + i);
        EXPECT_EQ((descriptor.status & kRxFirst) != 0, i == 0);
        EXPECT_EQ((descriptor.status & kRxLast) != 0, i == 2);
        const std::uint8_t* const at = buffer(kBuffers / 2 + i);
        stored.insert(stored.end(), at, at + std::min<std::size_t>(2048, 5006 - stored.size()));
    }
    EXPECT_EQ(std::memcmp(stored.data() + 2, frame.data(), frame.size()), 0);
}

TEST_F(ModelBufferManager, EmptyPoolDropsAndSaysSo) {
    start_port();
    for (std::uint32_t i = 0; i < kBuffers / 2; ++i) {
        port_.send(make_frame(broadcast, 0x88b5, 60));
    }
    EXPECT_EQ(port_.occupied(0), kBuffers / 2);
    EXPECT_EQ(bm(kBmCause), bm_cause_empty(kShort));
    port_.send(make_frame(broadcast, 0x88b5, 60));
    EXPECT_EQ(port_.occupied(0), kBuffers / 2) << "no descriptor is used";
    EXPECT_EQ(port_.read(kRxDiscardCnt), 1U);
    EXPECT_EQ(kIntrMiscPoolEmpty.get(port_.read(kIntrMiscCause)), 1U << kShort);
    EXPECT_NE(bm(kBmCause) & bm_cause_alloc_failed(kShort), 0U);
    // Slots go back as they are, buffers to their pool.
    port_.write(rxq_status_update(0), kRxqUpdateProcessed.of(16) | kRxqUpdateNew.of(16));
    give_buffer(kShort, 3);
    port_.send(make_frame(broadcast, 0x88b5, 60));
    ASSERT_EQ(port_.occupied(0), 1U);
    EXPECT_EQ(port_.rx_ring(0)[16].cookie, 3U);
}

TEST_F(ModelBufferManager, SentBuffersGoBackToTheirPool) {
    start_port();
    port_.send(make_frame(broadcast, 0x88b5, 60));
    ASSERT_EQ(port_.occupied(0), 1U);
    const std::uint32_t address = port_.rx_ring(0)[0].buf_addr;
    // What was received is sent from where it lies.
    TxDescriptor& descriptor = port_.tx_ring(0)[1];
    descriptor = {};
    descriptor.command = kTxSingle | kTxBmRelease | kTxBmPool.of(0) | kTxPktOffset.of(66);
    descriptor.data_size = 60;
    descriptor.buf_addr = address;
    port_.write(txq_update(0), 1);
    EXPECT_EQ(port_.occupied(0), 2U);
    bm(kBmConfig, kBmConfigEmptyLimit);
    EXPECT_EQ(take(0), address);
    EXPECT_EQ(take(0), 0U);
}

TEST_F(ModelBufferManager, PortNeedsItsWindow) {
    start_port();
    port_.write(win_base(1), kWindowBase & 0xffff0000);  // memory, not the unit
    port_.send(make_frame(broadcast, 0x88b5, 60));
    EXPECT_EQ(port_.occupied(0), 0U);
    EXPECT_GT(port_.device->diagnostics().count(Diagnostic::unsupported_mode), 0U);
}

TEST(ModelWithoutBufferManager, ModeIsRefused) {
    Port port;
    port.start();
    EXPECT_EQ(port.device->buffer_manager(), nullptr);
    port.write(kAccMode, kAccModeEnhancedBm);
    port.send(make_frame(broadcast, 0x0806));
    EXPECT_EQ(port.occupied(0), 0U);
    EXPECT_GT(port.device->diagnostics().count(Diagnostic::unsupported_mode), 0U);
}

}  // namespace
}  // namespace crema::neta::model
