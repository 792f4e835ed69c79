// SPDX-License-Identifier: BSD-3-Clause
//
// Spelling of the instructions that lowering produces.
#pragma once

#include <cstdint>

#include "lib/ebpf/program/instruction.h"

namespace crema::ebpf::lowering {

using Reg = std::uint8_t;

inline constexpr Reg kR0 = 0, kR1 = 1, kR2 = 2, kR3 = 3, kR4 = 4, kR5 = 5, kFrame = 10;
inline constexpr std::uint32_t kCallerRegs = 0x3f;    // r0..r5, as a set
inline constexpr std::uint32_t kArgumentRegs = 0x3e;  // r1..r5

inline constexpr std::int32_t kTailCall = 12;  // helper

[[nodiscard]] constexpr Insn make_insn(
    std::uint8_t code, Reg dst, Reg src, std::int32_t off, std::int32_t imm) {
    return {.code = code,
            .dst = static_cast<std::uint8_t>(dst & 0xfU),
            .src = static_cast<std::uint8_t>(src & 0xfU),
            .off = static_cast<std::int16_t>(off),
            .imm = imm};
}

[[nodiscard]] constexpr std::uint8_t opcode(int bits) {
    return static_cast<std::uint8_t>(bits);
}

[[nodiscard]] constexpr Insn alu64_k(std::uint8_t operation, Reg dst, std::int32_t imm) {
    return make_insn(opcode(op::kAlu64 | op::kK | operation), dst, 0, 0, imm);
}

[[nodiscard]] constexpr Insn alu64_x(std::uint8_t operation, Reg dst, Reg src) {
    return make_insn(opcode(op::kAlu64 | op::kX | operation), dst, src, 0, 0);
}

[[nodiscard]] constexpr Insn alu32_k(std::uint8_t operation, Reg dst, std::int32_t imm) {
    return make_insn(opcode(op::kAlu | op::kK | operation), dst, 0, 0, imm);
}

[[nodiscard]] constexpr Insn alu32_x(std::uint8_t operation, Reg dst, Reg src) {
    return make_insn(opcode(op::kAlu | op::kX | operation), dst, src, 0, 0);
}

[[nodiscard]] constexpr Insn mov64(Reg dst, Reg src) {
    return alu64_x(op::kMov, dst, src);
}

/// The low half of src, upper half zero.
[[nodiscard]] constexpr Insn mov32(Reg dst, Reg src) {
    return alu32_x(op::kMov, dst, src);
}

/// imm zero-extended.
[[nodiscard]] constexpr Insn mov32_k(Reg dst, std::int32_t imm) {
    return alu32_k(op::kMov, dst, imm);
}

[[nodiscard]] constexpr Insn load(std::uint8_t size, Reg dst, Reg base, std::int32_t off) {
    return make_insn(opcode(op::kLdx | op::kMem | size), dst, base, off, 0);
}

[[nodiscard]] constexpr Insn store(std::uint8_t size, Reg base, std::int32_t off, Reg src) {
    return make_insn(opcode(op::kStx | op::kMem | size), base, src, off, 0);
}

/// The size field of an access of 1, 2, 4 or 8 bytes.
[[nodiscard]] constexpr std::uint8_t size_of_access(std::uint32_t bytes) {
    switch (bytes) {
        case 1:
            return op::kB;
        case 2:
            return op::kH;
        case 4:
            return op::kW;
        default:
            return op::kDw;
    }
}

/// 64-bit compare and jump; the offset is set when the target is known.
[[nodiscard]] constexpr Insn jump_k(std::uint8_t operation, Reg dst, std::int32_t imm) {
    return make_insn(opcode(op::kJmp | op::kK | operation), dst, 0, 0, imm);
}

[[nodiscard]] constexpr Insn jump_x(std::uint8_t operation, Reg dst, Reg src) {
    return make_insn(opcode(op::kJmp | op::kX | operation), dst, src, 0, 0);
}

[[nodiscard]] constexpr Insn jump_always() {
    return make_insn(opcode(op::kJmp | op::kJa), 0, 0, 0, 0);
}

[[nodiscard]] constexpr bool is_jump_always(const Insn& insn) {
    return insn.code == (op::kJmp | op::kJa);
}

/// Registers that occur in the machine code of an instruction, as a set: a 64-bit move to itself
/// makes none. The second half of LD_IMM64 is no instruction.
[[nodiscard]] constexpr std::uint32_t registers_in_code(const Insn& insn) {
    if (insn.code == (op::kAlu64 | op::kX | op::kMov) && insn.dst == insn.src) {
        return 0;
    }
    return 1U << insn.dst | 1U << insn.src;
}

}  // namespace crema::ebpf::lowering
