// SPDX-License-Identifier: BSD-3-Clause
//
// What BPF's arithmetic and comparisons mean, as plain functions: constant evaluated where the
// opcode is one. Nothing here is undefined for any operand: divisors may be zero, shift amounts are
// masked, signed overflow wraps.
// Source: RFC 9669; division, shifts and 32-bit results as measured on the kernel.
#pragma once

#include <bit>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "lib/ebpf/program/instruction.h"

namespace crema::ebpf::interpreter {

static_assert(std::endian::native == std::endian::little, "loads and byte swaps assume it");

template <typename Word>
[[nodiscard]] constexpr Word divide(Word a, Word b, bool with_sign) {
    using Signed = std::make_signed_t<Word>;
    if (b == 0) {
        return 0;
    }
    if (!with_sign) {
        return a / b;
    }
    // The one quotient that does not fit wraps to the dividend.
    return static_cast<Signed>(b) == -1
               ? Word{0} - a
               : static_cast<Word>(static_cast<Signed>(a) / static_cast<Signed>(b));
}

template <typename Word>
[[nodiscard]] constexpr Word remainder(Word a, Word b, bool with_sign) {
    using Signed = std::make_signed_t<Word>;
    if (b == 0) {
        return a;
    }
    if (!with_sign) {
        return a % b;
    }
    return static_cast<Signed>(b) == -1
               ? 0
               : static_cast<Word>(static_cast<Signed>(a) % static_cast<Signed>(b));
}

/// The low `bits` of `a` with their sign spread over the word; other widths leave `a` as it is.
template <typename Word>
[[nodiscard]] constexpr Word sign_extend(Word a, int bits) {
    using Signed = std::make_signed_t<Word>;
    switch (bits) {
        case 8:
            return static_cast<Word>(Signed{static_cast<std::int8_t>(a)});
        case 16:
            return static_cast<Word>(Signed{static_cast<std::int16_t>(a)});
        case 32:
            return static_cast<Word>(Signed{static_cast<std::int32_t>(a)});
        default:
            return a;
    }
}

/// kAdd to kArsh without kEnd, in the width of Word. `off` is the instruction's: signed division,
/// sign-extending move.
template <typename Word>
[[nodiscard]] constexpr Word calculate(std::uint8_t operation, Word a, Word b, std::int16_t off) {
    constexpr Word kShiftMask = std::numeric_limits<Word>::digits - 1;
    switch (operation) {
        case op::kAdd:
            return a + b;
        case op::kSub:
            return a - b;
        case op::kMul:
            return a * b;
        case op::kDiv:
            return divide(a, b, off == op::kSigned);
        case op::kOr:
            return a | b;
        case op::kAnd:
            return a & b;
        case op::kLsh:
            return a << (b & kShiftMask);
        case op::kRsh:
            return a >> (b & kShiftMask);
        case op::kNeg:
            return Word{0} - a;
        case op::kMod:
            return remainder(a, b, off == op::kSigned);
        case op::kXor:
            return a ^ b;
        case op::kMov:
            return sign_extend(b, off);
        case op::kArsh:
            return static_cast<Word>(static_cast<std::make_signed_t<Word>>(a) >> (b & kShiftMask));
        default:
            return a;
    }
}

/// kEnd: `width` bits of `a`, swapped or not, upper bits zero.
[[nodiscard]] constexpr std::uint64_t low_bits(std::uint64_t a, std::int32_t width, bool swapped) {
    switch (width) {
        case 16:
            return swapped ? __builtin_bswap16(static_cast<std::uint16_t>(a))
                           : static_cast<std::uint16_t>(a);
        case 32:
            return swapped ? __builtin_bswap32(static_cast<std::uint32_t>(a))
                           : static_cast<std::uint32_t>(a);
        default:
            return swapped ? __builtin_bswap64(a) : a;
    }
}

/// kJeq to kJsle without call and exit, in the width of Word.
template <typename Word>
[[nodiscard]] constexpr bool compare(std::uint8_t operation, Word a, Word b) {
    const auto sa = static_cast<std::make_signed_t<Word>>(a);
    const auto sb = static_cast<std::make_signed_t<Word>>(b);
    switch (operation) {
        case op::kJeq:
            return a == b;
        case op::kJgt:
            return a > b;
        case op::kJge:
            return a >= b;
        case op::kJset:
            return (a & b) != 0;
        case op::kJne:
            return a != b;
        case op::kJsgt:
            return sa > sb;
        case op::kJsge:
            return sa >= sb;
        case op::kJlt:
            return a < b;
        case op::kJle:
            return a <= b;
        case op::kJslt:
            return sa < sb;
        case op::kJsle:
            return sa <= sb;
        default:
            return false;
    }
}

/// The number an ALU instruction leaves in dst. src: what the second operand's register holds.
[[nodiscard]] constexpr std::uint64_t alu_result(const Insn& insn,
                                                 std::uint64_t dst,
                                                 std::uint64_t src) {
    const std::uint8_t operation = op::operation(insn.code);
    const bool wide = op::insn_class(insn.code) == op::kAlu64;
    if (operation == op::kEnd) {
        return low_bits(dst, insn.imm, wide || op::is_reg_source(insn.code));
    }
    const std::uint64_t b =
        op::is_reg_source(insn.code) ? src : static_cast<std::uint64_t>(std::int64_t{insn.imm});
    return wide ? calculate<std::uint64_t>(operation, dst, b, insn.off)
                : calculate<std::uint32_t>(operation, static_cast<std::uint32_t>(dst),
                                           static_cast<std::uint32_t>(b), insn.off);
}

/// Whether a conditional jump is taken.
[[nodiscard]] constexpr bool jump_taken(const Insn& insn, std::uint64_t dst, std::uint64_t src) {
    const std::uint64_t b =
        op::is_reg_source(insn.code) ? src : static_cast<std::uint64_t>(std::int64_t{insn.imm});
    const std::uint8_t operation = op::operation(insn.code);
    return op::insn_class(insn.code) == op::kJmp
               ? compare<std::uint64_t>(operation, dst, b)
               : compare<std::uint32_t>(operation, static_cast<std::uint32_t>(dst),
                                        static_cast<std::uint32_t>(b));
}

}  // namespace crema::ebpf::interpreter
