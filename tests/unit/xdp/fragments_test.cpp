// SPDX-License-Identifier: BSD-3-Clause
//
// Frames of several pages through the hook: every verdict, what programs make of their pieces,
// ports that send them and ports that do not. Each test ends with all pages at home.
#include "lib/ebpf/abi/fragments.h"

#include <array>
#include <gtest/gtest.h>
#include <random>
#include <vector>

#include "lib/ebpf/helpers/natives.h"
#include "lib/ebpf/kfuncs/natives.h"
#include "lib/xdp/attach.h"
#include "tests/support/eal.h"
#include "tests/support/fake_port.h"
#include "tests/support/tiny_program.h"

namespace crema::xdp {
namespace {

[[maybe_unused]] const auto* const eal = test::with_eal({"-m", "64", "-l", "0"});

constexpr std::uint32_t kAborted = 0, kDrop = 1, kPass = 2, kTx = 3, kRedirect = 4;
constexpr std::uint32_t kRoomOfPage =
    page_pool::kBufferBytes - page_pool::kDmaOffset;  // from the start of a fragment

/// What the program does; read by every run.
struct Deed {
    enum class Kind : std::uint8_t { nothing, tail, head, pull };
    Kind kind = Kind::nothing;
    std::int64_t by = 0;
    std::uint32_t act = kPass;
    // What it saw.
    std::int64_t result = 0;
    std::uint32_t bytes = 0;
    std::uint32_t runs = 0;
};

Deed g_deed;

std::uint64_t do_deed(
    std::uint64_t r1, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t) {
    const auto by = static_cast<std::uint64_t>(g_deed.by);
    std::uint64_t result = 0;
    switch (g_deed.kind) {
        case Deed::Kind::tail:
            result = ebpf::helpers::xdp_adjust_tail(r1, by, 0, 0, 0);
            break;
        case Deed::Kind::head:
            result = ebpf::helpers::xdp_adjust_head(r1, by, 0, 0, 0);
            break;
        case Deed::Kind::pull:
            result = ebpf::kfuncs::xdp_pull_data(r1, by, 0, 0, 0);
            break;
        case Deed::Kind::nothing:
            break;
    }
    g_deed.result = static_cast<std::int32_t>(result);
    g_deed.bytes = static_cast<std::uint32_t>(ebpf::helpers::xdp_get_buff_len(r1, 0, 0, 0, 0));
    ++g_deed.runs;
    return g_deed.act;
}

using Bytes = std::vector<std::uint8_t>;

/// The bytes that test::FrameSource::make_long() writes.
Bytes made(std::uint32_t bytes) {
    Bytes row(bytes);
    for (std::uint32_t i = 0; i < bytes; ++i) {
        row[i] = static_cast<std::uint8_t>(i * 7);
    }
    return row;
}

Bytes bytes_in(const Frame& frame) {
    Bytes row(frame.data, frame.data + frame.len);
    std::uint32_t fragments = 0;
    for (rte_mbuf* page = frame.page->next; page != nullptr; page = page->next) {
        const auto* const data = rte_pktmbuf_mtod(page, const std::uint8_t*);
        row.insert(row.end(), data, data + page->data_len);
        ++fragments;
    }
    EXPECT_EQ(fragments, frame.fragments);
    return row;
}

class XdpFragments : public testing::Test {
  protected:
    void SetUp() override {
        g_deed = {};
        ASSERT_TRUE(attach(0, test::calling(do_deed, ebpf::kAttachXdp, true)));
    }

    void TearDown() override { EXPECT_EQ(source_.in_flight(), held_); }

    /// Runs the deed over one frame. Returns how many were passed.
    std::uint32_t run(std::initializer_list<std::uint32_t> pieces) {
        frame_ = source_.make_long(pieces);
        return port_.run(&frame_, 1);
    }

    /// After a pass: the frame is these bytes in this many fragments.
    void expect(const Bytes& bytes, std::uint32_t fragments) {
        EXPECT_EQ(bytes_in(frame_), bytes);
        EXPECT_EQ(frame_.fragments, fragments);
        EXPECT_EQ(bytes_of(frame_), bytes.size());
        EXPECT_EQ(g_deed.bytes, bytes.size());
        EXPECT_EQ(source_.in_flight(), 1 + fragments) << "pages that it lost are at home already";
        recycle(&frame_, 1);
        EXPECT_EQ(source_.in_flight(), 0U);
    }

    test::FrameSource source_{"pieces"};
    test::FakePort port_{0};
    Frame frame_{};
    std::uint64_t held_ = 0;
};

TEST_F(XdpFragments, PassedFramesBecomeChains) {
    ASSERT_EQ(run({2000, 1500, 700}), 1U);
    EXPECT_EQ(bytes_in(frame_), made(4200));
    rte_mbuf* const mbuf = to_mbuf(frame_, 5);
    EXPECT_EQ(mbuf->pkt_len, 4200U);
    EXPECT_EQ(mbuf->data_len, 2000U);
    EXPECT_EQ(mbuf->nb_segs, 3U);
    EXPECT_EQ(mbuf->port, 5U);
    EXPECT_EQ(rte_mbuf_check(mbuf, 1, nullptr), 0);
    rte_pktmbuf_free(mbuf);
    EXPECT_EQ(verdicts(0).pass, 1U);
}

TEST_F(XdpFragments, WhatDoesNotPassGoesHomeAndIsCounted) {
    for (const std::uint32_t act : {kDrop, kAborted, kRedirect, 77U}) {
        g_deed.act = act;
        EXPECT_EQ(run({2000, 1500, 700}), 0U);
        EXPECT_EQ(source_.in_flight(), 0U) << act;
    }
    EXPECT_EQ(verdicts(0).drop, 1U);
    EXPECT_EQ(verdicts(0).aborted, 2U);
    EXPECT_EQ(verdicts(0).redirect_errors, 1U) << "no target was asked for";
}

TEST_F(XdpFragments, SentFramesKeepTheirPiecesOrComeHome) {
    g_deed.act = kTx;
    port_.keeps = true;
    EXPECT_EQ(run({2000, 1500}), 0U);
    ASSERT_EQ(port_.sent.size(), 1U);
    EXPECT_EQ(bytes_in(port_.sent[0]), made(3500));
    port_.drain();
    port_.room = 0;
    EXPECT_EQ(run({2000, 1500}), 0U);
    EXPECT_EQ(verdicts(0).tx, 1U);
    EXPECT_EQ(verdicts(0).tx_errors, 1U);
}

TEST_F(XdpFragments, PortsThatSendNoFragmentsAreNotAskedTo) {
    const test::FakePort plain(3, false);
    ASSERT_TRUE(attach(3, test::calling(do_deed, ebpf::kAttachXdp, true)));
    g_deed.act = kTx;
    frame_ = source_.make_long({2000, 1500});
    EXPECT_EQ(plain.run(&frame_, 1), 0U);
    EXPECT_EQ(plain.xmit_calls, 0U);
    EXPECT_EQ(verdicts(3).tx_errors, 1U);
    EXPECT_EQ(verdicts(3).drop, 0U);
    EXPECT_EQ(source_.in_flight(), 0U);
    // One that has become one piece is sent.
    g_deed.kind = Deed::Kind::tail;
    g_deed.by = -1500;
    frame_ = source_.make_long({2000, 1500});
    EXPECT_EQ(plain.run(&frame_, 1), 0U);
    EXPECT_EQ(plain.transmitted, 1U);
    EXPECT_EQ(verdicts(3).tx, 1U);
}

TEST_F(XdpFragments, ProgramsWithoutSupportNeverSeeThem) {
    ASSERT_TRUE(attach(0, test::calling(do_deed)));
    EXPECT_FALSE(port_.hooks[0].takes_fragments.load());
    EXPECT_EQ(run({2000, 1500}), 0U);
    EXPECT_EQ(g_deed.runs, 0U);
    EXPECT_EQ(verdicts(0).aborted, 1U);
    EXPECT_EQ(source_.in_flight(), 0U);
    EXPECT_EQ(run({2000}), 1U) << "one page is what it takes";
    recycle(&frame_, 1);
    ASSERT_TRUE(attach(0, test::calling(do_deed, ebpf::kAttachXdp, true)));
    EXPECT_TRUE(port_.hooks[0].takes_fragments.load());
}

TEST_F(XdpFragments, TailShrinksAcrossPieces) {
    g_deed.kind = Deed::Kind::tail;

    struct Case {
        std::uint32_t by;
        std::uint32_t fragments;
    };

    for (const Case& one : {Case{0, 2},
                            {1, 2},
                            {699, 2},
                            {700, 1},
                            {701, 1},
                            {2199, 1},
                            {2200, 0},
                            {2201, 0},
                            {4186, 0}}) {
        g_deed.by = -std::int64_t{one.by};
        ASSERT_EQ(run({2000, 1500, 700}), 1U);
        EXPECT_EQ(g_deed.result, 0);
        SCOPED_TRACE(one.by);
        expect(made(4200 - one.by), one.fragments);
    }
    g_deed.by = -4187;
    ASSERT_EQ(run({2000, 1500, 700}), 1U);
    EXPECT_EQ(g_deed.result, -EINVAL);
    expect(made(4200), 2);
}

TEST_F(XdpFragments, TailGrowsWithinTheLastPage) {
    g_deed.kind = Deed::Kind::tail;
    for (const std::uint32_t by : {1U, 320U, kRoomOfPage - 700}) {
        g_deed.by = by;
        ASSERT_EQ(run({2000, 1500, 700}), 1U);
        EXPECT_EQ(g_deed.result, 0) << by;
        Bytes grown = made(4200);
        grown.resize(4200 + by);
        expect(grown, 2);
    }
    g_deed.by = kRoomOfPage - 700 + 1;
    ASSERT_EQ(run({2000, 1500, 700}), 1U);
    EXPECT_EQ(g_deed.result, -EINVAL);
    expect(made(4200), 2);
}

TEST_F(XdpFragments, HeadIsTheFirstPiecesAlone) {
    g_deed.kind = Deed::Kind::head;
    Bytes rest = made(4200);
    rest.erase(rest.begin(), rest.begin() + 1986);
    g_deed.by = 1986;
    ASSERT_EQ(run({2000, 1500, 700}), 1U);
    EXPECT_EQ(g_deed.result, 0);
    expect(rest, 2);
    g_deed.by = 1987;
    ASSERT_EQ(run({2000, 1500, 700}), 1U);
    EXPECT_EQ(g_deed.result, -EINVAL);
    expect(made(4200), 2);
}

TEST_F(XdpFragments, PulledBytesComeFromTheFrontAndEmptyPagesGoHome) {
    g_deed.kind = Deed::Kind::pull;

    struct Case {
        std::uint32_t to;
        std::uint32_t fragments;
        std::uint32_t linear;
    };

    for (const Case& one : {Case{0, 2, 100},
                            {100, 2, 100},
                            {101, 2, 101},
                            {399, 2, 399},
                            {400, 1, 400},
                            {401, 1, 401},
                            {1100, 0, 1100}}) {
        g_deed.by = one.to;
        ASSERT_EQ(run({100, 300, 700}), 1U);
        EXPECT_EQ(g_deed.result, 0) << one.to;
        EXPECT_EQ(frame_.len, one.linear);
        expect(made(1100), one.fragments);
    }
    g_deed.by = 1101;
    ASSERT_EQ(run({100, 300, 700}), 1U);
    EXPECT_EQ(g_deed.result, -EINVAL);
    expect(made(1100), 2);
    // Without room behind it the first piece moves to the front; not into the frame header's place.
    constexpr std::uint32_t kHeadroom = ebpf::kXdpHeadroom - ebpf::kFrameReserve;
    g_deed.by = page_pool::kFirstPieceBytesMax + kHeadroom;
    ASSERT_EQ(run({page_pool::kFirstPieceBytesMax, 300, 700}), 1U);
    EXPECT_EQ(g_deed.result, 0);
    expect(made(page_pool::kFirstPieceBytesMax + 1000), 2);
    ++g_deed.by;
    ASSERT_EQ(run({page_pool::kFirstPieceBytesMax, 300, 700}), 1U);
    EXPECT_EQ(g_deed.result, -EINVAL);
    expect(made(page_pool::kFirstPieceBytesMax + 1000), 2);
}

TEST_F(XdpFragments, LongAndShortFramesOfOneBurstDoNotMix) {
    std::mt19937 dice(7);
    const auto below = [&dice](std::uint32_t end) {
        return static_cast<std::uint32_t>(dice() % end);
    };
    for (int round = 0; round < 2000; ++round) {
        std::array<Frame, kBurstMax> frames;
        const std::uint32_t n = 1 + below(kBurstMax);
        std::array<std::uint32_t, kBurstMax> sizes{};
        for (std::uint32_t i = 0; i < n; ++i) {
            const std::uint32_t kind = below(3);
            frames[i] = kind == 0   ? source_.make_long({64 + i})
                        : kind == 1 ? source_.make_long({700, 100 + i})
                                    : source_.make_long({700, 1, 2000, 30 + i});
            sizes[i] = bytes_of(frames[i]);
        }
        g_deed = {};
        g_deed.kind = below(2) == 0 ? Deed::Kind::tail : Deed::Kind::nothing;
        g_deed.by = -std::int64_t{below(50)};
        g_deed.act = below(5);
        port_.room = below(2) == 0 ? below(n) : UINT32_MAX;
        const std::uint32_t passed = port_.run(frames.data(), n);
        ASSERT_EQ(passed, g_deed.act == kPass ? n : 0U);
        ASSERT_EQ(g_deed.runs, n);
        for (std::uint32_t i = 0; i < passed; ++i) {
            const std::int64_t off = g_deed.kind == Deed::Kind::tail ? g_deed.by : 0;
            const std::int64_t wanted = std::int64_t{sizes[i]} + off;
            ASSERT_EQ(bytes_in(frames[i]), made(static_cast<std::uint32_t>(wanted)));
        }
        recycle(frames.data(), passed);
        ASSERT_EQ(source_.in_flight(), 0U);
    }
}

}  // namespace
}  // namespace crema::xdp
