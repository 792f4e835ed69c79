// SPDX-License-Identifier: BSD-3-Clause
//
// Instructions written by hand, for tests of everything that takes a Program: one function per
// form, named after what the kernel's log prints. Jump offsets are relative, as in the encoding.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "lib/ebpf/program/instruction.h"
#include "lib/ebpf/program/program.h"

namespace crema::test {

using ebpf::Insn;
namespace op = ebpf::op;

[[nodiscard]] constexpr Insn insn(int code, int dst, int src, int off, std::int64_t imm) {
    Insn i{};
    i.code = static_cast<std::uint8_t>(code);
    i.dst = static_cast<std::uint8_t>(dst & 0xf);
    i.src = static_cast<std::uint8_t>(src & 0xf);
    i.off = static_cast<std::int16_t>(off);
    i.imm = static_cast<std::int32_t>(imm);
    return i;
}

// operation: op::kAdd...; r = 64 bits, w = 32 bits; k = immediate
[[nodiscard]] inline Insn alu(int operation, int dst, int src) {
    return insn(op::kAlu64 | op::kX | operation, dst, src, 0, 0);
}

[[nodiscard]] inline Insn alu_k(int operation, int dst, std::int64_t imm) {
    return insn(op::kAlu64 | operation, dst, 0, 0, imm);
}

[[nodiscard]] inline Insn alu32(int operation, int dst, int src) {
    return insn(op::kAlu | op::kX | operation, dst, src, 0, 0);
}

[[nodiscard]] inline Insn alu32_k(int operation, int dst, std::int64_t imm) {
    return insn(op::kAlu | operation, dst, 0, 0, imm);
}

[[nodiscard]] inline Insn mov(int dst, int src) {
    return alu(op::kMov, dst, src);
}

[[nodiscard]] inline Insn mov_k(int dst, std::int64_t imm) {
    return alu_k(op::kMov, dst, imm);
}

[[nodiscard]] inline Insn add_k(int dst, std::int64_t imm) {
    return alu_k(op::kAdd, dst, imm);
}

// size: op::kB, kH, kW, kDw
[[nodiscard]] inline Insn load(int size, int dst, int src, int off) {
    return insn(op::kLdx | op::kMem | size, dst, src, off, 0);
}

[[nodiscard]] inline Insn store(int size, int dst, int off, int src) {
    return insn(op::kStx | op::kMem | size, dst, src, off, 0);
}

[[nodiscard]] inline Insn store_k(int size, int dst, int off, std::int64_t imm) {
    return insn(op::kSt | op::kMem | size, dst, 0, off, imm);
}

[[nodiscard]] inline Insn atomic_add(int size, int dst, int off, int src) {
    return insn(op::kStx | op::kAtomic | size, dst, src, off, 0);
}

[[nodiscard]] inline Insn jump(int operation, int dst, int src, int off) {
    return insn(op::kJmp | op::kX | operation, dst, src, off, 0);
}

[[nodiscard]] inline Insn jump_k(int operation, int dst, std::int64_t imm, int off) {
    return insn(op::kJmp | operation, dst, 0, off, imm);
}

[[nodiscard]] inline Insn jump32(int operation, int dst, int src, int off) {
    return insn(op::kJmp32 | op::kX | operation, dst, src, off, 0);
}

[[nodiscard]] inline Insn jump32_k(int operation, int dst, std::int64_t imm, int off) {
    return insn(op::kJmp32 | operation, dst, 0, off, imm);
}

[[nodiscard]] inline Insn go(int off) {
    return insn(op::kJmp | op::kJa, 0, 0, off, 0);
}

[[nodiscard]] inline Insn call(int helper) {
    return insn(op::kJmp | op::kCall, 0, 0, 0, helper);
}

/// Calls the function `off` slots after the next one.
[[nodiscard]] inline Insn call_function(int off) {
    return insn(op::kJmp | op::kCall, 0, op::kPseudoCall, 0, off);
}

[[nodiscard]] inline Insn exit_insn() {
    return insn(op::kJmp | op::kExit, 0, 0, 0, 0);
}

// The two slots of LD_IMM64; `map` is an index into Program::maps.
[[nodiscard]] inline std::vector<Insn> ld_imm64(int dst, std::uint64_t v) {
    return {insn(op::kLdImm64, dst, 0, 0, static_cast<std::int32_t>(v)),
            insn(0, 0, 0, 0, static_cast<std::int32_t>(v >> 32))};
}

[[nodiscard]] inline std::vector<Insn> ld_map(int dst, int map) {
    return {insn(op::kLdImm64, dst, op::kPseudoMap, 0, map), insn(0, 0, 0, 0, 0)};
}

[[nodiscard]] inline std::vector<Insn> ld_map_value(int dst, int map, int off) {
    return {insn(op::kLdImm64, dst, op::kPseudoMapValue, 0, map), insn(0, 0, 0, 0, off)};
}

/// A program from single instructions and two-slot pieces.
class Code {
  public:
    Code() = default;

    // Implicit on purpose: a test writes Code{mov_k(0, 2), exit_insn()}.
    // NOLINTBEGIN(google-explicit-constructor)
    Code(std::initializer_list<Code> parts) {
        for (const Code& part : parts) {
            insns_.insert(insns_.end(), part.insns_.begin(), part.insns_.end());
        }
    }

    Code(const Insn& one) : insns_{one} {}

    Code(std::vector<Insn> some) : insns_(std::move(some)) {}

    // NOLINTEND(google-explicit-constructor)

    [[nodiscard]] const std::vector<Insn>& insns() const { return insns_; }

  private:
    std::vector<Insn> insns_;
};

[[nodiscard]] inline ebpf::Program program_of(const Code& code) {
    ebpf::Program program;
    program.name = "test";
    program.insns = code.insns();
    program.expected_attach_type = ebpf::kAttachXdp;
    program.gpl_compatible = true;
    return program;
}

}  // namespace crema::test
