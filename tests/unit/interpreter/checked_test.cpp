// SPDX-License-Identifier: BSD-3-Clause
//
// The checked interpreter stops programs that no verifier would take, names instruction and reason,
// and shows what a program may not read as poison.
#include "lib/ebpf/interpreter/checked.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>

#include "lib/ebpf/maps/map.h"
#include "tests/support/asm.h"

namespace crema::test {
namespace {

using ebpf::interpreter::CheckedRun;
using ebpf::interpreter::Image;

constexpr int kArrayMap = 0, kConstantMap = 1;
constexpr std::uint32_t kPacketBytes = 60;

std::vector<std::shared_ptr<ebpf::maps::Map>> make_maps() {
    using ebpf::maps::MapType;
    return {*ebpf::maps::create({MapType::array, 4, 16, 4, 0, "array"}),
            *ebpf::maps::create({MapType::array, 4, 16, 1, ebpf::maps::kRdonlyProg, "constants"})};
}

CheckedRun run(const Code& code, std::uint64_t insns_max = 10'000, std::uint64_t salt = 0) {
    ebpf::Program program = program_of(code);
    program.maps = make_maps();
    const auto image = Image::prepare(program, nullptr);
    EXPECT_TRUE(image);
    std::vector<std::uint8_t> page(ebpf::kTestRunPageBytes);
    ebpf::XdpBuff buff{};
    buff.data_hard_start = page.data();
    buff.frame_sz = ebpf::kTestRunPageBytes;
    buff.data = buff.data_meta = page.data() + ebpf::kXdpHeadroom;
    buff.data_end = buff.data + kPacketBytes;
    buff.ingress_ifindex = 0x80000001;
    return ebpf::interpreter::run_checked(**image, buff,
                                          {.insns_max = insns_max, .salt = salt, .observer = {}});
}

void expect_fault(const Code& code, std::uint32_t slot, const std::string& reason) {
    const CheckedRun result = run(code);
    ASSERT_TRUE(result.fault) << reason;
    EXPECT_EQ(result.fault->slot, slot) << result.fault->what;
    EXPECT_NE(result.fault->what.find(reason), std::string::npos) << result.fault->what;
}

void expect_result(const Code& code, std::uint64_t r0) {
    const CheckedRun result = run(code);
    EXPECT_FALSE(result.fault) << result.fault->slot << ": " << result.fault->what;
    EXPECT_EQ(result.r0, r0);
}

TEST(CheckedInterpreter, PacketEndsWhereTheContextSays) {
    const Code data = load(op::kW, 2, 1, 0);
    expect_result({data, load(op::kB, 0, 2, kPacketBytes - 1), exit_insn()}, 0);
    expect_fault({data, load(op::kB, 0, 2, kPacketBytes), exit_insn()}, 1, "read of 1 bytes");
    expect_fault({data, load(op::kDw, 0, 2, kPacketBytes - 7), exit_insn()}, 1, "no object");
    expect_fault({data, store_k(op::kB, 2, -1, 0), exit_insn()}, 1, "write of 1 bytes");
    expect_fault({data, atomic_add(op::kW, 2, 0, 1), exit_insn()}, 1, "atomic operation");
}

TEST(CheckedInterpreter, ContextIsReadByWholeFields) {
    expect_result({load(op::kW, 0, 1, 16), exit_insn()}, 0);
    expect_result({load(op::kW, 0, 1, 12), exit_insn()}, 0x80000001);
    expect_result({insn(op::kLdx | op::kMemSx | op::kW, 0, 1, 12, 0), exit_insn()},
                  0xffffffff80000001);
    expect_fault({load(op::kH, 0, 1, 16), exit_insn()}, 0, "context");
    expect_fault({load(op::kW, 0, 1, 2), exit_insn()}, 0, "context");
    expect_fault({load(op::kW, 0, 1, 24), exit_insn()}, 0, "no object");
    expect_fault({store_k(op::kW, 1, 16, 0), exit_insn()}, 0, "context");
}

TEST(CheckedInterpreter, FramesEndAt512Bytes) {
    expect_result({store_k(op::kDw, 10, -512, 7), load(op::kDw, 0, 10, -512), exit_insn()}, 7);
    expect_fault({store_k(op::kDw, 10, -520, 7), exit_insn()}, 0, "no object");
    expect_fault({store_k(op::kB, 10, 0, 7), exit_insn()}, 0, "no object");
    expect_fault({mov_k(0, 0), insn(op::kStx | op::kAtomic | op::kDw, 10, 0, -12, op::kAtomicXchg),
                  exit_insn()},
                 1, "not aligned");
}

TEST(CheckedInterpreter, AFrameOfACalleeIsGoneAfterIt) {
    // The function returns its frame pointer.
    const Code callee = {store_k(op::kDw, 10, -8, 1), mov(0, 10), exit_insn()};
    expect_fault({insn(op::kJmp | op::kCall, 0, op::kPseudoCall, 0, 2), load(op::kDw, 0, 0, -8),
                  exit_insn(), callee},
                 1, "no object");
}

TEST(CheckedInterpreter, RecursionEndsInAFault) {
    expect_fault({insn(op::kJmp | op::kCall, 0, op::kPseudoCall, 0, -1), exit_insn()}, 0,
                 "nested too deep");
}

TEST(CheckedInterpreter, ValuesAreReachedOnlyByLookupAndOnlyTheOneLookedUp) {
    const Code lookup = {
        store_k(op::kW, 10, -4, 1), mov(2, 10), add_k(2, -4), ld_map(1, kArrayMap), call(1),
        jump_k(op::kJne, 0, 0, 1),  exit_insn()};
    expect_result({lookup, store_k(op::kDw, 0, 8, 5), load(op::kDw, 0, 0, 8), exit_insn()}, 5);
    expect_fault({lookup, load(op::kDw, 0, 0, 16), exit_insn()}, 8, "no object");
    expect_fault({lookup, load(op::kDw, 0, 0, -8), exit_insn()}, 8, "no object");
}

TEST(CheckedInterpreter, ConstantsAreNotWritten) {
    expect_result({ld_map_value(1, kConstantMap, 8), load(op::kDw, 0, 1, 0), exit_insn()}, 0);
    expect_fault({ld_map_value(1, kConstantMap, 8), store_k(op::kDw, 1, 0, 1), exit_insn()}, 2,
                 "read only");
}

TEST(CheckedInterpreter, EndlessLoopsEndInAFault) {
    expect_fault({mov_k(0, 0), go(-1), exit_insn()}, 1, "more than 10000 instructions");
}

TEST(CheckedInterpreter, UnservedInstructionsEndInAFaultWhenReached) {
    const Code kernel_function = insn(op::kJmp | op::kCall, 0, op::kPseudoKfunc, 0, 7);
    expect_fault({mov_k(0, 0), kernel_function, exit_insn()}, 1, "cannot be interpreted");
    expect_result({mov_k(0, 3), jump_k(op::kJeq, 0, 3, 1), kernel_function, exit_insn()}, 3);
}

TEST(CheckedInterpreter, WhatWasNotWrittenDependsOnTheSalt) {
    const Code unwritten[] = {{load(op::kDw, 0, 10, -8), exit_insn()},
                              {mov(0, 6), exit_insn()},
                              {call(8), mov(0, 1), exit_insn()}};
    for (const Code& code : unwritten) {
        EXPECT_NE(run(code, 100, 1).r0, run(code, 100, 2).r0);
        EXPECT_EQ(run(code, 100, 1).r0, run(code, 100, 1).r0);
    }
    const Code written = {mov_k(0, 9), store(op::kDw, 10, -8, 0), load(op::kDw, 0, 10, -8),
                          exit_insn()};
    EXPECT_EQ(run(written, 100, 1).r0, run(written, 100, 2).r0);
}

TEST(CheckedInterpreter, ObserversSeeEachStep) {
    ebpf::Program program =
        program_of({mov_k(2, 5), store(op::kDw, 10, -8, 2), mov_k(0, 2), exit_insn()});
    const auto image = Image::prepare(program, nullptr);
    ASSERT_TRUE(image);
    ebpf::XdpBuff buff{};
    std::vector<std::uint32_t> slots;
    std::uint64_t word = 0;
    const auto result = ebpf::interpreter::run_checked(
        **image, buff,
        {.insns_max = 100, .salt = 0, .observer = [&](const ebpf::interpreter::Moment& now) {
             slots.push_back(now.slot);
             EXPECT_EQ(now.depth, 1U);
             if (now.slot == 3) {
                 std::memcpy(&word, now.frame.data() + now.frame.size() - 8, sizeof word);
             }
         }});
    EXPECT_FALSE(result.fault);
    EXPECT_EQ(slots, (std::vector<std::uint32_t>{0, 1, 2, 3}));
    EXPECT_EQ(word, 5U);
    EXPECT_EQ(result.insns, 4U);
}

}  // namespace
}  // namespace crema::test
