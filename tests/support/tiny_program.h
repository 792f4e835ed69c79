// SPDX-License-Identifier: BSD-3-Clause
//
// Programs for tests of the data path, without object file and verifier: two instructions that
// return a constant, or a call of a C++ function with the context. Compiled by the real JIT.
#pragma once

#include <atomic>
#include <cstdint>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <utility>

#include "lib/ebpf/lowering/dpdk_jit.h"
#include "lib/ebpf/syscall/loaded_program.h"

namespace crema::test {

inline std::shared_ptr<const ebpf::LoadedProgram> tiny_program(
    const ebpf::lowering::LoweredFunction& lowered,
    std::uint32_t attach_type = ebpf::kAttachXdp,
    bool has_frags = false) {
    static std::atomic<std::uint32_t> next_id{1000};
    auto code = ebpf::lowering::compile({.functions = {lowered}});
    EXPECT_TRUE(code) << code.error().message;
    auto program = std::make_shared<ebpf::LoadedProgram>();
    program->id = next_id++;
    program->program.name = "tiny" + std::to_string(program->id);
    program->program.expected_attach_type = attach_type;
    program->program.has_frags = has_frags;
    program->code = std::move(*code);
    return program;
}

/// return `verdict`;
inline std::shared_ptr<const ebpf::LoadedProgram> returning(
    std::uint32_t verdict, std::uint32_t attach_type = ebpf::kAttachXdp) {
    using namespace ebpf;
    Insn move{};
    move.code = op::kAlu64 | op::kMov | op::kK;
    move.imm = static_cast<std::int32_t>(verdict);
    Insn exit{};
    exit.code = op::kJmp | op::kExit;
    return tiny_program({.insns = {move, exit}, .natives = {}, .stack_bytes = 0}, attach_type);
}

/// return function(ctx);
inline std::shared_ptr<const ebpf::LoadedProgram> calling(
    ebpf::helpers::Native function,
    std::uint32_t attach_type = ebpf::kAttachXdp,
    bool has_frags = false) {
    using namespace ebpf;
    Insn call{};
    call.code = op::kJmp | op::kCall;
    Insn exit{};
    exit.code = op::kJmp | op::kExit;
    return tiny_program({.insns = {call, exit}, .natives = {function}, .stack_bytes = 0},
                        attach_type, has_frags);
}

}  // namespace crema::test
