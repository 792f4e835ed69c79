// SPDX-License-Identifier: BSD-3-Clause
//
// Interpreted programs as the rest of the runtime sees them: chosen by session or environment, run
// through entry() and self(), with functions that natives can call back.
#include <cerrno>
#include <cstdlib>
#include <gtest/gtest.h>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include <linux/bpf.h>

#include "lib/base/unique_fd.h"
#include "lib/ebpf/interpreter/interpreter.h"
#include "lib/ebpf/syscall/serve.h"
#include "lib/ebpf/syscall/session.h"
#include "lib/xdp/test_run.h"
#include "tests/support/asm.h"

namespace crema::test {
namespace {

using ebpf::Engine;
using ebpf::interpreter::Image;
using ebpf::interpreter::kCallbacksMax;

std::shared_ptr<const ebpf::LoadedProgram> load_with(const ebpf::syscall::Session& session,
                                                     const Code& code) {
    bpf_attr attr{};
    attr.prog_type = BPF_PROG_TYPE_XDP;
    attr.insns = reinterpret_cast<std::uintptr_t>(code.insns().data());
    attr.insn_cnt = static_cast<std::uint32_t>(code.insns().size());
    attr.license = reinterpret_cast<std::uintptr_t>("GPL");
    const UniqueFd fd(static_cast<int>(ebpf::syscall::serve(BPF_PROG_LOAD, &attr, sizeof attr)));
    EXPECT_TRUE(fd.valid()) << session.refusal()->message;
    return ebpf::syscall::program_of(fd.get());
}

// Counts down in a loop, with a word on the stack and a look at the packet.
Code counting_program() {
    return {load(op::kW, 2, 1, 0),
            load(op::kW, 3, 1, 4),
            mov(4, 2),
            add_k(4, 14),
            jump(op::kJle, 4, 3, 2),
            mov_k(0, 0),
            exit_insn(),
            load(op::kB, 5, 2, 0),
            store(op::kDw, 10, -8, 5),
            mov_k(0, 0),
            mov_k(6, 4),
            load(op::kDw, 5, 10, -8),
            alu(op::kAdd, 0, 5),
            add_k(6, -1),
            jump_k(op::kJne, 6, 0, -4),
            exit_insn()};
}

TEST(InterpretedProgram, RunsWhereTheSessionSaysSo) {
    const ebpf::syscall::Session session(0, ebpf::syscall::Session::OnRefusal::fail,
                                         Engine::interpreter);
    const auto program = load_with(session, counting_program());
    ASSERT_NE(program, nullptr);
    EXPECT_NE(program->image, nullptr);
    EXPECT_NE(program->self(), nullptr);
    EXPECT_EQ(program->code.entry(), nullptr);
    std::vector<std::uint8_t> packet(60, 0);
    packet[0] = 9;
    const auto run = xdp::test_run(*program, packet, 1, 3);
    ASSERT_TRUE(run) << run.error().message;
    EXPECT_EQ(run->retval, 36U);
}

TEST(InterpretedProgram, IsChosenByTheEnvironment) {
    ASSERT_EQ(::setenv("CREMA_JIT", "off", 1), 0);
    EXPECT_EQ(ebpf::syscall::default_engine(), Engine::interpreter);
    {
        const ebpf::syscall::Session session;
        EXPECT_NE(load_with(session, counting_program())->image, nullptr);
    }
    ASSERT_EQ(::setenv("CREMA_JIT", "on", 1), 0);
    EXPECT_EQ(ebpf::syscall::default_engine(), Engine::automatic);
    ASSERT_EQ(::unsetenv("CREMA_JIT"), 0);
    EXPECT_EQ(ebpf::syscall::default_engine(), Engine::automatic);
    const ebpf::syscall::Session session;
    EXPECT_EQ(load_with(session, counting_program())->image == nullptr, ebpf::lowering::kHasJit);
}

/// A program whose descriptor stays open.
struct Open {
    UniqueFd fd;
    std::shared_ptr<const ebpf::LoadedProgram> program;
};

Open open_program(const Code& code) {
    bpf_attr attr{};
    attr.prog_type = BPF_PROG_TYPE_XDP;
    attr.insns = reinterpret_cast<std::uintptr_t>(code.insns().data());
    attr.insn_cnt = static_cast<std::uint32_t>(code.insns().size());
    attr.license = reinterpret_cast<std::uintptr_t>("GPL");
    UniqueFd fd(static_cast<int>(ebpf::syscall::serve(BPF_PROG_LOAD, &attr, sizeof attr)));
    auto program = fd.valid() ? ebpf::syscall::program_of(fd.get()) : nullptr;
    return {.fd = std::move(fd), .program = std::move(program)};
}

UniqueFd new_program_array(std::uint32_t entries) {
    bpf_attr attr{};
    attr.map_type = BPF_MAP_TYPE_PROG_ARRAY;
    attr.key_size = attr.value_size = 4;
    attr.max_entries = entries;
    return UniqueFd(static_cast<int>(ebpf::syscall::serve(BPF_MAP_CREATE, &attr, sizeof attr)));
}

void put(const UniqueFd& array, std::uint32_t key, const UniqueFd& program) {
    const int value = program.get();
    bpf_attr attr{};
    attr.map_fd = static_cast<std::uint32_t>(array.get());
    attr.key = reinterpret_cast<std::uintptr_t>(&key);
    attr.value = reinterpret_cast<std::uintptr_t>(&value);
    ASSERT_EQ(ebpf::syscall::serve(BPF_MAP_UPDATE_ELEM, &attr, sizeof attr), 0);
}

/// Adds one to the first packet byte and calls slot `index` of the array; returns 9 if that fails.
Code counts_and_calls(const UniqueFd& array, int index) {
    return {mov(6, 1),
            load(op::kW, 2, 1, 0),
            load(op::kW, 3, 1, 4),
            mov(4, 2),
            add_k(4, 14),
            jump(op::kJgt, 4, 3, 3),
            load(op::kB, 5, 2, 0),
            add_k(5, 1),
            store(op::kB, 2, 0, 5),
            mov(1, 6),
            ld_map(2, array.get()),
            mov_k(3, index),
            call(12),
            mov_k(0, 9),
            exit_insn()};
}

TEST(InterpretedTailCalls, GoOnInTheTargetUpTo33Times) {
    const ebpf::syscall::Session session(0, ebpf::syscall::Session::OnRefusal::fail,
                                         Engine::interpreter);
    const UniqueFd array = new_program_array(3);
    ASSERT_TRUE(array.valid());
    const Open itself = open_program(counts_and_calls(array, 0));
    const Open other = open_program(counts_and_calls(array, 1));
    const Open empty = open_program(counts_and_calls(array, 2));
    const Open returns_5 = open_program({mov_k(0, 5), exit_insn()});
    ASSERT_TRUE(itself.program && other.program && empty.program && returns_5.program)
        << session.refusal()->message;
    put(array, 0, itself.fd);
    put(array, 1, returns_5.fd);
    const std::vector<std::uint8_t> packet(60, 0);
    const auto run = [&](const Open& program) {
        auto result = xdp::test_run(*program.program, packet, 1, 1);
        EXPECT_TRUE(result);
        return std::pair(result->retval, result->bytes[0]);
    };
    EXPECT_EQ(run(other), std::pair(5U, std::uint8_t{1}));
    EXPECT_EQ(run(empty), std::pair(9U, std::uint8_t{1}));
    EXPECT_EQ(run(itself), std::pair(9U, std::uint8_t{34}));
}

TEST(InterpretedProgram, WhatCannotRunIsRefusedWithItsReason) {
    const ebpf::Program program =
        program_of({insn(op::kJmp | op::kCall, 0, op::kPseudoKfunc, 0, 7), exit_insn()});
    ebpf::verifier::Proof proof;
    proof.insns.resize(2);
    proof.insns[0].reachable = proof.insns[1].reachable = true;
    const auto image = Image::prepare(program, &proof);
    ASSERT_FALSE(image);
    EXPECT_EQ(image.error().code, ENOTSUP);
    EXPECT_NE(image.error().message.find("program test: instruction 0"), std::string::npos)
        << image.error().message;
    proof.insns[0].reachable = false;
    EXPECT_TRUE(Image::prepare(program, &proof));
    proof.insns.resize(1);
    EXPECT_EQ(Image::prepare(program, &proof).error().code, EINVAL);
}

using Callback =
    std::uint64_t (*)(std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t);

/// The address of a function (r0 = r1 * 10 + r2) is the program's result.
ebpf::Program returns_callback() {
    return program_of({insn(op::kLdImm64, 0, op::kPseudoFunc, 0, 2), insn(0, 0, 0, 0, 0),
                       exit_insn(), mov(0, 1), alu_k(op::kMul, 0, 10), alu(op::kAdd, 0, 2),
                       exit_insn()});
}

ebpf::verifier::Proof all_reachable(const ebpf::Program& program) {
    ebpf::verifier::Proof proof;
    proof.insns.resize(program.insns.size());
    for (auto& facts : proof.insns) {
        facts.reachable = true;
    }
    return proof;
}

TEST(InterpretedCallbacks, AreCalledAsCFunctionsFromAnyThread) {
    const ebpf::Program program = returns_callback();
    const auto proof = all_reachable(program);
    const auto image = Image::prepare(program, &proof);
    ASSERT_TRUE(image) << image.error().message;
    ebpf::XdpBuff buff{};
    const auto callback = reinterpret_cast<Callback>(
        static_cast<std::uintptr_t>(ebpf::interpreter::run(&buff, image->get())));
    EXPECT_EQ(callback(4, 2, 0, 0, 0), 42U);
    std::uint64_t elsewhere = 0;
    std::thread([&] { elsewhere = callback(1, 7, 0, 0, 0); }).join();
    EXPECT_EQ(elsewhere, 17U);
}

TEST(InterpretedCallbacks, AreOfAFixedNumberAndComeBack) {
    const ebpf::Program program = returns_callback();
    const auto proof = all_reachable(program);
    std::vector<std::unique_ptr<const Image>> images;
    for (std::uint32_t i = 0; i < kCallbacksMax; ++i) {
        auto image = Image::prepare(program, &proof);
        ASSERT_TRUE(image) << i << ": " << image.error().message;
        images.push_back(std::move(*image));
    }
    const auto refused = Image::prepare(program, &proof);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ENOSPC);
    images.pop_back();
    EXPECT_TRUE(Image::prepare(program, &proof));
}

}  // namespace
}  // namespace crema::test
