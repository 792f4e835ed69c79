// SPDX-License-Identifier: BSD-3-Clause
//
// What the kernel's tests of native XDP ask of a driver, on the model: pass, drop and send back,
// tails and heads that grow and shrink, of frames in one page and in several. The frames come from
// and go to a second port; every byte is compared and every page comes home.
#include <algorithm>
#include <gtest/gtest.h>
#include <random>
#include <string>
#include <vector>

#include "lib/ebpf/abi/verdict.h"
#include "lib/ebpf/abi/xdp_buff.h"
#include "lib/page_pool/page_pool.h"
#include "lib/xdp/hook.h"
#include "tests/driver/model_port.h"
#include "tests/driver/sums.h"

namespace crema::test {
namespace {

constexpr std::size_t kHeaders = 14 + 20 + 8;
constexpr std::uint16_t kPort = 9000;
constexpr std::uint16_t kMtu = 9000;
constexpr std::uint8_t kTag = 0xc5;
constexpr std::uint32_t kPiece = page_pool::kPieceDmaBytes;
constexpr std::uint32_t kRoomOfPage = page_pool::kBufferBytes - page_pool::kDmaOffset;

enum class Deed : std::uint8_t { keep = 0, tail = 1, head = 2 };

struct Order {
    ebpf::Verdict verdict;
    Deed deed = Deed::keep;
    int by = 0;
};

/// An UDP datagram for the test program; `bytes` is the frame's length.
Bytes frame_with(const Order& order, std::size_t bytes, std::uint32_t seed) {
    std::mt19937 dice(seed);
    Bytes payload(bytes - kHeaders);
    std::generate(payload.begin(), payload.end(),
                  [&] { return static_cast<std::uint8_t>(dice()); });
    payload.at(0) = static_cast<std::uint8_t>(order.verdict);
    payload.at(1) = static_cast<std::uint8_t>(order.deed);
    const auto by = static_cast<std::int16_t>(order.by);
    std::memcpy(&payload.at(2), &by, sizeof by);
    payload.at(4) = kTag;
    Bytes frame = frame_of(kIpv4, ipv4(kUdp, udp(1234, kPort, payload)));
    std::memcpy(&frame.at(6), &kOther, 6);
    return frame;
}

std::uint16_t word_at(const Bytes& frame, std::size_t at) {
    return static_cast<std::uint16_t>(frame.at(at) << 8U | frame.at(at + 1));
}

/// The payload as the program leaves it.
Bytes payload_after(const Bytes& frame, const Order& order) {
    Bytes payload(frame.begin() + kHeaders, frame.end());
    if (order.deed == Deed::tail) {
        payload.resize(payload.size() + static_cast<std::size_t>(order.by), kTag);
    } else if (order.deed == Deed::head && order.by < 0) {
        payload.erase(payload.begin(), payload.begin() - order.by);
    } else if (order.deed == Deed::head) {
        payload.insert(payload.begin(), static_cast<std::size_t>(order.by), kTag);
    }
    return payload;
}

void expect_datagram(const Bytes& got, const Bytes& payload, const std::string& what) {
    ASSERT_EQ(got.size(), kHeaders + payload.size()) << what;
    EXPECT_EQ(Bytes(got.begin() + kHeaders, got.end()), payload) << what;
    EXPECT_EQ(word_at(got, 16), got.size() - 14) << what << ": IP length";
    EXPECT_EQ(word_at(got, 38), got.size() - 34) << what << ": UDP length";
    std::uint32_t sum = 0;
    for (std::size_t at = 14; at < 34; at += 2) {
        sum += word_at(got, at);
    }
    EXPECT_EQ((sum & 0xffffU) + (sum >> 16U), 0xffffU) << what << ": IP checksum";
}

rte_mbuf* in_segments(const Bytes& bytes) {
    rte_mbuf* first = nullptr;
    for (std::size_t at = 0; at < bytes.size(); at += 2000) {
        const std::size_t n = std::min<std::size_t>(2000, bytes.size() - at);
        rte_mbuf* segment = mbuf_of({bytes.begin() + static_cast<std::ptrdiff_t>(at),
                                     bytes.begin() + static_cast<std::ptrdiff_t>(at + n)});
        if (first == nullptr) {
            first = segment;
        } else {
            EXPECT_EQ(rte_pktmbuf_chain(first, segment), 0);
        }
    }
    return first;
}

/// What a program may have of the first page.
constexpr std::size_t kInFirst = kPiece - 2;

/// One page, and two, three and four.
constexpr std::size_t kSizes[] = {512, 1024, 2048, kPiece - 6, 4096, 6001, 9018};

class NativeXdp : public PortOnModel {
  protected:
    void SetUp() override {
        for (EthPort* port : {&port_, &peer_}) {
            port->conf.rxmode.offloads = RTE_ETH_RX_OFFLOAD_SCATTER;
            port->conf.txmode.offloads = RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
            port->conf.rxmode.mtu = kMtu;
        }
        up("pair:native", std::string(",xdp=") + CREMA_TEST_OBJECTS + "/native_cases.o:in_pieces");
        // What grows is received by somebody who takes longer frames.
        peer_.conf.rxmode.mtu = kMtu + 4000;
        ASSERT_EQ(peer_.plug("net_neta1", on_wire("pair:native") + ",mac=02:00:00:00:00:20"), 0);
        ASSERT_EQ(peer_.configure(), 0);
        ASSERT_EQ(peer_.start(), 0);
    }

    void TearDown() override {
        if (HasFatalFailure()) {
            receive_and_free(port_);
            receive_and_free(peer_);
        }
        EXPECT_EQ(rte_eth_dev_stop(peer_.id), 0);
        EXPECT_EQ(peer_.xstat("rx_pp_in_flight"), 0U);
        peer_.close();
        PortOnModel::TearDown();
    }

    rte_mbuf* next(const EthPort& port) {
        rte_mbuf* mbuf = nullptr;
        for (int polls = 0; polls < 20'000 && mbuf == nullptr; ++polls) {
            if (rte_eth_rx_burst(port.id, 0, &mbuf, 1) == 0) {
                rte_delay_us_block(5);
            }
        }
        return mbuf;
    }

    /// Pages that the port's program has not given back.
    std::uint64_t in_flight() { return port_.xstat("rx_pp_in_flight"); }

    /// Sends one frame to the program, and expects what `order` makes of it.
    void expect_done(const Order& order, std::size_t bytes) {
        const std::string what =
            fmt::format("verdict {}, {} by {}, {} bytes", static_cast<int>(order.verdict),
                        order.deed == Deed::tail ? "tail" : "head", order.by, bytes);
        const Bytes frame = frame_with(order, bytes, ++seed_);
        ASSERT_TRUE(send(peer_, in_segments(frame)));
        const bool returns = order.verdict == ebpf::Verdict::tx;
        rte_mbuf* mbuf = nullptr;
        if (returns) {
            receive_and_free(port_);
            mbuf = next(peer_);
        } else {
            mbuf = next(port_);
        }
        ASSERT_NE(mbuf, nullptr) << what;
        EXPECT_EQ(rte_mbuf_check(mbuf, 1, nullptr), 0) << what;
        expect_datagram(bytes_of(mbuf), payload_after(frame, order), what);
        rte_pktmbuf_free(mbuf);
        EXPECT_EQ(receive_and_free(peer_), 0U) << what;
    }

    /// The program cannot do it: the frame is ABORTED.
    void expect_refused(const Order& order, std::size_t bytes) {
        const std::uint64_t before = port_.xstat("rx_xdp_aborted");
        ASSERT_TRUE(send(peer_, in_segments(frame_with(order, bytes, ++seed_))));
        EXPECT_EQ(receive_and_free(port_), 0U);
        EXPECT_EQ(port_.xstat("rx_xdp_aborted"), before + 1) << order.by << " of " << bytes;
    }

    EthPort peer_;
    std::uint32_t seed_ = 0;
};

using ebpf::Verdict;

TEST_F(NativeXdp, FramesPassWhole) {
    for (const std::size_t bytes : kSizes) {
        expect_done({.verdict = Verdict::pass}, bytes);
    }
    EXPECT_EQ(port_.xstat("rx_xdp_pass"), std::size(kSizes));
}

TEST_F(NativeXdp, DroppedFramesComeHome) {
    for (int round = 0; round < 200; ++round) {
        for (const std::size_t bytes : kSizes) {
            ASSERT_TRUE(send(peer_, in_segments(frame_with({.verdict = Verdict::drop}, bytes, 1))));
            EXPECT_EQ(receive_and_free(port_), 0U);
        }
    }
    EXPECT_EQ(port_.xstat("rx_xdp_drop"), 200 * std::size(kSizes));
    EXPECT_EQ(port_.stats().imissed + port_.stats().ierrors, 0U);
}

TEST_F(NativeXdp, FramesAreSentBackWhole) {
    for (int round = 0; round < 100; ++round) {
        for (const std::size_t bytes : kSizes) {
            ASSERT_NO_FATAL_FAILURE(expect_done({.verdict = Verdict::tx}, bytes));
        }
    }
    EXPECT_EQ(port_.xstat("rx_xdp_tx"), 100 * std::size(kSizes));
    EXPECT_EQ(port_.xstat("tx_xdp_xmit_errors"), 0U);
}

TEST_F(NativeXdp, TailsGrow) {
    for (const Verdict verdict : {Verdict::pass, Verdict::tx}) {
        for (const std::size_t bytes : kSizes) {
            for (const int by : {1, 16, 32, 64, 128, 256, 314}) {
                const Order order = {.verdict = verdict, .deed = Deed::tail, .by = by};
                if (bytes <= kInFirst && bytes + static_cast<std::size_t>(by) > kInFirst) {
                    expect_refused(order, bytes);
                } else {
                    ASSERT_NO_FATAL_FAILURE(expect_done(order, bytes));
                }
            }
        }
    }
    // To the end of the last page, and not beyond: in the first one the tail is not for programs.
    const std::size_t in_last = 6000 - kInFirst - kPiece;
    const int most = static_cast<int>(kRoomOfPage - in_last);
    expect_done({.verdict = Verdict::pass, .deed = Deed::tail, .by = most}, 6000);
    expect_refused({.verdict = Verdict::pass, .deed = Deed::tail, .by = most + 1}, 6000);
    const int in_one = static_cast<int>(kInFirst - 1000);
    expect_done({.verdict = Verdict::pass, .deed = Deed::tail, .by = in_one}, 1000);
    expect_refused({.verdict = Verdict::pass, .deed = Deed::tail, .by = in_one + 1}, 1000);
}

TEST_F(NativeXdp, TailsShrinkAlsoByWholePages) {
    for (const Verdict verdict : {Verdict::pass, Verdict::tx}) {
        for (const std::size_t bytes : kSizes) {
            for (const int by : {-1, -16, -32, -64, -128, -256, -400}) {
                ASSERT_NO_FATAL_FAILURE(
                    expect_done({.verdict = verdict, .deed = Deed::tail, .by = by}, bytes));
            }
        }
        for (const int left : {60, 1000, 2873, 2877, 2878, 2879, 2880, 5757, 5758, 5759, 9000}) {
            ASSERT_NO_FATAL_FAILURE(
                expect_done({.verdict = verdict, .deed = Deed::tail, .by = left - 9018}, 9018));
        }
    }
    EXPECT_EQ(port_.xstat("rx_xdp_aborted"), 0U);
}

TEST_F(NativeXdp, HeadsGrow) {
    constexpr int kMost = ebpf::kXdpHeadroom - ebpf::kFrameReserve;
    for (const Verdict verdict : {Verdict::pass, Verdict::tx}) {
        for (const std::size_t bytes : kSizes) {
            for (const int by : {1, 8, 16, 32, 64, 128, kMost}) {
                ASSERT_NO_FATAL_FAILURE(
                    expect_done({.verdict = verdict, .deed = Deed::head, .by = by}, bytes));
            }
            expect_refused({.verdict = verdict, .deed = Deed::head, .by = kMost + 1}, bytes);
        }
    }
}

TEST_F(NativeXdp, HeadsShrink) {
    for (const Verdict verdict : {Verdict::pass, Verdict::tx}) {
        for (const std::size_t bytes : kSizes) {
            for (const int by : {-1, -8, -16, -32, -64, -128, -256, -450}) {
                ASSERT_NO_FATAL_FAILURE(
                    expect_done({.verdict = verdict, .deed = Deed::head, .by = by}, bytes));
            }
        }
    }
    // The first page keeps 14 bytes.
    constexpr int kMost = static_cast<int>(kPiece) - 2 - 14;
    expect_done({.verdict = Verdict::pass, .deed = Deed::head, .by = -kMost}, 4096);
    expect_refused({.verdict = Verdict::pass, .deed = Deed::head, .by = -kMost - 1}, 4096);
}

}  // namespace
}  // namespace crema::test
