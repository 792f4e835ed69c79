// SPDX-License-Identifier: BSD-3-Clause
//
// The driver on a device that does not see the CPU's cache (cache=noncoherent), and on one whose
// lines are evicted at random moments as well: every byte of every frame, both ways, in buffers
// that application and programs wrote all over before. All other tests on the model run so too, by
// CREMA_MODEL_CACHE; what is in here says it itself.
#include <algorithm>
#include <gtest/gtest.h>
#include <random>
#include <string>
#include <vector>

#include "lib/page_pool/page_pool.h"
#include "lib/xdp/hook.h"
#include "tests/driver/model_port.h"
#include "tests/driver/sums.h"

namespace crema::test {
namespace {

constexpr unsigned kRounds = 400;

Bytes random_frame(std::mt19937& dice, std::size_t bytes) {
    Bytes frame(bytes);
    std::generate(frame.begin(), frame.end(), [&] { return static_cast<std::uint8_t>(dice()); });
    std::memcpy(frame.data(), &kOwn, 6);
    frame.at(6) = 2;
    frame.at(12) = 0x88;
    frame.at(13) = 0xb5;
    frame.at(14) = 0;
    return frame;
}

rte_mbuf* in_mbuf(const Bytes& bytes) {
    rte_mbuf* mbuf = EthPort::app_mbuf(static_cast<std::uint16_t>(bytes.size()));
    std::memcpy(rte_pktmbuf_mtod(mbuf, std::uint8_t*), bytes.data(), bytes.size());
    return mbuf;
}

/// In segments as long as `length` says, one after the other.
template <typename Length>
rte_mbuf* in_chain(const Bytes& frame, Length length) {
    rte_mbuf* chain = nullptr;
    for (auto at = frame.begin(); at != frame.end();) {
        const auto end = at + std::min<std::ptrdiff_t>(length(), frame.end() - at);
        rte_mbuf* segment = in_mbuf(Bytes(at, end));
        at = end;
        if (chain == nullptr) {
            chain = segment;
        } else {
            EXPECT_EQ(rte_pktmbuf_chain(chain, segment), 0);
        }
    }
    return chain;
}

/// As an application may: head room, frame, tail room.
void scribble(rte_mbuf* mbuf, std::uint8_t with) {
    std::memset(mbuf->buf_addr, with, mbuf->buf_len);
}

class ModelCache : public PortOnModel, public testing::WithParamInterface<const char*> {
  protected:
    std::string on_wire(const std::string& wire, const std::string& engine = "inline") override {
        return PortOnModel::on_wire(wire, engine) + ",cache=" + GetParam();
    }

    /// Frames that are on their way at the moment, at most.
    rte_mbuf* next(const EthPort& port) {
        rte_mbuf* mbuf = nullptr;
        for (int polls = 0; polls < 20'000 && mbuf == nullptr; ++polls) {
            if (rte_eth_rx_burst(port.id, 0, &mbuf, 1) == 0) {
                rte_delay_us_block(5);
            }
        }
        return mbuf;
    }

    std::mt19937 dice_{20261129};
};

INSTANTIATE_TEST_SUITE_P(,
                         ModelCache,
                         testing::Values("noncoherent", "evicting:1", "evicting:2"),
                         [](const auto& cache) {
                             std::string name = cache.param;
                             std::replace(name.begin(), name.end(), ':', '_');
                             return name;
                         });

TEST_P(ModelCache, WrongArgumentsAreRefused) {
    EXPECT_EQ(port_.plug("net_neta0", "device=model,cache=always"), -EINVAL);
    EXPECT_EQ(port_.plug("net_neta0", "device=user:/no/such,cache=noncoherent"), -EINVAL);
}

TEST_P(ModelCache, EveryByteInBuffersThatWereWrittenAllOver) {
    for (const std::string engine : {"inline", "thread"}) {
        ASSERT_EQ(port_.plug("net_neta0", on_wire("loop", engine) + ",mac=02:00:00:00:00:10"), 0);
        ASSERT_EQ(port_.configure(1, 1, 64, 64), 0);
        ASSERT_EQ(port_.start(), 0);
        for (unsigned round = 0; round < kRounds; ++round) {
            std::vector<Bytes> sent;
            for (unsigned i = 1 + dice_() % 16; i != 0; --i) {
                sent.push_back(random_frame(dice_, 60 + dice_() % 1455));
                ASSERT_TRUE(send(port_, in_mbuf(sent.back())));
            }
            for (const Bytes& frame : sent) {
                rte_mbuf* mbuf = next(port_);
                ASSERT_NE(mbuf, nullptr) << round;
                ASSERT_EQ(bytes_of(mbuf), frame) << round;
                scribble(mbuf, static_cast<std::uint8_t>(round));
                rte_pktmbuf_free(mbuf);
            }
        }
        ASSERT_EQ(rte_eth_dev_stop(port_.id), 0);
        port_.close();
    }
}

TEST_P(ModelCache, ReceivedFramesAreChangedAndSentAgain) {
    up("loop");
    Bytes frame = random_frame(dice_, 700);
    ASSERT_TRUE(send(port_, in_mbuf(frame)));
    for (unsigned round = 0; round < kRounds; ++round) {
        rte_mbuf* mbuf = next(port_);
        ASSERT_NE(mbuf, nullptr);
        ASSERT_EQ(bytes_of(mbuf), frame) << round;
        // Head and tail move, bytes in between change.
        auto* data = reinterpret_cast<std::uint8_t*>(round % 2 == 0 ? rte_pktmbuf_prepend(mbuf, 21)
                                                                    : rte_pktmbuf_adj(mbuf, 21));
        ASSERT_NE(data, nullptr);
        std::memcpy(data, frame.data(), 15);
        data[mbuf->data_len / 2] = static_cast<std::uint8_t>(dice_());
        if (round % 3 == 0) {
            std::memset(rte_pktmbuf_append(mbuf, 13), static_cast<int>(round & 0xffU), 13);
        } else if (round % 3 == 1) {
            rte_pktmbuf_trim(mbuf, 13);
        }
        frame = bytes_of(mbuf);
        ASSERT_TRUE(send(port_, mbuf));
    }
    EXPECT_EQ(receive_and_free(port_), 1U);
}

TEST_P(ModelCache, ChainsLeaveWhole) {
    up("loop");
    for (unsigned round = 0; round < kRounds; ++round) {
        const Bytes frame = random_frame(dice_, 200 + dice_() % 1300);
        ASSERT_TRUE(send(port_, in_chain(frame, [this] { return 1 + dice_() % 400; })));
        rte_mbuf* mbuf = next(port_);
        ASSERT_NE(mbuf, nullptr);
        ASSERT_EQ(bytes_of(mbuf), frame) << round;
        rte_pktmbuf_free(mbuf);
    }
}

TEST_P(ModelCache, FramesInSeveralPagesArriveWhole) {
    port_.conf.rxmode.offloads = RTE_ETH_RX_OFFLOAD_SCATTER;
    port_.conf.txmode.offloads = RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
    port_.conf.rxmode.mtu = 9000;
    up("loop");
    for (unsigned round = 0; round < kRounds; ++round) {
        const Bytes frame = random_frame(dice_, 60 + dice_() % 8900);
        ASSERT_TRUE(send(port_, in_chain(frame, [] { return 1900U; })));
        rte_mbuf* mbuf = next(port_);
        ASSERT_NE(mbuf, nullptr);
        ASSERT_EQ(bytes_of(mbuf), frame) << round;
        for (rte_mbuf* segment = mbuf; segment != nullptr; segment = segment->next) {
            scribble(segment, static_cast<std::uint8_t>(round));
        }
        rte_pktmbuf_free(mbuf);
    }
}

/// What reshape.bpf.c makes of a frame; empty: it passes.
Bytes reshaped(Bytes frame) {
    switch (frame.at(14)) {
        case 2:
            frame.at(14) = 0xa2;
            break;
        case 3:
            frame.insert(frame.begin(), 64, 0xa3);
            break;
        case 4:
            frame.erase(frame.begin(), frame.begin() + 6);
            break;
        case 5:
            frame.resize(frame.size() - 20);
            break;
        case 6:
            frame.resize(frame.size() + 64, 0xa6);
            break;
        default:
            return {};
    }
    return frame;
}

TEST_P(ModelCache, WhatProgramsWriteIsSent) {
    up("pair:cache", std::string(",xdp=") + CREMA_TEST_OBJECTS + "/reshape.o");
    EthPort peer;
    ASSERT_EQ(peer.plug("net_neta1", on_wire("pair:cache") + ",mac=02:00:00:00:00:20"), 0);
    ASSERT_EQ(peer.configure(), 0);
    ASSERT_EQ(peer.start(), 0);
    rte_eth_promiscuous_enable(peer.id);
    for (unsigned round = 0; round < kRounds; ++round) {
        Bytes frame = random_frame(dice_, 100 + dice_() % 1300);
        frame.at(14) = static_cast<std::uint8_t>(round % 7);
        ASSERT_TRUE(send(peer, in_mbuf(frame)));
        const Bytes expected = reshaped(frame);
        if (expected.empty()) {
            rte_mbuf* mbuf = next(port_);
            ASSERT_NE(mbuf, nullptr) << round;
            ASSERT_EQ(bytes_of(mbuf), frame) << round;
            scribble(mbuf, static_cast<std::uint8_t>(round));
            rte_pktmbuf_free(mbuf);
            continue;
        }
        receive_and_free(port_);
        rte_mbuf* mbuf = next(peer);
        ASSERT_NE(mbuf, nullptr) << round;
        ASSERT_EQ(bytes_of(mbuf), expected) << round;
        rte_pktmbuf_free(mbuf);
    }
    EXPECT_EQ(port_.xstat("rx_xdp_aborted"), 0U);
    EXPECT_GT(port_.xstat("rx_xdp_tx"), 0U);
    EXPECT_EQ(rte_eth_dev_stop(peer.id), 0);
}

/// Frames that end in the program, or are freed at once: how much of their pages is maintained.
class DroppedFrames : public ModelCache {
  protected:
    void up_with(const std::string& object) {
        up("pair:cache", ",xdp=" + object);
        ASSERT_EQ(peer_.plug("net_neta1", on_wire("pair:cache") + ",mac=02:00:00:00:00:20"), 0);
        ASSERT_EQ(peer_.configure(), 0);
        ASSERT_EQ(peer_.start(), 0);
        rte_eth_promiscuous_enable(peer_.id);
    }

    void TearDown() override {
        EXPECT_EQ(rte_eth_dev_stop(peer_.id), 0);
        peer_.close();
        ModelCache::TearDown();
    }

    /// Lines given to the device per frame, while `frames` frames of 60 bytes with `mark` behind
    /// the Ethernet header come.
    double lines_per_frame(std::uint8_t mark, unsigned frames) {
        Bytes frame = random_frame(dice_, 60);
        frame.at(14) = mark;
        std::uint64_t lines = 0;
        for (unsigned i = 0; i < frames; ++i) {
            EXPECT_TRUE(send(peer_, in_mbuf(frame)));
            const std::uint64_t before = vfio::CacheModel::given_lines();
            receive_and_free(port_);
            lines += vfio::CacheModel::given_lines() - before;
        }
        return static_cast<double>(lines) / frames;
    }

    EthPort peer_;
};

INSTANTIATE_TEST_SUITE_P(, DroppedFrames, testing::Values("noncoherent"));

TEST_P(DroppedFrames, OnlyWhatXdpTouchedIsGivenToTheDeviceAgain) {
    up_with(CREMA_BPF_FOLDER "/drop.bpf.o");
    lines_per_frame(1, 3000);  // every page was there once
    // Two lines of frame and one of descriptors, of which two share a line.
    EXPECT_LT(lines_per_frame(1, 1000), 5.0);
    EXPECT_EQ(port_.xstat("rx_xdp_drop"), 4000U);
}

TEST_P(DroppedFrames, PagesOfApplicationsAreGivenWhole) {
    up_with(CREMA_BPF_FOLDER "/pass.bpf.o");
    lines_per_frame(1, 3000);
    EXPECT_GT(lines_per_frame(1, 1000), page_pool::kDmaBytes / 64.0);
}

TEST_P(DroppedFrames, WhatWasWrittenBehindTheEndDoesNotOverwriteLaterFrames) {
    up_with(CREMA_TEST_OBJECTS "/scribble.o");
    for (unsigned round = 0; round < kRounds; ++round) {
        lines_per_frame(static_cast<std::uint8_t>(1 + dice_() % 2), 8);
        // A long frame comes into pages that were written behind their short one.
        for (unsigned i = 0; i < 4; ++i) {
            Bytes frame = random_frame(dice_, 1000);
            ASSERT_TRUE(send(peer_, in_mbuf(frame)));
            rte_mbuf* mbuf = next(port_);
            ASSERT_NE(mbuf, nullptr) << round;
            ASSERT_EQ(bytes_of(mbuf), frame) << round;
            rte_pktmbuf_free(mbuf);
        }
    }
    EXPECT_EQ(port_.xstat("rx_xdp_aborted"), 0U);
    EXPECT_EQ(vfio::CacheModel::lost_lines(), 0U);
}

TEST_P(ModelCache, FramesGoOnThroughAnotherPort) {
    up("pair:first");
    EthPort source;
    EthPort out;
    EthPort sink;
    ASSERT_EQ(source.plug("net_neta1", on_wire("pair:first") + ",mac=02:00:00:00:00:20"), 0);
    ASSERT_EQ(out.plug("net_neta2", on_wire("pair:second") + ",mac=02:00:00:00:00:30"), 0);
    // A coherent one among them.
    ASSERT_EQ(sink.plug("net_neta3", "device=model,cache=coherent,wire=pair:second"), 0);
    for (EthPort* port : {&source, &out, &sink}) {
        ASSERT_EQ(port->configure(), 0);
        ASSERT_EQ(port->start(), 0);
    }
    rte_eth_promiscuous_enable(sink.id);
    const xdp::Port* target = xdp::port_by_ifindex(xdp::ifindex_of(out.id));
    ASSERT_NE(target, nullptr);
    for (unsigned round = 0; round < kRounds; ++round) {
        const Bytes frame = random_frame(dice_, 60 + dice_() % 1400);
        ASSERT_TRUE(send(source, in_mbuf(frame)));
        rte_mbuf* mbuf = next(port_);
        ASSERT_NE(mbuf, nullptr);
        Bytes changed = frame;
        changed.at(20) = rte_pktmbuf_mtod(mbuf, std::uint8_t*)[20] ^= 0xff;
        if (round % 2 == 0) {
            ASSERT_TRUE(send(out, mbuf));
        } else {  // as a redirect does
            const xdp::Frame one{.page = mbuf,
                                 .data = rte_pktmbuf_mtod(mbuf, std::uint8_t*),
                                 .len = mbuf->pkt_len,
                                 .meta_len = 0,
                                 .fragments = 0};
            ASSERT_EQ(target->ops->xmit(target->port, round, &one, 1), 1U);
        }
        mbuf = next(sink);
        ASSERT_NE(mbuf, nullptr);
        ASSERT_EQ(bytes_of(mbuf), changed) << round;
        scribble(mbuf, static_cast<std::uint8_t>(round));
        rte_pktmbuf_free(mbuf);
    }
    for (EthPort* port : {&source, &out, &sink}) {
        EXPECT_EQ(rte_eth_dev_stop(port->id), 0);
    }
}

TEST_P(ModelCache, PagesOfAStoppedPortAreGoodAgain) {
    up("loop");
    for (unsigned round = 0; round < 30; ++round) {
        for (unsigned i = 0; i < 20; ++i) {
            const Bytes frame = random_frame(dice_, 60 + dice_() % 1400);
            ASSERT_TRUE(send(port_, in_mbuf(frame)));
            rte_mbuf* mbuf = next(port_);
            ASSERT_NE(mbuf, nullptr);
            ASSERT_EQ(bytes_of(mbuf), frame);
            rte_pktmbuf_free(mbuf);
        }
        for (unsigned i = 0; i < 20; ++i) {  // received, and never looked at
            ASSERT_TRUE(send(port_, in_mbuf(random_frame(dice_, 1000))));
        }
        if (round % 2 == 0) {
            ASSERT_EQ(rte_eth_dev_rx_queue_stop(port_.id, 0), 0);
            ASSERT_EQ(rte_eth_dev_rx_queue_start(port_.id, 0), 0);
        } else {
            ASSERT_EQ(rte_eth_dev_stop(port_.id), 0);
            ASSERT_EQ(port_.configure(1, 1, round % 4 == 1 ? 128 : 512, 64), 0);
            ASSERT_EQ(port_.start(), 0);
        }
        receive_and_free(port_);
    }
}

}  // namespace
}  // namespace crema::test
