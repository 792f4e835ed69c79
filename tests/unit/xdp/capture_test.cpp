// SPDX-License-Identifier: BSD-3-Clause
//
// Captures: what a watched program gets and leaves is in the ring, whole and once; a ring that is
// full costs records and no frame; who maps the ring and writes nonsense harms himself only.
#include "lib/xdp/capture.h"

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <gtest/gtest.h>
#include <pcap/pcap.h>
#include <random>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "lib/xdp/attach.h"
#include "lib/xdp/capture_filter.h"
#include "tests/support/eal.h"
#include "tests/support/fake_port.h"
#include "tests/support/tiny_program.h"

namespace crema::xdp {
namespace {

[[maybe_unused]] const auto* const eal = test::with_eal({"-m", "64", "-l", "0"});

constexpr std::uint32_t kDrop = 1, kPass = 2;

struct Seen {
    CaptureRecord about;
    std::vector<std::uint8_t> bytes;
};

/// The other side: maps the file as another process would.
class Rings {
  public:
    explicit Rings(const Capture& capture) {
        bytes_ = static_cast<std::size_t>(::lseek(capture.fd(), 0, SEEK_END));
        void* const memory =
            ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, capture.fd(), 0);
        EXPECT_NE(memory, MAP_FAILED);
        memory_ = static_cast<std::uint8_t*>(memory);
        std::memcpy(&header_, memory_, sizeof header_);
        EXPECT_EQ(header_.magic, kCaptureMagic);
        EXPECT_EQ(capture_file_bytes(header_.ring_bytes, header_.rings), bytes_);
    }

    ~Rings() { ::munmap(memory_, bytes_); }

    Rings(const Rings&) = delete;
    Rings& operator=(const Rings&) = delete;

    CaptureRingHead& head(std::uint32_t ring) {
        return *reinterpret_cast<CaptureRingHead*>(memory_ +
                                                   capture_ring_at(header_.ring_bytes, ring));
    }

    std::vector<Seen> take() {
        std::vector<Seen> all;
        for (std::uint32_t ring = 0; ring < header_.rings; ++ring) {
            const std::uint8_t* const data =
                memory_ + capture_ring_at(header_.ring_bytes, ring) + kCapturePage;
            std::uint64_t at = head(ring).tail.load();
            while (at != head(ring).head.load(std::memory_order_acquire)) {
                Seen seen;
                const std::uint8_t* const place = data + at % header_.ring_bytes;
                std::memcpy(static_cast<void*>(&seen.about), place, 8);
                EXPECT_NE(seen.about.bytes, 0U);
                at += seen.about.bytes;
                if (seen.about.point != CapturePoint::filler) {
                    std::memcpy(static_cast<void*>(&seen.about), place, sizeof seen.about);
                    seen.bytes.assign(place + sizeof seen.about,
                                      place + sizeof seen.about + seen.about.captured_bytes);
                    all.push_back(std::move(seen));
                }
            }
            head(ring).tail.store(at, std::memory_order_release);
        }
        return all;
    }

    std::uint64_t dropped() {
        std::uint64_t sum = 0;
        for (std::uint32_t ring = 0; ring < header_.rings; ++ring) {
            sum += head(ring).dropped.load();
        }
        return sum;
    }

    [[nodiscard]] std::uint32_t rings() const { return header_.rings; }

    std::uint8_t* memory() { return memory_; }

    [[nodiscard]] std::size_t bytes() const { return bytes_; }

  private:
    std::uint8_t* memory_ = nullptr;
    std::size_t bytes_ = 0;
    CaptureHeader header_{};
};

std::unique_ptr<Capture> started(const CaptureSpec& spec,
                                 std::vector<std::shared_ptr<const ebpf::LoadedProgram>> programs) {
    auto capture = Capture::start(spec);
    EXPECT_TRUE(capture) << capture.error().message;
    EXPECT_TRUE((*capture)->watch(std::move(programs)));
    return std::move(*capture);
}

class CaptureTest : public testing::Test {
  protected:
    std::uint32_t burst(std::uint32_t n, std::uint32_t len = 64) {
        std::array<Frame, kBurstMax> frames;
        EXPECT_EQ(source_.make(frames.data(), n, len), n);
        const std::uint32_t passed = port_.run(frames.data(), n);
        test::recycle(frames.data(), passed);
        return passed;
    }

    test::FrameSource source_{"capture"};
    test::FakePort port_{0};
};

std::uint64_t marks_and_shortens(
    std::uint64_t r1, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t) {
    auto& buff = *reinterpret_cast<ebpf::XdpBuff*>(r1);
    buff.data[1] = 0xee;
    buff.data_end -= 10;
    return kPass;
}

TEST_F(CaptureTest, EntryAndExitAreAsTheProgramSeesThem) {
    const auto program = test::calling(marks_and_shortens);
    ASSERT_TRUE(attach(0, program));
    const auto capture = started({.at_entry = true, .at_exit = true, .filter = {}}, {program});
    Rings rings(*capture);
    EXPECT_EQ(burst(3, 100), 3U);
    const auto seen = rings.take();
    ASSERT_EQ(seen.size(), 6U);
    for (std::size_t i = 0; i < 6; i += 2) {
        const Seen& entry = seen[i];
        const Seen& leaving = seen[i + 1];
        EXPECT_EQ(entry.about.point, CapturePoint::entry);
        EXPECT_EQ(leaving.about.point, CapturePoint::exit);
        EXPECT_EQ(entry.about.id, leaving.about.id);
        EXPECT_EQ(entry.about.program_id, program->id);
        EXPECT_EQ(entry.about.ifindex, ifindex_of(0));
        EXPECT_EQ(entry.bytes.size(), 100U);
        EXPECT_EQ(entry.bytes[0], i / 2);
        EXPECT_NE(entry.bytes[1], 0xee);
        EXPECT_EQ(leaving.bytes.size(), 90U);
        EXPECT_EQ(leaving.bytes[1], 0xee);
        EXPECT_EQ(leaving.about.act, kPass);
    }
}

TEST_F(CaptureTest, NothingIsSeenBeforeAndAfterwards) {
    const auto program = test::returning(kDrop);
    ASSERT_TRUE(attach(0, program));
    EXPECT_EQ(program->watched.load(), nullptr);
    auto capture = started({.filter = {}}, {program});
    Rings rings(*capture);
    burst(5);
    EXPECT_EQ(rings.take().size(), 5U);
    EXPECT_TRUE(capture->watch({}));
    burst(5);
    EXPECT_TRUE(rings.take().empty());
    EXPECT_EQ(program->watched.load(), nullptr);
}

TEST_F(CaptureTest, SnapLengthCutsAndTheLengthStays) {
    const auto program = test::returning(kDrop);
    ASSERT_TRUE(attach(0, program));
    const auto capture = started({.snap_bytes = 21, .filter = {}}, {program});
    Rings rings(*capture);
    burst(1, 300);
    const auto seen = rings.take();
    ASSERT_EQ(seen.size(), 1U);
    EXPECT_EQ(seen[0].bytes.size(), 21U);
    EXPECT_EQ(seen[0].about.frame_bytes, 300U);
}

TEST_F(CaptureTest, AFullRingCostsRecordsAndNoFrame) {
    const auto program = test::returning(kDrop);
    ASSERT_TRUE(attach(0, program));
    const auto capture = started({.ring_bytes = kCaptureRingMin, .filter = {}}, {program});
    Rings rings(*capture);
    std::uint64_t got = 0;
    for (std::uint32_t round = 0; round < 30; ++round) {
        for (std::uint32_t i = 0; i < 40; ++i) {
            burst(32, 60 + i * 7);
        }
        got += rings.take().size();
    }
    EXPECT_GT(rings.dropped(), 0U);
    EXPECT_EQ(got + rings.dropped(), 30U * 40 * 32);
    EXPECT_EQ(verdicts(0).drop, 30U * 40 * 32);
}

TEST_F(CaptureTest, TwoCapturesSeeTheSame) {
    const auto program = test::returning(kDrop);
    ASSERT_TRUE(attach(0, program));
    auto one = started({.filter = {}}, {program});
    const auto other = started({.at_entry = false, .at_exit = true, .filter = {}}, {program});
    Rings of_one(*one);
    Rings of_other(*other);
    burst(7);
    EXPECT_EQ(of_one.take().size(), 7U);
    EXPECT_EQ(of_other.take().size(), 7U);
    one.reset();
    burst(7);
    EXPECT_EQ(of_other.take().size(), 7U);
}

TEST_F(CaptureTest, OnlyFramesOfThePort) {
    const auto program = test::returning(kDrop);
    ASSERT_TRUE(attach(0, program));
    const auto capture = started({.ifindex = ifindex_of(1), .filter = {}}, {program});
    Rings rings(*capture);
    burst(4);
    EXPECT_TRUE(rings.take().empty());
}

TEST_F(CaptureTest, WhoWritesNonsenseHarmsHimselfOnly) {
    const auto program = test::returning(kDrop);
    ASSERT_TRUE(attach(0, program));
    const auto capture =
        started({.at_entry = true, .at_exit = true, .ring_bytes = kCaptureRingMin, .filter = {}},
                {program});
    Rings rings(*capture);
    EXPECT_NE(::ftruncate(capture->fd(), 0), 0) << "a file cut short would end the data path";
    std::mt19937_64 random(1);
    for (std::uint32_t round = 0; round < 2000; ++round) {
        for (std::uint32_t ring = 0; ring < rings.rings(); ++ring) {
            rings.head(ring).tail.store(random());
            rings.head(ring).head.store(random());
        }
        rings.memory()[random() % sizeof(CaptureHeader)] = static_cast<std::uint8_t>(random());
        burst(16, 60 + static_cast<std::uint32_t>(random() % 1000));
    }
    EXPECT_EQ(verdicts(0).drop, 2000U * 16);
}

TEST_F(CaptureTest, ComeAndGoUnderTraffic) {
    const auto program = test::returning(kDrop);
    ASSERT_TRUE(attach(0, program));
    std::atomic<bool> stop{false};
    std::thread control([&] {
        for (int i = 0; i < 300; ++i) {
            const auto one =
                started({.at_exit = true, .ring_bytes = kCaptureRingMin, .filter = {}}, {program});
            const auto other = started({.ring_bytes = kCaptureRingMin, .filter = {}}, {program});
        }
        stop = true;
    });
    std::uint64_t sent = 0;
    while (!stop.load()) {
        burst(32);
        sent += 32;
    }
    control.join();
    EXPECT_EQ(verdicts(0).drop, sent);
    EXPECT_EQ(program->watched.load(), nullptr);
}

TEST_F(CaptureTest, WrongRequestsAreRefused) {
    EXPECT_FALSE(Capture::start({.ring_bytes = 100'000, .filter = {}}));
    EXPECT_FALSE(Capture::start({.ring_bytes = kCaptureRingMax * 2, .filter = {}}));
    EXPECT_FALSE(Capture::start({.at_entry = false, .filter = {}}));
    EXPECT_FALSE(Capture::start({.snap_bytes = kCaptureSnapMax + 1, .filter = {}}));
    EXPECT_FALSE(
        Capture::start({.filter = {{.code = 0x05, .jump_true = 0, .jump_false = 0, .k = 9}}}))
        << "a jump out of the filter";
    EXPECT_FALSE(
        Capture::start({.filter = {{.code = 0x00, .jump_true = 0, .jump_false = 0, .k = 9}}}))
        << "a filter without an end";
}

/// As crema dump compiles them.
std::vector<FilterInsn> compiled(const char* words) {
    pcap_t* const handle = ::pcap_open_dead(DLT_EN10MB, 65535);
    bpf_program program{};
    EXPECT_EQ(::pcap_compile(handle, &program, words, 1, PCAP_NETMASK_UNKNOWN), 0);
    std::vector<FilterInsn> insns(program.bf_len);
    std::memcpy(insns.data(), program.bf_insns, insns.size() * sizeof(FilterInsn));
    ::pcap_freecode(&program);
    ::pcap_close(handle);
    return insns;
}

TEST(CaptureFilter, IsJudgedAsByLibpcapOrMoreStrictly) {
    for (const char* words :
         {"tcp", "udp port 53", "host 10.0.0.1 or net 192.168.0.0/16", "vlan 7 and ip6",
          "ether[0] & 1 = 1 and len > 70", "ip[2:2] % 3 = 1", "icmp or arp", "tcp[13] & 2 != 0"}) {
        const auto good = compiled(words);
        EXPECT_TRUE(is_filter(good)) << words;
    }
    std::mt19937 random(7);
    const auto good = compiled("udp port 53 and ip[8] > 3");
    const std::vector<std::uint8_t> frame(100, 0x45);
    std::uint32_t accepted = 0;
    for (std::uint32_t round = 0; round < 200'000; ++round) {
        auto insns = good;
        for (std::uint32_t i = 0; i <= random() % 3; ++i) {
            FilterInsn& insn = insns[random() % insns.size()];
            switch (random() % 4) {
                case 0:
                    insn.code = static_cast<std::uint16_t>(random() % 256);
                    break;
                case 1:
                    insn.k = random() % 2 == 0 ? static_cast<std::uint32_t>(random())
                                               : static_cast<std::uint32_t>(random() % 40);
                    break;
                case 2:
                    insn.jump_true = static_cast<std::uint8_t>(random());
                    break;
                default:
                    insn.jump_false = static_cast<std::uint8_t>(random());
            }
        }
        if (!is_filter(insns)) {
            continue;
        }
        ++accepted;
        ASSERT_NE(::bpf_validate(reinterpret_cast<const bpf_insn*>(insns.data()),
                                 static_cast<int>(insns.size())),
                  0);
        (void)filter_takes(insns, frame.data(), 60, 100);  // ends, and stays inside
    }
    EXPECT_GT(accepted, 1000U);
}

TEST_F(CaptureTest, AFilterChoosesByWhatComesIn) {
    const auto program = test::calling(marks_and_shortens);
    ASSERT_TRUE(attach(0, program));
    const auto capture = started(
        {.at_entry = true, .at_exit = true, .filter = compiled("ether[0] & 1 = 1 and len > 70")},
        {program});
    Rings rings(*capture);
    burst(8, 64);
    EXPECT_TRUE(rings.take().empty());
    burst(8, 75);  // 65 when they leave
    const auto seen = rings.take();
    ASSERT_EQ(seen.size(), 8U);
    for (const Seen& each : seen) {
        EXPECT_EQ(each.bytes[0] & 1U, 1U);
    }
}

}  // namespace
}  // namespace crema::xdp
