// SPDX-License-Identifier: BSD-3-Clause
//
// Jumps. The JIT has no 32-bit compares: they become 64-bit compares of operands that are both
// zero-extended (unsigned and equality), both sign-extended or both shifted up by 32 (any order).
// Its JSET with an immediate that fits a byte swallows the following jump.
#include "lib/ebpf/lowering/rewriter.h"

namespace crema::ebpf::lowering {

namespace {

bool is_signed(std::uint8_t operation) {
    return operation == op::kJsgt || operation == op::kJsge || operation == op::kJslt ||
           operation == op::kJsle;
}

bool fits_byte(std::int32_t imm) {
    return imm >= INT8_MIN && imm <= INT8_MAX;
}

// -1, -2, -4 ... : the bits from some bit upward.
bool is_high_mask(std::int32_t imm) {
    const auto low = ~static_cast<std::uint32_t>(imm);
    return imm < 0 && (low & (low + 1)) == 0;
}

}  // namespace

// The value of `reg` with zeros above bit 31: reg itself, or a temporary.
Reg Rewriter::zero_extended(Reg reg, bool upper_is_zero) {
    if (upper_is_zero) {
        return reg;
    }
    const Reg copy = temporary();
    out_.emit(mov32(copy, reg));
    return copy;
}

Reg Rewriter::shifted_up(Reg reg) {
    const Reg copy = temporary();
    out_.emit(mov64(copy, reg));
    out_.emit(alu64_k(op::kLsh, copy, 32));
    return copy;
}

void Rewriter::jump_set_constant(const Insn& insn, bool is32, Label target) {
    const std::int32_t imm = insn.imm;
    // A mask without upper bits looks at the low half alone: the 64-bit form is the 32-bit one.
    const bool looks_at_upper = imm < 0;
    Reg value = insn.dst;
    if (is32 && looks_at_upper) {
        value = zero_extended(insn.dst, facts_->dst_upper_zero);
    }
    if (!fits_byte(imm)) {
        jump_to(jump_k(op::kJset, value, imm), target);
        return;
    }
    if (is_high_mask(imm)) {
        const bool whole = imm == -1;
        jump_to(whole ? jump_k(op::kJne, value, 0) : jump_k(op::kJge, value, -imm), target);
        return;
    }
    if (value == insn.dst) {
        value = temporary();
        out_.emit(mov64(value, insn.dst));
    }
    out_.emit(is32 ? alu32_k(op::kAnd, value, imm) : alu64_k(op::kAnd, value, imm));
    jump_to(jump_k(op::kJne, value, 0), target);
}

void Rewriter::jump32_constant(const Insn& insn, Label target) {
    const std::uint8_t operation = op::operation(insn.code);
    const bool upper_is_zero = facts_->dst_upper_zero;
    if (is_signed(operation) || (insn.imm < 0 && !upper_is_zero)) {
        const Reg value = shifted_up(insn.dst);
        out_.emit(alu64_k(op::kArsh, value, 32));
        jump_to(jump_k(operation, value, insn.imm), target);
        return;
    }
    if (insn.imm < 0) {
        const Reg constant = temporary();
        out_.emit(mov32_k(constant, insn.imm));
        jump_to(jump_x(operation, insn.dst, constant), target);
        return;
    }
    const Reg value = zero_extended(insn.dst, upper_is_zero);
    jump_to(jump_k(operation, value, insn.imm), target);
}

void Rewriter::jump32_register(const Insn& insn, Label target) {
    const std::uint8_t operation = op::operation(insn.code);
    if (operation == op::kJset) {
        const bool one_is_enough = facts_->dst_upper_zero || facts_->src_upper_zero;
        const Reg value = zero_extended(insn.dst, one_is_enough);
        jump_to(jump_x(operation, value, insn.src), target);
        return;
    }
    Reg left = 0;
    Reg right = 0;
    if (is_signed(operation)) {
        left = shifted_up(insn.dst);
        right = insn.src == insn.dst ? left : shifted_up(insn.src);
    } else {
        left = zero_extended(insn.dst, facts_->dst_upper_zero);
        right = insn.src == insn.dst ? left : zero_extended(insn.src, facts_->src_upper_zero);
    }
    jump_to(jump_x(operation, left, right), target);
}

// Falls through while the function's counter lasts.
void Rewriter::may_goto(Label target) {
    const Reg count = temporary();
    out_.emit(load(op::kDw, count, kFrame, counter_slot()));
    out_.emit(alu64_k(op::kAdd, count, -1));
    // One compare for both: the counter is stored also when it has run out, and stays out because
    // 2^63 further rounds do not happen.
    out_.emit(store(op::kDw, kFrame, counter_slot(), count));
    jump_to(jump_k(op::kJslt, count, 0), target);
}

void Rewriter::conditional_jump(const Insn& insn, Label target) {
    if (insn.code == op::kMayGoto) {
        may_goto(target);
        return;
    }
    const bool is32 = op::insn_class(insn.code) == op::kJmp32;
    const bool by_register = op::is_reg_source(insn.code);
    if (!by_register && op::operation(insn.code) == op::kJset) {
        jump_set_constant(insn, is32, target);
    } else if (!is32) {
        Insn jump = insn;
        jump.off = 0;
        out_.jump(jump, target);
    } else if (by_register) {
        jump32_register(insn, target);
    } else {
        jump32_constant(insn, target);
    }
}

void Rewriter::rewrite_jump(const Insn& insn, std::size_t at) {
    const std::uint8_t operation = op::operation(insn.code);
    if (operation == op::kCall) {
        rewrite_call(insn, at);
        return;
    }
    if (operation == op::kExit) {
        out_.exit();
        return;
    }
    const verifier::Branch branch =
        operation == op::kJa ? verifier::Branch::always_taken : plan_.branches[at];
    if (branch == verifier::Branch::never_taken) {
        return;
    }
    if (operation == op::kJa && jump_offset(insn) == 0) {
        return;  // also what joined accesses leave behind, where no label is
    }
    const Label target =
        label_at(static_cast<std::size_t>(static_cast<std::int64_t>(at) + 1 + jump_offset(insn)));
    if (branch == verifier::Branch::always_taken) {
        out_.jump(jump_always(), target);
    } else {
        conditional_jump(insn, target);
    }
}

}  // namespace crema::ebpf::lowering
