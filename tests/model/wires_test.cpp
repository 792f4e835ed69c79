// SPDX-License-Identifier: BSD-3-Clause
//
// Wires that need no privileges: null, loop, pair, gen, pcap, and what is refused.
#include <algorithm>
#include <array>
#include <cstdio>
#include <pcap/pcap.h>
#include <set>
#include <thread>

#include "drivers/model/neta/wires/frame_ring.h"
#include "tests/model/port.h"

namespace crema::neta::model {
namespace {

constexpr MacAddress kMac{0x02, 1, 2, 3, 4, 5};

std::string unique(const char* name) {
    return std::string(name) + std::to_string(::getpid());
}

std::unique_ptr<Wire> open_good(const std::string& spec) {
    auto wire = open_wire(spec, kMac);
    if (!wire) {
        ADD_FAILURE() << wire.error().message;
        std::abort();
    }
    return std::move(*wire);
}

std::vector<Bytes> take(Wire& wire, std::uint32_t wanted = 64) {
    std::array<WireFrame, 64> frames;
    const std::uint32_t count = wire.receive(std::span(frames).first(wanted));
    std::vector<Bytes> taken;
    for (std::uint32_t i = 0; i < count; ++i) {
        taken.emplace_back(frames[i].data, frames[i].data + frames[i].bytes);
    }
    return taken;
}

void put(Wire& wire, const Bytes& frame) {
    const WireFrame view{frame.data(), static_cast<std::uint32_t>(frame.size()), false, nullptr};
    wire.send(std::span(&view, 1));
}

TEST(WireSpec, RefusesWithOneClearLine) {
    struct Case {
        const char* spec;
        int code;
    };

    const Case cases[] = {
        {"bogus", EINVAL},
        {"loop:x", EINVAL},
        {"null:x", EINVAL},
        {"pair", EINVAL},
        {"pair:", EINVAL},
        {"gen:len", EINVAL},
        {"gen:len=10", EINVAL},
        {"gen:flows=0", EINVAL},
        {"gen:speed=3", EINVAL},
        {"gen:proto=x", EINVAL},
        {"gen:proto=", EINVAL},
        {"gen:len=99999", EINVAL},
        {"pcap", EINVAL},
        {"pcap:a:a", EINVAL},
        {"tap:", EINVAL},
        {"tap:a-name-that-is-too-long", EINVAL},
        {"packet:", EINVAL},
        {"packet:nosuchif0", ENODEV},
        {"pcap:/nonexistent/x", ENOENT},
        {"ring:x", ENOTSUP},
        {"memif:/run/x", ENOTSUP},
        {"gen:len=64,,", EINVAL},
    };
    for (const Case& one : cases) {
        const auto wire = open_wire(one.spec, kMac);
        ASSERT_FALSE(wire.has_value()) << one.spec;
        EXPECT_EQ(wire.error().code, one.code) << one.spec << ": " << wire.error().message;
        EXPECT_NE(wire.error().message.find(one.spec), std::string::npos) << wire.error().message;
        EXPECT_EQ(wire.error().message.find('\n'), std::string::npos);
    }
}

TEST(WireSpec, EmptyIsNull) {
    const auto wire = open_good("");
    EXPECT_EQ(wire->describe(), "null");
    EXPECT_TRUE(wire->link());
}

TEST(FrameRing, KeepsOrderAndBounds) {
    FrameRing ring(64U << 10U);
    Bytes frame(1000);
    std::uint32_t pushed = 0;
    std::uint32_t pulled = 0;
    for (int round = 0; round < 300; ++round) {
        for (;;) {
            frame.resize(60 + pushed % 1400);
            std::memcpy(frame.data(), &pushed, 4);
            if (!ring.push(
                    {frame.data(), static_cast<std::uint32_t>(frame.size()), false, nullptr})) {
                break;
            }
            ++pushed;
        }
        std::array<WireFrame, 7> views;
        const std::uint32_t count = ring.pull(views);
        ASSERT_EQ(count, 7U);
        for (std::uint32_t i = 0; i < count; ++i) {
            std::uint32_t number = 0;
            std::memcpy(&number, views[i].data, 4);
            ASSERT_EQ(number, pulled);
            ASSERT_EQ(views[i].bytes, 60 + pulled % 1400);
            ++pulled;
        }
    }
    EXPECT_EQ(ring.drain(), pushed - pulled);
}

TEST(FrameRing, LargestFrameFits) {
    FrameRing ring(64U << 10U);
    Bytes frame(kWireFrameMax + 4, 0x5a);
    for (int i = 0; i < 20; ++i) {
        ASSERT_TRUE(ring.push({frame.data(), kWireFrameMax, true, nullptr}));
        std::array<WireFrame, 2> views;
        ASSERT_EQ(ring.pull(views), 1U);
        ASSERT_TRUE(views[0].has_fcs);
        ASSERT_EQ(views[0].data[kWireFrameMax + 3], 0x5a);
    }
}

TEST(FrameRing, OneProducerOneConsumer) {
    FrameRing ring(64U << 10U);
    constexpr std::uint32_t kFrames = 50000;
    std::thread producer([&] {
        Bytes frame(200);
        for (std::uint32_t i = 0; i < kFrames;) {
            std::memset(frame.data(), static_cast<int>(i & 0xff), frame.size());
            if (ring.push({frame.data(), 60 + i % 140, false, nullptr})) {
                ++i;
            } else {
                std::this_thread::yield();
            }
        }
    });
    std::array<WireFrame, 32> views;
    for (std::uint32_t next = 0; next < kFrames;) {
        const std::uint32_t count = ring.pull(views);
        for (std::uint32_t i = 0; i < count; ++i, ++next) {
            ASSERT_EQ(views[i].bytes, 60 + next % 140);
            ASSERT_EQ(views[i].data[views[i].bytes - 1], next & 0xff);
        }
        if (count == 0) {
            std::this_thread::yield();
        }
    }
    producer.join();
}

TEST(WirePair, JoinsTwoEndsOfAName) {
    const std::string spec = "pair:" + unique("cable");
    auto first = open_good(spec);
    EXPECT_FALSE(first->link()) << "nobody at the other end";
    put(*first, Bytes(60, 1));
    EXPECT_EQ(first->losses().tx_full.load(), 1U);
    auto second = open_good(spec);
    EXPECT_TRUE(first->link());
    EXPECT_TRUE(second->link());
    const auto third = open_wire(spec, kMac);
    ASSERT_FALSE(third.has_value());
    EXPECT_EQ(third.error().code, EBUSY);
    put(*first, Bytes(60, 2));
    put(*second, Bytes(61, 3));
    ASSERT_EQ(take(*second), std::vector<Bytes>{Bytes(60, 2)});
    ASSERT_EQ(take(*first), std::vector<Bytes>{Bytes(61, 3)});
    second.reset();
    EXPECT_FALSE(first->link());
    second = open_good(spec);
    EXPECT_TRUE(first->link());
    EXPECT_TRUE(take(*second).empty()) << "nothing of the former user";
}

TEST(WirePair, FullCableDropsAndCounts) {
    const std::string spec = "pair:" + unique("full");
    const auto first = open_good(spec);
    const auto second = open_good(spec);
    const Bytes frame(1500, 9);
    std::uint64_t sent = 0;
    while (first->losses().tx_full.load() == 0) {
        put(*first, frame);
        ++sent;
    }
    std::uint64_t got = 0;
    for (auto burst = take(*second); !burst.empty(); burst = take(*second)) {
        got += burst.size();
    }
    EXPECT_EQ(got + first->losses().tx_full.load(), sent);
    EXPECT_GT(got, 500U);
}

TEST(WireGen, BuildsValidDistinctFlows) {
    const auto wire = open_good("gen:len=128:flows=6:proto=udp+tcp+icmp:dport=22:seed=7");
    EXPECT_TRUE(wire->patient());
    const auto frames = take(*wire, 12);
    ASSERT_EQ(frames.size(), 12U);
    std::set<Bytes> distinct(frames.begin(), frames.end());
    EXPECT_EQ(distinct.size(), 6U) << "flows repeat in turn";
    EXPECT_EQ(frames[0], frames[6]);
    const std::uint32_t l4[] = {kRxL4Udp, kRxL4Tcp, kRxL4Other};
    for (std::size_t i = 0; i < 6; ++i) {
        EXPECT_EQ(frames[i].size(), 124U) << "len counts the FCS";
        EXPECT_EQ(std::memcmp(frames[i].data(), kMac.data(), 6), 0) << "for this port";
        const FrameFacts facts =
            parse_frame(frames[i].data(), static_cast<std::uint32_t>(frames[i].size()), 0x8100);
        EXPECT_EQ(facts.l3(), kRxL3Ipv4Good);
        EXPECT_EQ(kRxL4Type.get(facts.status), l4[i % 3]);
        EXPECT_EQ((facts.status & kRxL4CsumOk) != 0, i % 3 != 2) << i;
    }
    EXPECT_EQ(load_be16(&frames[0][36]), 22);
    const auto again = open_good("gen:len=128:flows=6:proto=udp+tcp+icmp:dport=22:seed=7");
    EXPECT_EQ(take(*again, 12), frames) << "deterministic";
    const auto other = open_good("gen:len=128:flows=6:proto=udp+tcp+icmp:dport=22:seed=8");
    EXPECT_NE(take(*other, 12), frames);
}

TEST(WireGen, CountEndsIt) {
    const auto wire = open_good("gen:count=100,proto=arp");
    std::size_t total = 0;
    for (auto burst = take(*wire); !burst.empty(); burst = take(*wire)) {
        total += burst.size();
        EXPECT_EQ(load_be16(&burst[0][12]), 0x0806);
    }
    EXPECT_EQ(total, 100U);
}

TEST(WireGen, RateIsKept) {
    using Clock = std::chrono::steady_clock;
    constexpr double kRate = 20000;
    const auto wire = open_good("gen:rate=20000");
    EXPECT_FALSE(wire->patient());
    const auto before = Clock::now();
    std::size_t total = take(*wire).size();
    const auto started = Clock::now();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    // What is due by now comes out, however long this thread was kept waiting.
    const std::chrono::duration<double> at_least = Clock::now() - started;
    for (auto burst = take(*wire); burst.size() == 64; burst = take(*wire)) {
        total += burst.size();
    }
    const std::chrono::duration<double> at_most = Clock::now() - before;
    EXPECT_GE(static_cast<double>(total), kRate * at_least.count() - 64);
    EXPECT_LE(static_cast<double>(total), kRate * at_most.count());
}

TEST(WireGen, PortTakesEachFrameOnce) {
    PortOptions options;
    options.wire = "gen:count=10000:flows=5";
    options.rx_descriptors = 128;
    const Port port(options);
    port.start();
    port.promiscuous();
    std::uint32_t total = 0;
    for (std::uint32_t idle = 0; idle < 3;) {
        const std::uint32_t ready = std::min(port.occupied(0), kUpdateMax);
        port.write(rxq_status_update(0), kRxqUpdateProcessed.of(ready) | kRxqUpdateNew.of(ready));
        total += ready;
        idle = ready == 0 ? idle + 1 : 0;
    }
    EXPECT_EQ(total, 10000U);
    EXPECT_EQ(port.read(kMibGoodFramesRx), 10000U);
    EXPECT_EQ(port.read(kRxDiscardCnt), 0U) << "an unpaced generator waits for descriptors";
}

TEST(WirePcap, ReplaysAndRecords) {
    const std::string in = ::testing::TempDir() + unique("in") + ".pcap";
    const std::string out = ::testing::TempDir() + unique("out") + ".pcap";
    std::vector<Bytes> sent;
    {
        const auto recorder = open_good("pcap::" + in);
        for (int i = 0; i < 10; ++i) {
            sent.emplace_back(std::size_t{60} + 100U * static_cast<unsigned>(i),
                              static_cast<std::uint8_t>(i));
            put(*recorder, sent.back());
        }
        EXPECT_TRUE(take(*recorder).empty());
        put(*recorder, Bytes(42, 0xee));
    }
    {
        const auto player = open_good("pcap:" + in + ":" + out);
        EXPECT_TRUE(player->patient());
        auto got = take(*player);
        ASSERT_EQ(got.size(), 11U);
        Bytes padded(42, 0xee);
        padded.resize(60, 0);
        EXPECT_EQ(got.back(), padded) << "padded as the sending MAC would have";
        got.pop_back();
        EXPECT_EQ(got, sent);
        for (const Bytes& frame : got) {
            put(*player, frame);
        }
    }
    char reason[PCAP_ERRBUF_SIZE] = "";
    pcap_t* const capture =
        ::pcap_open_offline_with_tstamp_precision(out.c_str(), PCAP_TSTAMP_PRECISION_NANO, reason);
    ASSERT_NE(capture, nullptr) << reason;
    pcap_pkthdr* header = nullptr;
    const u_char* data = nullptr;
    for (const Bytes& frame : sent) {
        ASSERT_EQ(::pcap_next_ex(capture, &header, &data), 1);
        EXPECT_EQ(Bytes(data, data + header->caplen), frame);
        EXPECT_GT(header->ts.tv_sec, 1'000'000'000);
        EXPECT_LT(header->ts.tv_usec, 1'000'000'000);
    }
    EXPECT_EQ(::pcap_next_ex(capture, &header, &data), PCAP_ERROR_BREAK);
    ::pcap_close(capture);
    static_cast<void>(std::remove(in.c_str()));
    static_cast<void>(std::remove(out.c_str()));
}

TEST(WirePcap, RefusesOtherFiles) {
    const std::string path = ::testing::TempDir() + unique("text");
    std::FILE* const file = std::fopen(path.c_str(), "w");
    ASSERT_NE(file, nullptr);
    static_cast<void>(std::fputs("this is no capture, but long enough to look at", file));
    static_cast<void>(std::fclose(file));
    const auto wire = open_wire("pcap:" + path, kMac);
    ASSERT_FALSE(wire.has_value());
    EXPECT_EQ(wire.error().code, EINVAL);
    EXPECT_EQ(open_wire("pcap::/nonexistent/dir/x", kMac).error().code, ENOENT);
    static_cast<void>(std::remove(path.c_str()));
}

TEST(WirePair, TwoPortsAndInBandLink) {
    PortOptions options;
    options.wire = "pair:" + unique("ports");
    Port first(options);
    first.start();
    const std::uint32_t in_band =
        kGmacAutonegInbandAnEn | kGmacAutonegAnSpeedEn | kGmacAutonegAnDuplexEn;
    first.write(kGmacAutoneg, in_band);
    EXPECT_EQ(first.read(kGmacStatus) & kGmacStatusLinkUp, 0U);
    first.write(kIntrMiscCause, 0);
    options.instance = "net_neta1";
    Port second(options);
    second.start();
    EXPECT_NE(first.read(kGmacStatus) & kGmacStatusLinkUp, 0U) << "the peer is there";
    EXPECT_NE(first.read(kIntrMiscCause) & kIntrMiscLinkChange, 0U);
    first.send(make_frame(broadcast, 0x0806, 77));
    ASSERT_EQ(second.occupied(0), 1U);
    EXPECT_EQ(second.rx_ring(0)[0].data_size, 83);
    EXPECT_EQ(first.occupied(0), 0U);
}

TEST(WirePair, FramesForASwitchedOffPortAreGone) {
    PortOptions options;
    options.wire = "pair:" + unique("late");
    Port first(options);
    options.instance = "net_neta1";
    const Port second(options);
    first.start();
    first.send(make_frame(broadcast, 0x0806));
    second.start();
    EXPECT_EQ(second.occupied(0), 0U);
    first.send(make_frame(broadcast, 0x0806));
    EXPECT_EQ(second.occupied(0), 1U);
}

}  // namespace
}  // namespace crema::neta::model
