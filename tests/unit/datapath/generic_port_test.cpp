// SPDX-License-Identifier: BSD-3-Clause
//
// Generic mode on net_ring, a port that receives what it sends: which frames are copied, what
// programs get to see, what happens to what does not fit, and frames over several pages for
// programs that take them.
#include <array>
#include <cstring>
#include <gtest/gtest.h>

#include "lib/datapath/port.h"
#include "lib/ebpf/helpers/natives.h"
#include "lib/page_pool/page_pool.h"
#include "lib/xdp/attach.h"
#include "lib/xdp/test_run.h"
#include "tests/support/eal.h"
#include "tests/support/tiny_program.h"

namespace crema::datapath {
namespace {

[[maybe_unused]] const auto* const eal =
    test::with_eal({"-m", "64", "-l", "0", "--vdev=net_ring0"});

constexpr std::uint32_t kDrop = 1, kPass = 2, kTx = 3;
constexpr std::uint32_t kPages = 128;
constexpr unsigned kLcore = 0;

class DatapathGeneric : public testing::Test {
  protected:
    // One port for all tests: net_ring cannot be opened twice in one process.
    static void SetUpTestSuite() {
        const std::array<unsigned, 1> senders = {kLcore};
        auto opened = Port::open({.port_id = 0, .senders = senders, .mbufs = kPages});
        ASSERT_TRUE(opened) << opened.error().message;
        shared_port = std::move(*opened);
        ASSERT_TRUE(shared_port->start());
        shared_port->set_poller(0, kLcore);
        shared_stock = rte_pktmbuf_pool_create("stock", 511, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, -1);
        ASSERT_NE(shared_stock, nullptr);
        const auto made = page_pool::create({.name = "foreign", .pages = 128});
        ASSERT_TRUE(made) << made.error().message;
        shared_pages = *made;
    }

    static void TearDownTestSuite() {
        shared_port->close();
        std::string missing;
        EXPECT_EQ(buffers_missing(&missing), 0U) << missing;
        EXPECT_EQ(rte_mempool_in_use_count(shared_stock), 0U);
        shared_port.reset();
        rte_mempool_free(shared_stock);
        EXPECT_TRUE(page_pool::destroy(shared_pages));
    }

    void SetUp() override { before_ = shared_port->generic()->counters(); }

    void TearDown() override {
        if (xdp::attached(0) != nullptr) {
            EXPECT_TRUE(xdp::detach(0));
        }
        std::string missing;
        EXPECT_EQ(buffers_missing(&missing), 0U) << missing;
    }

    /// A frame of `len` bytes in segments of at most `part`, byte i is i + first.
    rte_mbuf* frame(std::uint32_t len, std::uint8_t first, std::uint32_t part = 2048) {
        rte_mbuf* head = nullptr;
        for (std::uint32_t at = 0; at < len; at += part) {
            rte_mbuf* segment = rte_pktmbuf_alloc(shared_stock);
            EXPECT_NE(segment, nullptr);
            const auto bytes = static_cast<std::uint16_t>(std::min(part, len - at));
            auto* data = reinterpret_cast<std::uint8_t*>(rte_pktmbuf_append(segment, bytes));
            for (std::uint32_t i = 0; i < bytes; ++i) {
                data[i] = static_cast<std::uint8_t>(at + i + first);
            }
            if (head == nullptr) {
                head = segment;
            } else {
                EXPECT_EQ(rte_pktmbuf_chain(head, segment), 0);
            }
        }
        return head;
    }

    rte_mbuf* page_frame(std::uint8_t first) {
        rte_mbuf* page = nullptr;
        EXPECT_EQ(page_pool::alloc_bulk(shared_pages, &page, 1), 1U);
        std::uint8_t* const data = page_pool::buffer_of(page) + page_pool::kDataOffset;
        data[0] = first;
        page_pool::to_mbuf(page, data, 64, 0);
        return page;
    }

    void send(rte_mbuf* mbuf) { ASSERT_EQ(shared_port->send(kLcore, &mbuf, 1), 1); }

    std::uint32_t receive() {
        std::uint32_t received = 0;
        return shared_port->receive(0, got_.data(), 32, &received);
    }

    /// Since the test began.
    [[nodiscard]] GenericCounters counters() const {
        GenericCounters now = shared_port->generic()->counters();
        now.copied -= before_.copied;
        now.too_long -= before_.too_long;
        now.no_page -= before_.no_page;
        now.tx_xdp_xmit -= before_.tx_xdp_xmit;
        return now;
    }

    inline static std::unique_ptr<Port> shared_port;
    inline static rte_mempool* shared_stock = nullptr;
    inline static rte_mempool* shared_pages = nullptr;
    GenericCounters before_;
    std::array<rte_mbuf*, 64> got_{};
};

TEST_F(DatapathGeneric, WithoutProgramNothingIsTouched) {
    rte_mbuf* const sent = frame(64, 0);
    send(sent);
    ASSERT_EQ(receive(), 1U);
    EXPECT_EQ(got_[0], sent);
    EXPECT_EQ(counters().copied, 0U);
    rte_pktmbuf_free(sent);
}

TEST_F(DatapathGeneric, FramesAreCopiedWholeAlsoFromSegments) {
    ASSERT_TRUE(xdp::attach(0, test::returning(kPass)));
    send(frame(64, 1));
    send(frame(1500, 2, 400));
    ASSERT_EQ(receive(), 2U);
    EXPECT_EQ(got_[1]->pkt_len, 1500U);
    EXPECT_EQ(got_[1]->nb_segs, 1U);
    const auto* const data = rte_pktmbuf_mtod(got_[1], const std::uint8_t*);
    for (std::uint32_t i = 0; i < 1500; ++i) {
        ASSERT_EQ(data[i], static_cast<std::uint8_t>(i + 2)) << "byte " << i;
    }
    EXPECT_EQ(counters().copied, 2U);
    rte_pktmbuf_free_bulk(got_.data(), 2);
}

TEST_F(DatapathGeneric, PagesStayWhereTheyAreAndOrderIsKept) {
    ASSERT_TRUE(xdp::attach(0, test::returning(kPass)));
    rte_mbuf* const page = page_frame(7);
    send(frame(64, 6));
    send(page);
    send(frame(64, 8));
    ASSERT_EQ(receive(), 3U);
    EXPECT_EQ(got_[1], page);
    for (std::uint32_t i = 0; i < 3; ++i) {
        EXPECT_EQ(*rte_pktmbuf_mtod(got_[i], std::uint8_t*), 6 + i);
    }
    EXPECT_EQ(counters().copied, 2U);
    rte_pktmbuf_free_bulk(got_.data(), 3);
}

TEST_F(DatapathGeneric, SharedPageIsCopied) {
    ASSERT_TRUE(xdp::attach(0, test::returning(kPass)));
    rte_mbuf* const page = page_frame(9);
    rte_mbuf_refcnt_update(page, 1);
    send(page);
    ASSERT_EQ(receive(), 1U);
    EXPECT_NE(got_[0], page) << "somebody else still reads it";
    rte_pktmbuf_free(got_[0]);
    rte_pktmbuf_free(page);
}

TEST_F(DatapathGeneric, TooLongFramesAreDroppedAndCounted) {
    ASSERT_TRUE(xdp::attach(0, test::returning(kPass)));
    send(frame(page_pool::kXdpFrameBytesMax + 1, 0));
    send(frame(page_pool::kXdpFrameBytesMax, 0));
    ASSERT_EQ(receive(), 1U);
    EXPECT_EQ(got_[0]->pkt_len, page_pool::kXdpFrameBytesMax);
    EXPECT_EQ(counters().too_long, 1U);
    rte_pktmbuf_free(got_[0]);
}

std::uint64_t g_length_seen = 0;
std::int64_t g_tail = 0;

/// Shortens the frame by g_tail bytes and sends it back, or passes it.
template <std::uint32_t kVerdict>
std::uint64_t cut_tail(
    std::uint64_t r1, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t) {
    namespace helpers = ebpf::helpers;
    if (g_tail != 0) {
        helpers::xdp_adjust_tail(r1, static_cast<std::uint64_t>(-g_tail), 0, 0, 0);
    }
    g_length_seen = helpers::xdp_get_buff_len(r1, 0, 0, 0, 0);
    return kVerdict;
}

/// Byte i is i + first, over `pages` segments.
void expect_whole(const rte_mbuf* mbuf,
                  std::uint32_t len,
                  std::uint32_t pages,
                  std::uint8_t first) {
    ASSERT_EQ(mbuf->pkt_len, len);
    EXPECT_EQ(mbuf->nb_segs, pages);
    EXPECT_EQ(rte_mbuf_check(mbuf, 1, nullptr), 0);
    std::vector<std::uint8_t> room(len);
    const auto* const bytes =
        static_cast<const std::uint8_t*>(rte_pktmbuf_read(mbuf, 0, len, room.data()));
    for (std::uint32_t i = 0; i < len; ++i) {
        ASSERT_EQ(bytes[i], static_cast<std::uint8_t>(i + first)) << "byte " << i << " of " << len;
    }
}

TEST_F(DatapathGeneric, LongFramesLieInSeveralPages) {
    ASSERT_TRUE(xdp::attach(0, test::calling(cut_tail<kPass>, ebpf::kAttachXdp, true)));
    constexpr std::uint32_t kFirst = page_pool::kFirstPieceBytesMax;
    constexpr std::uint32_t kNext = page_pool::kPieceDmaBytes;
    for (const std::uint32_t part : {400U, 2048U, 1999U}) {
        for (const std::uint32_t len :
             {60U, kFirst, kFirst + 1, kFirst + kNext, kFirst + kNext + 1, 9018U, 20000U}) {
            send(frame(len, 3, part));
            send(frame(64, 5));
            ASSERT_EQ(receive(), 2U);
            EXPECT_EQ(g_length_seen, 64U);
            expect_whole(got_[0], len, 1 + (std::max(len, kFirst) - kFirst + kNext - 1) / kNext, 3);
            expect_whole(got_[1], 64, 1, 5);
            rte_pktmbuf_free_bulk(got_.data(), 2);
        }
    }
    EXPECT_EQ(counters().too_long, 0U);
    EXPECT_EQ(counters().no_page, 0U);
}

TEST_F(DatapathGeneric, LongFramesAreCutDroppedAndSentBack) {
    ASSERT_TRUE(xdp::attach(0, test::calling(cut_tail<kPass>, ebpf::kAttachXdp, true)));
    g_tail = 4000;
    send(frame(9018, 3));
    ASSERT_EQ(receive(), 1U);
    expect_whole(got_[0], 5018, 2, 3);
    rte_pktmbuf_free(got_[0]);
    ASSERT_TRUE(xdp::attach(0, test::calling(cut_tail<kTx>, ebpf::kAttachXdp, true)));
    send(frame(9018, 4));
    EXPECT_EQ(receive(), 0U);
    EXPECT_EQ(counters().tx_xdp_xmit, 1U);
    g_tail = 0;
    ASSERT_TRUE(xdp::attach(0, test::calling(cut_tail<kPass>, ebpf::kAttachXdp, true)));
    ASSERT_EQ(receive(), 1U);
    expect_whole(got_[0], 5018, 2, 4);
    rte_pktmbuf_free(got_[0]);
    ASSERT_TRUE(xdp::attach(0, test::calling(cut_tail<kDrop>, ebpf::kAttachXdp, true)));
    const std::uint64_t drops = xdp::verdicts(0).drop;
    send(frame(9018, 4));
    EXPECT_EQ(receive(), 0U);
    EXPECT_EQ(xdp::verdicts(0).drop - drops, 1U);
}

TEST_F(DatapathGeneric, PagesForAllOfAFrameOrNone) {
    ASSERT_TRUE(xdp::attach(0, test::calling(cut_tail<kPass>, ebpf::kAttachXdp, true)));
    std::vector<rte_mbuf*> held;
    std::uint32_t pages = 0;
    for (int i = 0; i < 60; ++i) {
        send(frame(9018, 0));  // four pages
        for (std::uint32_t n = receive(); n > 0; --n) {
            held.push_back(got_[n - 1]);
            pages += got_[n - 1]->nb_segs;
        }
    }
    EXPECT_EQ(pages, kPages);
    EXPECT_EQ(held.size(), kPages / 4);
    EXPECT_EQ(counters().no_page, 60 - kPages / 4);
    rte_pktmbuf_free_bulk(held.data(), static_cast<unsigned>(held.size()));
}

TEST_F(DatapathGeneric, EmptyPoolDropsAndCounts) {
    ASSERT_TRUE(xdp::attach(0, test::returning(kPass)));
    std::vector<rte_mbuf*> held;
    for (std::uint32_t i = 0; i < kPages + 10; ++i) {
        send(frame(64, 0));
        for (std::uint32_t n = receive(); n > 0; --n) {
            held.push_back(got_[n - 1]);
        }
    }
    EXPECT_EQ(held.size(), kPages);
    EXPECT_EQ(counters().no_page, 10U);
    rte_pktmbuf_free_bulk(held.data(), static_cast<unsigned>(held.size()));
}

TEST_F(DatapathGeneric, TxComesBackWithoutASecondCopy) {
    ASSERT_TRUE(xdp::attach(0, test::returning(kTx)));
    send(frame(64, 0));
    EXPECT_EQ(receive(), 0U);
    EXPECT_EQ(counters().tx_xdp_xmit, 1U);
    EXPECT_EQ(receive(), 0U);
    EXPECT_EQ(counters().tx_xdp_xmit, 2U);
    EXPECT_EQ(counters().copied, 1U) << "it lies in a page by now";
    ASSERT_TRUE(xdp::attach(0, test::returning(kDrop)));
    const std::uint64_t drops = xdp::verdicts(0).drop;
    EXPECT_EQ(receive(), 0U);
    EXPECT_EQ(xdp::verdicts(0).drop - drops, 1U);
}

TEST_F(DatapathGeneric, TestRunsComeFromAQueueThatThePortHas) {
    ASSERT_TRUE(xdp::attach(0, test::returning(kPass)));
    const std::array<std::uint8_t, 64> packet{};
    xdp::TestRunContext context{.data = 0,
                                .data_end = packet.size(),
                                .data_meta = 0,
                                .ingress_ifindex = xdp::ifindex_of(0),
                                .rx_queue_index = 0,
                                .egress_ifindex = 0};
    EXPECT_TRUE(xdp::test_run(*xdp::attached(0), packet, context, 1));
    context.rx_queue_index = 1;
    const auto beyond = xdp::test_run(*xdp::attached(0), packet, context, 1);
    ASSERT_FALSE(beyond);
    EXPECT_EQ(beyond.error().code, EINVAL);
}

TEST_F(DatapathGeneric, MtuAndProgramRespectEachOther) {
    EXPECT_TRUE(xdp::attach(0, test::returning(kPass)));
    const Status refused = shared_port->set_mtu(9000);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, EINVAL);
    EXPECT_NE(refused.error().message.find("2856"), std::string::npos) << refused.error().message;
    EXPECT_TRUE(shared_port->generic()->check_mtu(2856));
    ASSERT_TRUE(xdp::attach(0, test::calling(cut_tail<kPass>, ebpf::kAttachXdp, true)));
    EXPECT_TRUE(shared_port->generic()->check_mtu(9000));
    EXPECT_FALSE(shared_port->generic()->check_mtu(65000));
}

}  // namespace
}  // namespace crema::datapath
