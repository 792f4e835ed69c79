// SPDX-License-Identifier: BSD-3-Clause
//
// Generic mode on net_ring, a port that receives what it sends: which frames are copied, what
// programs get to see, what happens to what does not fit.
#include <array>
#include <cstring>
#include <gtest/gtest.h>

#include "lib/datapath/port.h"
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
    EXPECT_FALSE(shared_port->set_mtu(9000));
}

}  // namespace
}  // namespace crema::datapath
