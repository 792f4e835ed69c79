// SPDX-License-Identifier: BSD-3-Clause
//
// Addresses of functions, and the context of the run where no register carries it. Calls are
// compared with the kernel by lowering_random_conformance_test.
#include <cstring>
#include <gtest/gtest.h>
#include <vector>

#include "lib/ebpf/lowering/dpdk_jit.h"
#include "lib/ebpf/lowering/lower.h"
#include "lib/ebpf/maps/map.h"
#include "lib/ebpf/maps/target_hooks.h"
#include "lib/ebpf/syscall/loaded_program.h"
#include "tests/support/asm.h"

namespace crema::test {
namespace {

constexpr int kLookup = 1, kLoop = 181;

struct TwoFunctions {
    ebpf::Program program;
    ebpf::verifier::Proof proof;

    // `named`: instructions that call or name the second function.
    TwoFunctions(const Code& first, const Code& second, const std::vector<std::size_t>& named) {
        std::vector<Insn> all = first.insns();
        const auto start = static_cast<std::uint32_t>(all.size());
        all.insert(all.end(), second.insns().begin(), second.insns().end());
        program = program_of(all);
        program.functions.resize(2);
        program.functions[0].end = program.functions[1].first = start;
        program.functions[1].end = static_cast<std::uint32_t>(all.size());
        proof.functions.resize(2);
        proof.functions[0].stack_bytes = proof.functions[1].stack_bytes = 16;
        proof.insns.resize(all.size());
        for (auto& facts : proof.insns) {
            facts.reachable = true;
        }
        for (const std::size_t at : named) {
            program.insns[at].imm =
                static_cast<std::int32_t>(start) - static_cast<std::int32_t>(at) - 1;
            proof.insns[at].function = 1;
        }
    }
};

std::shared_ptr<ebpf::maps::Map> percpu_counter() {
    return *ebpf::maps::create({.type = ebpf::maps::MapType::percpu_array,
                                .key_size = 4,
                                .value_size = 8,
                                .max_entries = 1,
                                .flags = 0,
                                .name = "counter"});
}

// r1 = index, r2 = context. Adds the index to *context and one to the counter of this CPU.
Code counting_callback() {
    return {load(op::kDw, 3, 2, 0),
            alu(op::kAdd, 3, 1),
            store(op::kDw, 2, 0, 3),
            store_k(op::kW, 10, -4, 0),
            mov(2, 10),
            add_k(2, -4),
            ld_map(1, 0),
            call(kLookup),
            jump_k(op::kJeq, 0, 0, 3),
            load(op::kDw, 1, 0, 0),
            add_k(1, 1),
            store(op::kDw, 0, 0, 1),
            mov_k(0, 0),
            exit_insn()};
}

std::uint64_t counted(const ebpf::maps::Map& map, std::uint32_t cpu) {
    std::uint64_t count = 0;
    const std::uint8_t* const values = map.layout().base;
    EXPECT_NE(values, nullptr);
    if (values != nullptr) {
        std::memcpy(&count, values + cpu * map.layout().percpu_stride, sizeof count);
    }
    return count;
}

TEST(LowerFunctions, ACallbackFindsTheContextOfTheRun) {
    // sum = 0; bpf_loop(10, callback, &sum, 0); return sum * 100 + what bpf_loop gave
    TwoFunctions made(
        {store_k(op::kDw, 10, -8, 0), insn(op::kLdImm64, 2, op::kPseudoFunc, 0, 0),
         insn(0, 0, 0, 0, 0), mov_k(1, 10), mov(3, 10), add_k(3, -8), mov_k(4, 0), call(kLoop),
         load(op::kDw, 1, 10, -8), alu_k(op::kMul, 1, 100), alu(op::kAdd, 0, 1), exit_insn()},
        counting_callback(), {1});
    made.program.maps = {percpu_counter()};
    const std::size_t lookup = 12 + 7 + 1;  // its call
    ASSERT_EQ(made.program.insns[lookup].imm, kLookup);
    made.proof.insns[lookup].map = 0;
    const auto lowered = ebpf::lowering::lower(made.program, made.proof);
    ASSERT_TRUE(lowered) << lowered.error().message;
    const auto code = ebpf::lowering::compile(*lowered);
    ASSERT_TRUE(code) << code.error().message;
    ebpf::XdpBuff buff{};
    for (const std::uint32_t cpu : ebpf::maps::possible_cpu_ids()) {
        buff.cpu = cpu;
        EXPECT_EQ(code->entry()(&buff, nullptr), 45U * 100 + 10);
        EXPECT_EQ(counted(*made.program.maps[0], cpu), 10U) << "CPU " << cpu;
    }
}

TEST(LowerFunctions, AFunctionMayNameItself) {
    // The callback of a timer starts the timer again: no order of compilation serves that.
    TwoFunctions made(
        {mov_k(1, 7), insn(op::kJmp | op::kCall, 0, op::kPseudoCall, 0, 0), exit_insn()},
        {insn(op::kLdImm64, 0, op::kPseudoFunc, 0, 0), insn(0, 0, 0, 0, 0), exit_insn()}, {1, 3});
    const auto lowered = ebpf::lowering::lower(made.program, made.proof);
    ASSERT_TRUE(lowered) << lowered.error().message;
    const auto code = ebpf::lowering::compile(*lowered);
    ASSERT_TRUE(code) << code.error().message;
    ebpf::XdpBuff buff{};
    EXPECT_EQ(code->entry()(&buff, nullptr), code->functions()[0].address);
}

// In a function, the target returns to the caller of that function.
TEST(LowerFunctions, ATailCallReturnsToTheCaller) {
    const auto returns_seven = [](ebpf::XdpBuff* buff, const void*) -> std::uint64_t {
        return 7 + 10 * std::uint64_t{buff->tail_calls};
    };
    auto map = *ebpf::maps::create({.type = ebpf::maps::MapType::prog_array,
                                    .key_size = 4,
                                    .value_size = 4,
                                    .max_entries = 2,
                                    .flags = 0,
                                    .name = "programs"});
    static ebpf::EntryPoint entry;
    entry = returns_seven;
    ebpf::maps::set_program_by_fd([](int) {
        ebpf::maps::ProgramRef ref;
        ref.program = std::make_shared<ebpf::LoadedProgram>();
        ref.entry = entry;
        return ref;
    });
    const std::uint32_t key = 1;
    const int any_descriptor = 3;
    ASSERT_EQ(map->update(&key, &any_descriptor, 0), 0);
    for (const std::int32_t known_map : {0, -1}) {
        for (const std::uint32_t taken : {0U, 32U, 33U}) {
            // main: r0 = f(ctx); r0 += 100.  f: tail call of slot 1; return 5
            TwoFunctions made(
                {insn(op::kJmp | op::kCall, 0, op::kPseudoCall, 0, 0), add_k(0, 100), exit_insn()},
                {ld_map(2, 0), mov_k(3, 1), call(12), mov_k(0, 5), exit_insn()}, {0});
            made.program.maps = {map};
            made.proof.insns[6].map = known_map;
            const auto lowered = ebpf::lowering::lower(made.program, made.proof);
            ASSERT_TRUE(lowered) << lowered.error().message;
            const auto code = ebpf::lowering::compile(*lowered);
            ASSERT_TRUE(code) << code.error().message;
            ebpf::XdpBuff buff{};
            buff.tail_calls = taken;
            const std::uint64_t from_target = 7 + 10 * (std::uint64_t{taken} + 1);
            EXPECT_EQ(code->entry()(&buff, nullptr), taken < 33 ? from_target + 100 : 105)
                << taken << " calls before, map " << known_map;
            EXPECT_EQ(buff.tail_calls, taken < 33 ? taken + 1 : taken);
        }
    }
    (void)map->erase(&key);
}

TEST(LowerFunctions, FunctionsThatCallEachOtherAreRefused) {
    const Code calls{insn(op::kJmp | op::kCall, 0, op::kPseudoCall, 0, 0), exit_insn()};
    TwoFunctions made(calls, calls, {0, 2});
    const auto lowered = ebpf::lowering::lower(made.program, made.proof);
    ASSERT_FALSE(lowered);
    EXPECT_EQ(lowered.error().code, EINVAL);
    EXPECT_NE(lowered.error().message.find("in a circle"), std::string::npos);
}

TEST(LowerFunctions, WhatIsNeverCalledIsNotCompiled) {
    TwoFunctions made({mov_k(0, 3), exit_insn()}, {insn(0xff, 0, 0, 0, 0), exit_insn()}, {});
    made.proof.insns[2].reachable = made.proof.insns[3].reachable = false;
    const auto lowered = ebpf::lowering::lower(made.program, made.proof);
    ASSERT_TRUE(lowered) << lowered.error().message;
    EXPECT_EQ(lowered->functions.size(), 1U);
}

}  // namespace
}  // namespace crema::test
