// SPDX-License-Identifier: BSD-3-Clause
//
// Which instructions the machine runs, by opcode and by the fields that select an operation. Used
// when an Image is prepared; the machine itself never meets another one.
#pragma once

#include <cstdint>

#include "lib/ebpf/program/instruction.h"

namespace crema::ebpf::interpreter {

[[nodiscard]] constexpr bool is_alu(std::uint8_t code) {
    const std::uint8_t cls = op::insn_class(code);
    if (cls != op::kAlu && cls != op::kAlu64) {
        return false;
    }
    const std::uint8_t operation = op::operation(code);
    if (operation == op::kNeg) {
        return !op::is_reg_source(code);
    }
    if (operation == op::kEnd) {
        return cls == op::kAlu || !op::is_reg_source(code);
    }
    return operation <= op::kArsh;
}

[[nodiscard]] constexpr bool is_branch(std::uint8_t code) {
    const std::uint8_t cls = op::insn_class(code);
    const std::uint8_t operation = op::operation(code);
    return (cls == op::kJmp || cls == op::kJmp32) && operation != op::kJa &&
           operation != op::kCall && operation != op::kExit && operation <= op::kJsle;
}

[[nodiscard]] constexpr bool is_load(std::uint8_t code) {
    return op::insn_class(code) == op::kLdx &&
           (op::mode(code) == op::kMem ||
            (op::mode(code) == op::kMemSx && op::size_field(code) != op::kDw));
}

[[nodiscard]] constexpr bool is_store(std::uint8_t code) {
    const std::uint8_t cls = op::insn_class(code);
    return (cls == op::kSt || cls == op::kStx) && op::mode(code) == op::kMem;
}

[[nodiscard]] constexpr bool is_atomic(std::uint8_t code) {
    return op::insn_class(code) == op::kStx && op::mode(code) == op::kAtomic;
}

[[nodiscard]] constexpr bool serves_alu(const Insn& insn) {
    const std::uint8_t operation = op::operation(insn.code);
    switch (operation) {
        case op::kDiv:
        case op::kMod:
            return insn.off == 0 || insn.off == op::kSigned;
        case op::kMov:
            return insn.off == 0 || (op::is_reg_source(insn.code) &&
                                     (insn.off == 8 || insn.off == 16 ||
                                      (insn.off == 32 && op::insn_class(insn.code) == op::kAlu64)));
        case op::kEnd:
            return insn.off == 0 && (insn.imm == 16 || insn.imm == 32 || insn.imm == 64);
        default:
            return insn.off == 0;
    }
}

[[nodiscard]] constexpr bool serves_atomic(const Insn& insn) {
    const bool word = op::size_field(insn.code) == op::kW || op::size_field(insn.code) == op::kDw;
    switch (insn.imm) {
        case op::kLoadAcquire:
        case op::kStoreRelease:
            return true;
        case op::kAtomicAdd:
        case op::kAtomicOr:
        case op::kAtomicAnd:
        case op::kAtomicXor:
        case op::kAtomicAdd | op::kFetch:
        case op::kAtomicOr | op::kFetch:
        case op::kAtomicAnd | op::kFetch:
        case op::kAtomicXor | op::kFetch:
        case op::kAtomicXchg:
        case op::kAtomicCmpxchg:
            return word;
        default:
            return false;
    }
}

/// Calls and LD_IMM64 are judged by what they name (image.cpp).
[[nodiscard]] constexpr bool serves(const Insn& insn) {
    if (insn.dst > 10 || insn.src > 10) {
        return false;
    }
    if (is_alu(insn.code)) {
        return serves_alu(insn);
    }
    if (is_atomic(insn.code)) {
        return serves_atomic(insn);
    }
    return is_branch(insn.code) || is_load(insn.code) || is_store(insn.code) ||
           insn.code == (op::kJmp | op::kJa) || insn.code == (op::kJmp32 | op::kJa) ||
           insn.code == (op::kJmp | op::kJcond) || insn.code == (op::kJmp | op::kExit);
}

}  // namespace crema::ebpf::interpreter
