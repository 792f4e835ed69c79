// SPDX-License-Identifier: BSD-3-Clause
//
// What is known of a 64-bit number: its bits, and ranges of the whole and of its lower half, each
// signed and unsigned. settle() lets the five views tighten one another. Transfer functions follow
// the instruction set; compare() narrows both operands by the outcome of a conditional jump.
//
// Precision is the kernel's (division and modulo give an unknown result, shifts need a constant
// amount), so that the same programs pass; soundness is checked against concrete execution in
// tests/unit/verifier/scalar_test.cpp.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "lib/ebpf/verifier/tnum.h"

namespace crema::ebpf::verifier {

template <typename U, typename S>
struct Range {
    U umin = 0;
    U umax = std::numeric_limits<U>::max();
    S smin = std::numeric_limits<S>::min();
    S smax = std::numeric_limits<S>::max();

    friend constexpr bool operator==(const Range&, const Range&) = default;

    [[nodiscard]] constexpr bool contains(const Range& inner) const {
        return umin <= inner.umin && inner.umax <= umax && smin <= inner.smin && inner.smax <= smax;
    }

    [[nodiscard]] constexpr bool empty() const { return umin > umax || smin > smax; }

    constexpr void meet_unsigned(U lo, U hi) {
        umin = std::max(umin, lo);
        umax = std::min(umax, hi);
    }

    constexpr void meet_signed(S lo, S hi) {
        smin = std::max(smin, lo);
        smax = std::min(smax, hi);
    }

    constexpr void meet(const Range& other) {
        meet_unsigned(other.umin, other.umax);
        meet_signed(other.smin, other.smax);
    }
};

using Range64 = Range<std::uint64_t, std::int64_t>;
using Range32 = Range<std::uint32_t, std::int32_t>;

struct Scalar {
    Tnum bits;
    Range64 wide;
    Range32 half;  // of the lower 32 bits

    friend constexpr bool operator==(const Scalar&, const Scalar&) = default;

    [[nodiscard]] static Scalar unknown() { return {}; }

    [[nodiscard]] static Scalar constant(std::uint64_t v);

    /// Any number of `bytes` bytes, zero-extended.
    [[nodiscard]] static Scalar unknown_bytes(std::uint32_t bytes);

    [[nodiscard]] bool is_const() const { return bits.is_const(); }

    [[nodiscard]] bool is_const(std::uint64_t v) const { return is_const() && bits.value == v; }

    [[nodiscard]] bool is_unknown() const { return *this == Scalar{}; }

    /// Every number this may be is one that `outer` may be.
    [[nodiscard]] bool within(const Scalar& outer) const {
        return outer.bits.contains(bits) && outer.wide.contains(wide) && outer.half.contains(half);
    }

    /// A concrete number agrees with everything known (tests).
    [[nodiscard]] bool contains(std::uint64_t v) const;

    /// Lets bits and ranges tighten one another; false when no number is left.
    bool settle();

    /// Keeps the lower `bytes` bytes (zero extension).
    void truncate(std::uint32_t bytes);

    /// Keeps the lower `bytes` bytes as a signed number (sign extension to 64 bits).
    void sign_extend(std::uint32_t bytes);

    /// Sign extension of the lower `bytes` bytes changes nothing.
    [[nodiscard]] bool fits_positive(std::uint32_t bytes) const {
        return bytes >= 8 || wide.umax < (std::uint64_t{1} << (bytes * 8 - 1));
    }
};

/// dst = dst OP src for the operation field of an ALU instruction, `wide` false for the 32-bit
/// class. Pure scalars; MOV, NEG and END included (END by to_big_endian and bits).
[[nodiscard]] Scalar alu(std::uint8_t operation, bool wide, const Scalar& dst, const Scalar& src);
[[nodiscard]] Scalar byte_swap(const Scalar& value, std::int32_t width, bool to_big_endian);

/// Narrows a and b to those numbers for which `a OP b` holds (`holds`) or does not; false when
/// there are none, that is, when the jump cannot go that way. `wide` false for JMP32.
[[nodiscard]] bool assume(std::uint8_t operation, bool holds, bool wide, Scalar& a, Scalar& b);

}  // namespace crema::ebpf::verifier
