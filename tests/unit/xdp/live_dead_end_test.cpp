// SPDX-License-Identifier: BSD-3-Clause
//
// Test runs with live frames in a process without EAL: programs see what they see elsewhere, and a
// frame that is to be sent ends the run with the reason. (With ports: unit/redirect.)
#include <cerrno>
#include <cstdint>
#include <gtest/gtest.h>
#include <map>
#include <vector>

#include "lib/xdp/live_frames.h"
#include "tests/support/tiny_program.h"

namespace crema::xdp {
namespace {

constexpr std::uint32_t kAborted = 0, kDrop = 1, kPass = 2, kTx = 3, kRedirect = 4;

Result<LiveRun> run(const std::shared_ptr<const ebpf::LoadedProgram>& program,
                    std::uint32_t repeat,
                    std::uint32_t batch = 64) {
    const std::vector<std::uint8_t> packet(60);
    return run_live_frames(*program, packet,
                           {.data = 0,
                            .data_end = 60,
                            .data_meta = 0,
                            .ingress_ifindex = 0,
                            .rx_queue_index = 0,
                            .egress_ifindex = 0},
                           repeat, batch);
}

TEST(LiveDeadEnd, VerdictsThatSendNothingAreServed) {
    EXPECT_EQ(run(test::returning(kDrop), 1000)->verdicts.drop, 1000U);
    EXPECT_EQ(run(test::returning(kPass), 1000, 256)->verdicts.pass, 1000U);
    EXPECT_EQ(run(test::returning(kAborted), 1000)->verdicts.aborted, 1000U);
    EXPECT_EQ(run(test::returning(9), 10'000)->verdicts.aborted, 10'000U);
}

TEST(LiveDeadEnd, WhatIsToBeSentEndsTheRun) {
    for (const std::uint32_t verdict : {kTx, kRedirect}) {
        const auto sent = run(test::returning(verdict), 1);
        ASSERT_FALSE(sent);
        EXPECT_EQ(sent.error().code, ENOTSUP);
        EXPECT_NE(sent.error().message.find("crema bpf --to"), std::string::npos);
    }
}

std::map<std::uint32_t, std::uint32_t> g_seen;
std::uint64_t g_verdict = kDrop;

std::uint64_t count_up(
    std::uint64_t r1, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t) {
    auto& buff = *reinterpret_cast<ebpf::XdpBuff*>(r1);
    EXPECT_EQ(buff.data_end - buff.data, 60);
    EXPECT_EQ(buff.ingress_ifindex, 1U);
    ++g_seen[buff.data[0]++];
    return g_verdict;
}

// Numbers of the kernel, 6.18.
TEST(LiveDeadEnd, ContentsPersistAsInTheKernel) {
    const auto program = test::calling(count_up);
    ASSERT_TRUE(run(program, 130));
    EXPECT_EQ(g_seen, (std::map<std::uint32_t, std::uint32_t>{{0, 64}, {1, 64}, {2, 2}}));
    g_seen.clear();
    g_verdict = kPass;
    ASSERT_TRUE(run(program, 600, 256));
    EXPECT_EQ(g_seen, (std::map<std::uint32_t, std::uint32_t>{{0, 256}, {1, 256}, {2, 88}}));
}

}  // namespace
}  // namespace crema::xdp
