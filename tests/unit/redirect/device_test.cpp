// SPDX-License-Identifier: BSD-3-Clause
//
// Redirect to ports: what arrives, in which order, what is refused and who counts it.
#include <gtest/gtest.h>

#include "lib/redirect/counters.h"
#include "tests/unit/redirect/support.h"

namespace crema::redirect {
namespace {

using ebpf::maps::MapType;

[[maybe_unused]] const auto* const eal = test::with_eal({"-m", "64", "-l", "0"});

class RedirectDevice : public RedirectTest {
  protected:
    [[nodiscard]] std::uint64_t refused_here(std::uint16_t port) const {
        return device_counters(port).refused - before_[port].refused;
    }

    std::array<DeviceCounters, 3> before_ = {device_counters(0), device_counters(1),
                                             device_counters(2)};
};

TEST_F(RedirectDevice, ByIfindexReachesThePortWithOneCall) {
    g_ask.index = 2;
    out_.keeps = true;
    burst(64);
    ASSERT_EQ(out_.sent.size(), 64U);
    EXPECT_EQ(out_.xmit_calls, 1U);
    for (std::uint32_t i = 0; i < 64; ++i) {
        EXPECT_EQ(out_.sent[i].data[0], i) << "order is kept";
    }
    EXPECT_EQ(xdp::verdicts(0).redirect, 64U);
    EXPECT_EQ(xdp::verdicts(0).redirect_errors, 0U);
}

TEST_F(RedirectDevice, UnknownIfindexIsAnError) {
    for (const std::uint32_t ifindex : {0U, 9U, 33U, 0xffffffffU}) {
        g_ask.index = ifindex;
        burst(4);
    }
    EXPECT_EQ(xdp::verdicts(0).redirect_errors, 16U);
    EXPECT_EQ(source_.in_flight(), 0U);
}

TEST_F(RedirectDevice, DevmapSlotReachesItsPort) {
    const auto map = make_map(MapType::devmap, 4);
    ASSERT_EQ(set_slot(*map, 3, 2), 0);
    EXPECT_EQ(set_slot(*map, 1, 30), -EINVAL) << "no such port";
    g_ask = {.map = map.get(), .index = 3, .flags = 0};
    burst(10);
    EXPECT_EQ(out_.transmitted, 10U);
    g_ask.index = 1;
    burst(10);  // empty slot: the helper returns ABORTED
    EXPECT_EQ(xdp::verdicts(0).aborted, 10U);
}

TEST_F(RedirectDevice, PortDownTooLongAndFullAreRefused) {
    g_ask.index = 2;
    out_.up = false;
    burst(5);
    out_.up = true;
    EXPECT_EQ(refused_here(1), 5U);
    out_.bytes_max = 100;
    burst(6, 101);
    EXPECT_EQ(refused_here(1), 11U);
    out_.room = 3;
    burst(10, 100);
    EXPECT_EQ(refused_here(1), 18U);
    EXPECT_EQ(out_.transmitted, 3U);
    EXPECT_EQ(xdp::verdicts(0).redirect, 3U);
    EXPECT_EQ(xdp::verdicts(0).redirect_errors, 18U);
    EXPECT_EQ(source_.in_flight(), 0U);
}

TEST_F(RedirectDevice, FrameWithoutRoomForItsHeaderIsRefused) {
    ASSERT_TRUE(xdp::attach(0, test::calling([](std::uint64_t r1, std::uint64_t, std::uint64_t,
                                                std::uint64_t, std::uint64_t) -> std::uint64_t {
                                auto& buff = *reinterpret_cast<ebpf::XdpBuff*>(r1);
                                buff.data_meta = buff.data =
                                    buff.data_hard_start + ebpf::kFrameReserve - 1;
                                return ask_for_redirect(r1, 0, 0, 0, 0);
                            })));
    g_ask.index = 2;
    burst(1);
    EXPECT_EQ(xdp::verdicts(0).redirect_errors, 1U);
}

TEST_F(RedirectDevice, SlotsGoWithTheirPort) {
    const auto map = make_map(MapType::devmap_hash, 4);
    const auto other_map = make_map(MapType::devmap, 4);
    {
        test::FakePort gone(5);
        for (const std::uint32_t key : {77U, 73U, 3U}) {  // one chain
            ASSERT_EQ(set_slot(*map, key, 6), 0);
        }
        ASSERT_EQ(set_slot(*map, 81, 2), 0);
        EXPECT_EQ(set_slot(*map, 82, 2), -E2BIG);
        ASSERT_EQ(set_slot(*other_map, 2, 6, test::returning(2, ebpf::kAttachXdpDevmap)), 0);
    }
    g_ask = {.map = map.get(), .index = 77, .flags = 1};  // empty slot: DROP
    burst(7);
    g_ask = {.map = other_map.get(), .index = 2, .flags = 1};
    burst(8);
    EXPECT_EQ(xdp::verdicts(0).drop, 15U);
    g_ask = {.map = map.get(), .index = 81, .flags = 1};
    burst(9);
    EXPECT_EQ(out_.transmitted, 9U);
    for (const std::uint32_t key : {1U, 2U, 3U}) {
        EXPECT_EQ(set_slot(*map, key, 2), 0) << "there is room again";
    }
    EXPECT_EQ(set_slot(*map, 4, 2), -E2BIG);
}

TEST_F(RedirectDevice, OrderIsKeptAtAPortWhicheverWayFramesCome) {
    const auto map = make_map(MapType::devmap, 4);
    ASSERT_EQ(set_slot(*map, 0, 2), 0);
    ASSERT_EQ(set_slot(*map, 1, 2, test::returning(2, ebpf::kAttachXdpDevmap)), 0);
    ASSERT_EQ(set_slot(*map, 2, 3), 0);
    static ebpf::maps::Map* the_map = nullptr;
    the_map = map.get();
    ASSERT_TRUE(xdp::attach(
        0, test::calling([](std::uint64_t r1, std::uint64_t r2, std::uint64_t r3, std::uint64_t r4,
                            std::uint64_t r5) -> std::uint64_t {
            const std::uint8_t first = reinterpret_cast<ebpf::XdpBuff*>(r1)->data[0];
            const std::uint32_t way = first / 3 % 4;
            g_ask = {.map = way == 3 ? nullptr : the_map, .index = way == 3 ? 2 : way, .flags = 0};
            return ask_for_redirect(r1, r2, r3, r4, r5);
        })));
    out_.keeps = other_.keeps = true;
    burst(64);
    ASSERT_EQ(out_.sent.size() + other_.sent.size(), 64U);
    for (const test::FakePort* port : {&out_, &other_}) {
        for (std::size_t i = 1; i < port->sent.size(); ++i) {
            EXPECT_LT(port->sent[i - 1].data[0], port->sent[i].data[0]);
        }
    }
    EXPECT_EQ(out_.sent.size(), 49U);
    EXPECT_EQ(xdp::verdicts(0).redirect, 64U);
}

TEST_F(RedirectDevice, ErrorsAreCountedByTheWayOfAskingAndByReason) {
    const auto map = make_map(MapType::devmap, 1);
    ASSERT_EQ(set_slot(*map, 0, 2), 0);
    const RedirectErrors before = redirect_errors(Via::devmap);
    const RedirectErrors direct = redirect_errors(Via::ifindex);
    g_ask = {.map = map.get(), .index = 0, .flags = 0};
    out_.up = false;
    burst(3);
    out_.up = true;
    out_.bytes_max = 100;
    burst(4, 101);
    out_.room = 2;
    burst(7, 100);
    g_ask = {.map = nullptr, .index = 9, .flags = 0};
    burst(6);
    EXPECT_EQ(redirect_errors(Via::devmap).down - before.down, 3U);
    EXPECT_EQ(redirect_errors(Via::devmap).too_long - before.too_long, 4U);
    EXPECT_EQ(redirect_errors(Via::devmap).later - before.later, 5U);
    EXPECT_EQ(redirect_errors(Via::devmap).no_port, before.no_port);
    EXPECT_EQ(redirect_errors(Via::ifindex).no_port - direct.no_port, 6U);
    EXPECT_EQ(xdp::verdicts(0).redirect_errors, 18U);
}

// The slot's program: verdict by first byte, and it checks what it is told.
std::uint64_t slot_program(
    std::uint64_t r1, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t) {
    const auto& buff = *reinterpret_cast<const ebpf::XdpBuff*>(r1);
    if (buff.ingress_ifindex != 1 || buff.egress_ifindex != 2 || buff.rx_queue_index != 0) {
        return 0;
    }
    return buff.data[0] % 8;
}

TEST_F(RedirectDevice, SlotProgramDecidesOnceMore) {
    const auto map = make_map(MapType::devmap, 1);
    ASSERT_EQ(set_slot(*map, 0, 2, test::calling(slot_program, ebpf::kAttachXdpDevmap)), 0);
    EXPECT_EQ(set_slot(*map, 0, 2, test::returning(2)), -EINVAL) << "not a devmap program";
    g_ask = {.map = map.get(), .index = 0, .flags = 0};
    burst(64);
    EXPECT_EQ(out_.transmitted, 8U) << "PASS";
    EXPECT_EQ(device_counters(1).program_drop - before_[1].program_drop, 8U) << "DROP";
    EXPECT_EQ(device_counters(1).program_aborted - before_[1].program_aborted, 48U)
        << "TX and REDIRECT have no meaning there";
    EXPECT_EQ(xdp::verdicts(0).redirect, 64U);
    EXPECT_EQ(source_.in_flight(), 0U);
}

TEST_F(RedirectDevice, BroadcastCopiesToAllButTheIngress) {
    const auto map = make_map(MapType::devmap_hash, 8);
    for (const std::uint32_t ifindex : {1U, 2U, 3U}) {
        ASSERT_EQ(set_slot(*map, 10 * ifindex, ifindex), 0);
    }
    out_.keeps = other_.keeps = true;
    g_ask = {.map = map.get(), .index = 0, .flags = kBroadcast | kExcludeIngress};
    burst(50);
    EXPECT_EQ(in_.transmitted, 0U);
    ASSERT_EQ(out_.sent.size(), 50U);
    ASSERT_EQ(other_.sent.size(), 50U);
    for (std::uint32_t i = 0; i < 50; ++i) {
        EXPECT_EQ(out_.sent[i].data[0], i);
        EXPECT_EQ(other_.sent[i].data[0], i);
        EXPECT_NE(out_.sent[i].page, other_.sent[i].page);
        EXPECT_EQ(other_.sent[i].len, 64U);
    }
    g_ask.flags = kBroadcast;
    burst(64);
    EXPECT_EQ(in_.transmitted, 64U);
    EXPECT_EQ(xdp::verdicts(0).redirect, 114U);
}

TEST_F(RedirectDevice, BroadcastCountsFramesOnceAndSkipsWhatIsDown) {
    const auto map = make_map(MapType::devmap, 3);
    ASSERT_EQ(set_slot(*map, 0, 2), 0);
    ASSERT_EQ(set_slot(*map, 2, 3), 0);
    out_.room = 0;
    other_.room = 0;
    g_ask = {.map = map.get(), .index = 0, .flags = kBroadcast};
    burst(9);
    EXPECT_EQ(xdp::verdicts(0).redirect, 9U) << "copies are the targets' business";
    EXPECT_EQ(refused_here(1) + refused_here(2), 18U);
    out_.up = false;
    other_.up = false;
    burst(9);
    EXPECT_EQ(xdp::verdicts(0).redirect, 18U) << "nobody there is no error";
    EXPECT_EQ(source_.in_flight(), 0U);
}

TEST_F(RedirectDevice, BroadcastWithoutPagesIsAnError) {
    const auto map = make_map(MapType::devmap, 2);
    ASSERT_EQ(set_slot(*map, 0, 2), 0);
    ASSERT_EQ(set_slot(*map, 1, 3), 0);
    g_ask = {.map = map.get(), .index = 0, .flags = kBroadcast};
    const test::FrameSource small("small", 64);
    std::array<xdp::Frame, xdp::kBurstMax> frames;
    ASSERT_EQ(small.make(frames.data(), 64), 64U);
    EXPECT_EQ(in_.run(frames.data(), 64), 0U);
    EXPECT_EQ(xdp::verdicts(0).redirect_errors, 64U);
    EXPECT_EQ(small.in_flight(), 0U);
}

TEST_F(RedirectDevice, SlotsChangeUnderTraffic) {
    const auto map = make_map(MapType::devmap, 1);
    ASSERT_EQ(set_slot(*map, 0, 2), 0);
    g_ask = {.map = map.get(), .index = 0, .flags = 2};  // empty slot: PASS
    std::atomic<bool> stop{false};
    std::uint64_t frames_in = 0;
    std::uint64_t passed = 0;
    std::thread sender([&] {
        std::array<xdp::Frame, xdp::kBurstMax> frames;
        while (!stop.load()) {
            const std::uint32_t n = source_.make(frames.data(), 32);
            const std::uint32_t left = in_.run(frames.data(), n);
            test::recycle(frames.data(), left);
            frames_in += n;
            passed += left;
        }
    });
    for (std::uint32_t i = 0; i < 200; ++i) {
        const std::uint32_t key = 0;
        ASSERT_EQ(set_slot(*map, 0, 2 + i % 2), 0);
        ASSERT_EQ(map->erase(&key), 0);
    }
    stop.store(true);
    sender.join();
    EXPECT_EQ(out_.transmitted + other_.transmitted + passed, frames_in);
    EXPECT_EQ(source_.in_flight(), 0U);
}

}  // namespace
}  // namespace crema::redirect
