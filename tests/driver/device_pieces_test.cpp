// SPDX-License-Identifier: BSD-3-Clause
//
// Frames of several pages that programs send, on a device that shows what it was given:
// descriptors, and what happens when a ring is full, memory cannot be reached or the port stops in
// between.
#include <gtest/gtest.h>
#include <random>
#include <vector>

#include "lib/xdp/hook.h"
#include "tests/driver/scripted_port.h"
#include "tests/support/fake_port.h"

namespace crema::test {
namespace {

constexpr std::uint32_t kRing = 512;  // descriptors of a queue of programs' frames
constexpr std::uint32_t kNoSums = neta::kTxL4Csum.of(neta::kTxL4CsumNone);

class DevicePieces : public ScriptedPort {
  protected:
    void SetUp() override {
        ScriptedPort::SetUp();
        up();
        xdp_ = xdp::port_by_ifindex(xdp::ifindex_of(port_.id));
        ASSERT_NE(xdp_, nullptr);
        ASSERT_TRUE(xdp_->ops->sends_fragments);
    }

    std::uint32_t xmit(const xdp::Frame* frames, std::uint32_t n) {
        return xdp_->ops->xmit(xdp_->port, 0, frames, n);
    }

    /// The device is done with what was posted.
    void finish() {
        device().sent.at(4) += device().pending.at(4);
        device().pending.at(4) = 0;
        EXPECT_EQ(xmit(nullptr, 0), 0U);
    }

    const xdp::Port* xdp_ = nullptr;
    FrameSource source_{"sent", 2048};
};

std::vector<std::uint8_t> made(std::uint32_t bytes) {
    std::vector<std::uint8_t> row(bytes);
    for (std::uint32_t i = 0; i < bytes; ++i) {
        row[i] = static_cast<std::uint8_t>(i * 7);
    }
    return row;
}

TEST_F(DevicePieces, EachPageHasItsDescriptor) {
    const std::array<xdp::Frame, 3> frames = {
        source_.make_long({60}), source_.make_long({2000, 1500, 700}), source_.make_long({61, 1})};
    EXPECT_EQ(xmit(frames.data(), 3), 3U);
    const std::vector<std::uint32_t> expected = {neta::kTxSingle,
                                                 kNoSums | neta::kTxFirst,
                                                 0,
                                                 neta::kTxLast | neta::kTxZeroPad,
                                                 kNoSums | neta::kTxFirst,
                                                 neta::kTxLast | neta::kTxZeroPad};
    EXPECT_EQ(device().commands, expected);
    ASSERT_EQ(device().frames.size(), 3U);
    EXPECT_EQ(device().frames[1], made(4200));
    EXPECT_EQ(device().frames[2], made(62));
    EXPECT_EQ(port_.xstat("tx_xdp_xmit"), 3U);
    finish();
    EXPECT_EQ(source_.in_flight(), 0U);
}

TEST_F(DevicePieces, RingTakesFramesWholeOrNotAtAll) {
    std::mt19937 dice(3);
    for (int round = 0; round < 200; ++round) {
        device().send = false;
        std::uint32_t posted = 0;
        for (bool full = false; !full;) {
            std::vector<xdp::Frame> frames;
            for (int i = 0; i < 20; ++i) {
                const auto kind = dice() % 4;
                frames.push_back(kind == 0   ? source_.make_long({60})
                                 : kind == 1 ? source_.make_long({60, 61})
                                 : kind == 2 ? source_.make_long({60, 61, 62, 63, 64})
                                             : source_.make_long({60, 1, 2}));
            }
            const std::uint32_t taken = xmit(frames.data(), 20);
            for (std::uint32_t i = 0; i < taken; ++i) {
                posted += 1U + frames.at(i).fragments;
            }
            full = taken != 20;
            EXPECT_EQ(device().pending.at(4), posted);
            if (full) {
                const xdp::Frame& refused = frames.at(taken);
                EXPECT_GT(posted + 1 + refused.fragments, kRing) << "there was room for it";
                std::uint32_t pages = 1;
                for (rte_mbuf* page = refused.page->next; page != nullptr; page = page->next) {
                    ++pages;
                }
                EXPECT_EQ(pages, 1U + refused.fragments) << "is as it was";
            }
            xdp::recycle(frames.data() + taken, 20 - taken);
        }
        EXPECT_EQ(source_.in_flight(), posted);
        device().sent.at(4) += posted / 2;  // in the middle of a frame, perhaps
        device().pending.at(4) -= posted / 2;
        EXPECT_EQ(xmit(nullptr, 0), 0U);
        EXPECT_EQ(source_.in_flight(), posted - posted / 2);
        finish();
        ASSERT_EQ(source_.in_flight(), 0U);
    }
    EXPECT_EQ(port_.xstat("device_count_errors"), 0U);
}

TEST_F(DevicePieces, RoomIsLookedForBeforeAFrameIsRefused) {
    device().send = false;
    for (std::uint32_t i = 0; i < kRing - 2; ++i) {
        const xdp::Frame one = source_.make_long({60});
        ASSERT_EQ(xmit(&one, 1), 1U);
    }
    const xdp::Frame three = source_.make_long({60, 61, 62});
    EXPECT_EQ(xmit(&three, 1), 0U);
    device().sent.at(4) += 1;
    device().pending.at(4) -= 1;
    EXPECT_EQ(xmit(&three, 1), 1U);
    finish();
}

TEST_F(DevicePieces, PieceThatCannotBeReachedStopsTheWholeFrame) {
    std::array<std::uint8_t, 4096> elsewhere{};
    for (std::uint32_t bad = 0; bad < 2; ++bad) {
        xdp::Frame frame = source_.make_long({60, 61, 62});
        rte_mbuf* const page = bad == 0 ? frame.page->next : frame.page->next->next;
        void* const right = std::exchange(page->buf_addr, elsewhere.data());
        const std::array<xdp::Frame, 2> frames = {frame, source_.make_long({63})};
        EXPECT_EQ(xmit(frames.data(), 2), 0U);
        EXPECT_TRUE(device().frames.empty());
        page->buf_addr = right;
        EXPECT_EQ(xmit(frames.data(), 2), 2U);
        ASSERT_EQ(device().frames.size(), 2U);
        EXPECT_EQ(device().frames[0], made(183));
        device().frames.clear();
        finish();
        EXPECT_EQ(source_.in_flight(), 0U);
    }
    EXPECT_EQ(port_.xstat("tx_xdp_xmit_errors"), 4U);
}

TEST_F(DevicePieces, StoppedPortsSendPiecesHome) {
    device().send = false;
    const xdp::Frame frame = source_.make_long({60, 61, 62});
    EXPECT_EQ(xmit(&frame, 1), 1U);
    EXPECT_EQ(source_.in_flight(), 3U);
    EXPECT_EQ(rte_eth_dev_stop(port_.id), 0);
    EXPECT_EQ(source_.in_flight(), 0U);
}

}  // namespace
}  // namespace crema::test
