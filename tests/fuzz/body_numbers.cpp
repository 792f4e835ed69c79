// SPDX-License-Identifier: BSD-3-Clause
//
// Statements on numbers in registers.
#include "tests/fuzz/body.h"

namespace crema::test::fuzz {

namespace {

constexpr int kBinary[] = {op::kAdd, op::kSub, op::kMul, op::kDiv, op::kOr,  op::kAnd,
                           op::kLsh, op::kRsh, op::kMod, op::kXor, op::kMov, op::kArsh};

bool is_shift(int operation) {
    return operation == op::kLsh || operation == op::kRsh || operation == op::kArsh;
}

bool is_division(int operation) {
    return operation == op::kDiv || operation == op::kMod;
}

}  // namespace

std::optional<Body::Reg> Body::some(Kind kind) {
    Reg found[10];
    int n = 0;
    for (Reg reg = 0; reg < 10; ++reg) {
        if (is(reg, kind)) {
            found[n++] = reg;
        }
    }
    return n == 0 ? std::nullopt : std::optional(found[dice_.below(n)]);
}

Body::Reg Body::number(std::uint32_t not_these) {
    if (const auto reg = some(Kind::number)) {
        return *reg;
    }
    const Reg reg = target(not_these);
    out_.add(mov_k(reg, dice_.constant()));
    set_number(reg);
    return reg;
}

Body::Reg Body::target(std::uint32_t not_these) {
    for (;;) {
        const Reg reg = dice_.below(10);
        if (!locked(reg) && (not_these & bit(reg)) == 0) {
            return reg;
        }
    }
}

Body::Reg Body::small_number(int mask, std::uint32_t not_these) {
    const Reg source = number(not_these);
    const Reg reg = target(not_these);
    int bits = 0;
    while ((1 << bits) <= mask) {
        ++bits;
    }
    const bool all_ones = mask + 1 == 1 << bits && bits > 0;
    out_.add(mov(reg, source));
    if (all_ones && dice_.one_in(4)) {
        out_.add(alu_k(op::kRsh, reg, 64 - bits));
    } else {
        out_.add(dice_.one_in(3) ? alu32_k(op::kAnd, reg, mask) : alu_k(op::kAnd, reg, mask));
    }
    set_number(reg);
    return reg;
}

void Body::constant() {
    const Reg reg = target();
    switch (dice_.below(3)) {
        case 0:
            out_.add(mov_k(reg, dice_.constant()));
            break;
        case 1:
            out_.add(alu32_k(op::kMov, reg, dice_.constant()));
            break;
        default:
            out_.add(ld_imm64(reg, dice_.number()));
            break;
    }
    set_number(reg);
}

void Body::move_holding() {
    const Reg from = dice_.below(10);
    const Reg to = target();
    if (is(from, Kind::none)) {
        return;
    }
    out_.add(mov(to, from));
    scope_.regs[index(to)] = scope_.regs[index(from)];
}

void Body::arithmetic() {
    const Reg source = number();
    Reg dst = number();
    if (locked(dst)) {
        dst = target();
        out_.add(mov(dst, source));
        set_number(dst);
    }
    const int cls = dice_.one_in(2) ? op::kAlu64 : op::kAlu;
    const bool wide = cls == op::kAlu64;
    if (dice_.one_in(12)) {
        out_.add(insn(cls | op::kNeg, dst, 0, 0, 0));
        return;
    }
    if (dice_.one_in(12)) {
        static constexpr int kWidths[] = {16, 32, 64};
        const bool always = features_.byte_swaps && dice_.one_in(2);
        out_.add(insn(
            always ? op::kAlu64 | op::kEnd : op::kAlu | op::kEnd | (dice_.one_in(2) ? op::kX : 0),
            dst, 0, 0, dice_.pick(kWidths)));
        return;
    }
    if (features_.sign_extending_moves && dice_.one_in(10)) {
        static constexpr int kBits[] = {8, 16, 32};
        out_.add(insn(cls | op::kX | op::kMov, dst, source, kBits[dice_.below(wide ? 3 : 2)], 0));
        return;
    }
    const int operation = dice_.pick(kBinary);
    const int off =
        features_.signed_division && is_division(operation) && dice_.one_in(2) ? op::kSigned : 0;
    if (dice_.one_in(2)) {
        out_.add(insn(cls | op::kX | operation, dst, source, off, 0));
        return;
    }
    std::int32_t constant = dice_.constant();
    if (is_shift(operation)) {
        constant = dice_.below(wide ? 64 : 32);
    } else if (is_division(operation) && constant == 0) {
        constant = 3;
    }
    out_.add(insn(cls | operation, dst, 0, off, constant));
}

}  // namespace crema::test::fuzz
