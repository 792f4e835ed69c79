// SPDX-License-Identifier: BSD-3-Clause
//
// Arithmetic. Most instructions mean the same to the JIT; the exceptions are division by
// a register (the JIT leaves the program on zero, and its 32-bit form damages r0), any of
// them with one register as both operands, and what it lacks: the 32-bit arithmetic right shift,
// sign-extending moves, unconditional byte swaps, signed division (atomic.cpp).
#include "lib/ebpf/lowering/jit_rules.h"
#include "lib/ebpf/lowering/rewriter.h"

namespace crema::ebpf::lowering {

namespace {

bool is_shift(std::uint8_t operation) {
    return operation == op::kLsh || operation == op::kRsh || operation == op::kArsh;
}

bool is_division(std::uint8_t operation) {
    return operation == op::kDiv || operation == op::kMod;
}

}  // namespace

void Rewriter::divide_by_itself(const Insn& insn, bool is64) {
    if (op::operation(insn.code) == op::kMod) {
        out_.emit(mov32_k(insn.dst, 0));  // also for zero: the remainder is the operand, zero
        return;
    }
    if (!is64) {
        out_.emit(mov32(insn.dst, insn.dst));
    }
    const Label done = out_.new_label();
    out_.jump(jump_k(op::kJeq, insn.dst, 0), done);
    out_.emit(mov32_k(insn.dst, 1));
    out_.bind(done);
}

void Rewriter::divide(const Insn& insn) {
    const bool is64 = op::insn_class(insn.code) == op::kAlu64;
    if (insn.dst == insn.src) {
        divide_by_itself(insn, is64);
        return;
    }
    Reg divisor = insn.src;
    if (!is64) {
        // The 64-bit division of zero-extended operands gives the 32-bit result.
        divisor = zero_extended(insn.src, facts_->src_upper_zero);
        if (!facts_->dst_upper_zero) {
            out_.emit(mov32(insn.dst, insn.dst));
        }
    }
    const Label done = out_.new_label();
    if (op::operation(insn.code) == op::kMod) {
        out_.jump(jump_k(op::kJeq, divisor, 0), done);
        out_.emit(alu64_x(op::kMod, insn.dst, divisor));
    } else {
        const Label nonzero = out_.new_label();
        out_.jump(jump_k(op::kJne, divisor, 0), nonzero);
        out_.emit(mov32_k(insn.dst, 0));
        out_.jump(jump_always(), done);
        out_.bind(nonzero);
        out_.emit(alu64_x(op::kDiv, insn.dst, divisor));
    }
    out_.bind(done);
}

void Rewriter::arithmetic_shift32(const Insn& insn) {
    const Reg dst = insn.dst;
    if (!op::is_reg_source(insn.code)) {
        out_.emit(alu64_k(op::kLsh, dst, 32));
        out_.emit(alu64_k(op::kArsh, dst, 32 + insn.imm));
        out_.emit(mov32(dst, dst));
        return;
    }
    const Reg count = temporary();
    out_.emit(mov32(count, insn.src));
    out_.emit(alu32_k(op::kAnd, count, 31));
    out_.emit(alu64_k(op::kLsh, dst, 32));
    out_.emit(alu64_x(op::kArsh, dst, count));
    out_.emit(alu64_k(op::kRsh, dst, 32));
}

void Rewriter::sign_extend(Reg reg, std::uint32_t bits) {
    const auto shift = static_cast<std::int32_t>(64 - bits);
    out_.emit(alu64_k(op::kLsh, reg, shift));
    out_.emit(alu64_k(op::kArsh, reg, shift));
}

void Rewriter::move_sign_extended(const Insn& insn) {
    if (insn.dst != insn.src) {
        out_.emit(mov64(insn.dst, insn.src));
    }
    sign_extend(insn.dst, static_cast<std::uint32_t>(insn.off));
    if (op::insn_class(insn.code) == op::kAlu) {
        out_.emit(mov32(insn.dst, insn.dst));
    }
}

// "To big endian" on a little-endian machine.
void Rewriter::swap_bytes(const Insn& insn) {
    out_.emit(insn);
    if (kSwap32LeavesUpperHalf && insn.imm == 32) {
        out_.emit(mov32(insn.dst, insn.dst));
    }
}

void Rewriter::rewrite_alu(const Insn& insn) {
    const std::uint8_t operation = op::operation(insn.code);
    const bool is64 = op::insn_class(insn.code) == op::kAlu64;
    const bool by_register = op::is_reg_source(insn.code);
    if (is_division(operation) && is_signed_form(insn)) {
        divide_signed(insn);
    } else if (is_signed_form(insn)) {
        move_sign_extended(insn);
    } else if (operation == op::kEnd && is64) {
        // BSWAP: on a little-endian machine what "to big endian" does.
        swap_bytes(make_insn(opcode(op::kAlu | op::kX | op::kEnd), insn.dst, 0, 0, insn.imm));
    } else if (operation == op::kEnd && by_register) {
        swap_bytes(insn);
    } else if (is_division(operation) && by_register) {
        divide(insn);
    } else if (operation == op::kArsh && !is64) {
        arithmetic_shift32(insn);
    } else if (is_shift(operation) && by_register && insn.dst == insn.src) {
        const Reg count = temporary();
        out_.emit(mov64(count, insn.src));
        Insn shift = insn;
        shift.src = count & 0xfU;
        out_.emit(shift);
    } else {
        out_.emit(insn);
    }
}

}  // namespace crema::ebpf::lowering
