// SPDX-License-Identifier: BSD-3-Clause
//
// The test run's geometry and errors are BPF_PROG_TEST_RUN's. Programs come in by PROG_LOAD as raw
// instructions: no object file, no EAL.
#include "lib/xdp/test_run.h"

#include <cerrno>
#include <cstring>
#include <gtest/gtest.h>
#include <memory>
#include <numeric>
#include <tuple>
#include <unistd.h>
#include <vector>

#include <linux/bpf.h>

#include "lib/base/caller.h"
#include "lib/base/unique_fd.h"
#include "lib/ebpf/abi/fragments.h"
#include "lib/ebpf/syscall/serve.h"
#include "lib/ebpf/syscall/session.h"
#include "tests/support/asm.h"

namespace crema::xdp {
namespace {

using ebpf::Insn;
using test::insn;
namespace op = ebpf::op;

std::shared_ptr<const ebpf::LoadedProgram> load(const std::vector<Insn>& insns,
                                                std::uint32_t attach_type = BPF_XDP) {
    const ebpf::syscall::Session session;
    bpf_attr attr{};
    attr.prog_type = BPF_PROG_TYPE_XDP;
    attr.expected_attach_type = attach_type;
    attr.insns = reinterpret_cast<std::uint64_t>(insns.data());
    attr.insn_cnt = static_cast<std::uint32_t>(insns.size());
    attr.license = reinterpret_cast<std::uint64_t>("GPL");
    const UniqueFd fd(static_cast<int>(ebpf::syscall::serve(BPF_PROG_LOAD, &attr, sizeof(attr))));
    EXPECT_TRUE(fd.valid()) << session.refusal()->message;
    return ebpf::syscall::program_of(fd.get());
}

/// r0 = xdp_md.`field`; exit
std::shared_ptr<const ebpf::LoadedProgram> returns_field(int field) {
    return load({insn(op::kLdx | op::kMem | op::kW, 0, 1, field, 0),
                 insn(op::kJmp | op::kExit, 0, 0, 0, 0)});
}

/// r0 = bpf_xdp_adjust_head(ctx, delta); exit
std::shared_ptr<const ebpf::LoadedProgram> adjusts_head(int delta) {
    return load({insn(op::kAlu64 | op::kMov | op::kK, 2, 0, 0, delta),
                 insn(op::kJmp | op::kCall, 0, 0, 0, 44), insn(op::kJmp | op::kExit, 0, 0, 0, 0)});
}

std::vector<std::uint8_t> packet_of(std::size_t bytes) {
    std::vector<std::uint8_t> packet(bytes);
    std::iota(packet.begin(), packet.end(), std::uint8_t{1});
    return packet;
}

TEST(TestRun, GivesTheVerdictAndThePacketBack) {
    const auto program = load(
        {insn(op::kAlu64 | op::kMov | op::kK, 0, 0, 0, 3), insn(op::kJmp | op::kExit, 0, 0, 0, 0)});
    const auto packet = packet_of(60);
    const auto run = test_run(*program, packet, 7, 0);
    ASSERT_TRUE(run) << run.error().message;
    EXPECT_EQ(run->retval, 3U);
    EXPECT_EQ(run->bytes, packet);
}

TEST(TestRun, ShowsTheIngressPort) {
    const auto run = test_run(*returns_field(12), packet_of(60), 7, 1);
    ASSERT_TRUE(run) << run.error().message;
    EXPECT_EQ(run->retval, 7U);
    EXPECT_EQ(test_run(*returns_field(16), packet_of(60), 7, 1)->retval, 0U);
}

TEST(TestRun, EndsWhenNobodyWaitsAnyMore) {
    const auto program = returns_field(12);
    std::uint32_t asked = 0;
    const caller::Scope scope(::getpid(), [&asked] { return ++asked < 3; });
    const auto run = test_run(*program, packet_of(60), 1, UINT32_MAX);
    ASSERT_FALSE(run);
    EXPECT_EQ(run.error().code, EINTR);
    EXPECT_EQ(asked, 3U);
}

TEST(TestRun, DataBehindTheContextsEndIsFragments) {
    const auto packet = packet_of(60);
    // r0 = data_end - data
    const auto program = load({insn(op::kLdx | op::kMem | op::kW, 0, 1, 4, 0),
                               insn(op::kLdx | op::kMem | op::kW, 2, 1, 0, 0),
                               insn(op::kAlu64 | op::kSub | op::kX, 0, 2, 0, 0),
                               insn(op::kJmp | op::kExit, 0, 0, 0, 0)});
    for (const std::uint32_t linear : {0U, 20U, 60U}) {
        const auto run = test_run(*program, packet,
                                  {.data = 0,
                                   .data_end = linear,
                                   .data_meta = 0,
                                   .ingress_ifindex = 0,
                                   .rx_queue_index = 0,
                                   .egress_ifindex = 0},
                                  1);
        ASSERT_TRUE(run);
        EXPECT_EQ(run->retval, linear);
        EXPECT_EQ(run->bytes, packet);
        EXPECT_EQ(run->context.data_end, linear);
    }
}

TEST(TestRun, PacketSizesAreTheKernels) {
    const auto program = returns_field(12);
    const auto runt = test_run(*program, packet_of(13), 1, 1);
    ASSERT_FALSE(runt);
    EXPECT_EQ(runt.error().code, EINVAL);
    constexpr std::uint32_t kMost =
        ebpf::kTestRunLinearMax + ebpf::kFragmentsMax * ebpf::kTestRunPageBytes;
    for (const std::uint32_t bytes : {14U, 3520U, 3521U, 9000U, kMost}) {
        const auto packet = packet_of(bytes);
        const auto run = test_run(*program, packet, 1, 1);
        ASSERT_TRUE(run) << bytes;
        EXPECT_EQ(run->bytes, packet) << bytes;
    }
    const auto longer = test_run(*program, packet_of(kMost + 1), 1, 1);
    ASSERT_FALSE(longer);
    EXPECT_EQ(longer.error().code, ENOMEM);
}

TEST(TestRun, HeadroomIsTheKernels) {
    const auto error = static_cast<std::uint32_t>(-EINVAL);
    const auto packet = packet_of(64);
    const auto grown = test_run(*adjusts_head(-216), packet, 1, 1);
    ASSERT_TRUE(grown) << grown.error().message;
    EXPECT_EQ(grown->retval, 0U);
    EXPECT_EQ(grown->bytes.size(), 280U);
    EXPECT_EQ(grown->bytes[0], 0U) << "headroom is zero";
    EXPECT_EQ(grown->bytes[216], 1U);
    EXPECT_EQ(test_run(*adjusts_head(-217), packet, 1, 1)->retval, error);
    EXPECT_EQ(test_run(*adjusts_head(50), packet, 1, 1)->bytes.size(), 14U);
    EXPECT_EQ(test_run(*adjusts_head(51), packet, 1, 1)->retval, error);
}

// Measured on the kernel: pointers are not set back between the runs.
TEST(TestRun, EachRepetitionFindsWhatTheOneBeforeLeft) {
    const auto program = adjusts_head(10);
    const auto packet = packet_of(64);
    for (const auto& [repeat, bytes, result] :
         {std::tuple{0U, 54U, 0}, {1U, 54U, 0}, {3U, 34U, 0}, {5U, 14U, 0}, {6U, 14U, -EINVAL}}) {
        const auto run = test_run(*program, packet, 1, repeat);
        ASSERT_TRUE(run) << run.error().message;
        EXPECT_EQ(run->bytes.size(), bytes) << repeat;
        EXPECT_EQ(run->retval, static_cast<std::uint32_t>(result)) << repeat;
        EXPECT_EQ(run->bytes[0], packet[64 - bytes]) << repeat;
        EXPECT_EQ(run->context.data_end, bytes);
    }
}

TEST(TestRun, ProgramsOfMapsAreRefused) {
    for (const auto type : {BPF_XDP_DEVMAP, BPF_XDP_CPUMAP}) {
        const auto program = load({insn(op::kAlu64 | op::kMov | op::kK, 0, 0, 0, 2),
                                   insn(op::kJmp | op::kExit, 0, 0, 0, 0)},
                                  type);
        const auto run = test_run(*program, packet_of(60), 1, 1);
        ASSERT_FALSE(run);
        EXPECT_EQ(run.error().code, EINVAL);
    }
}

}  // namespace
}  // namespace crema::xdp
