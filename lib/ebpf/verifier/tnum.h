// SPDX-License-Identifier: BSD-3-Clause
//
// Tristate numbers: a 64-bit value of which some bits are known. A bit set in `mask` is unknown;
// otherwise `value` has it. value & mask is always 0. Every operation returns a number that
// contains all results of its operands' members (checked exhaustively for small widths).
// Source: "Sound, Precise, and Fast Abstract Interpretation with Tristate Numbers" (CGO 2022).
#pragma once

#include <bit>
#include <cstdint>

namespace crema::ebpf::verifier {

struct Tnum {
    std::uint64_t value = 0;
    std::uint64_t mask = ~std::uint64_t{0};

    friend constexpr bool operator==(const Tnum&, const Tnum&) = default;

    [[nodiscard]] static constexpr Tnum constant(std::uint64_t v) { return {v, 0}; }

    [[nodiscard]] constexpr bool is_const() const { return mask == 0; }

    /// Bits that can be one.
    [[nodiscard]] constexpr std::uint64_t possible() const { return value | mask; }

    [[nodiscard]] constexpr bool contains(std::uint64_t v) const { return (v & ~mask) == value; }

    /// Every member of `inner` is a member of this.
    [[nodiscard]] constexpr bool contains(const Tnum& inner) const {
        return (inner.mask & ~mask) == 0 && (inner.value & ~mask) == value;
    }
};

/// The smallest tristate number with all of [min, max].
[[nodiscard]] constexpr Tnum tnum_range(std::uint64_t min, std::uint64_t max) {
    const auto width = static_cast<unsigned>(std::bit_width(min ^ max));
    const std::uint64_t open = width >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << width) - 1;
    return {min & ~open, open};
}

[[nodiscard]] constexpr Tnum tnum_add(Tnum a, Tnum b) {
    const std::uint64_t low = a.value + b.value;
    const std::uint64_t high = low + (a.mask + b.mask);
    const std::uint64_t unknown = (low ^ high) | a.mask | b.mask;
    return {low & ~unknown, unknown};
}

[[nodiscard]] constexpr Tnum tnum_sub(Tnum a, Tnum b) {
    const std::uint64_t mid = a.value - b.value;
    const std::uint64_t unknown = ((mid + a.mask) ^ (mid - b.mask)) | a.mask | b.mask;
    return {mid & ~unknown, unknown};
}

[[nodiscard]] constexpr Tnum tnum_and(Tnum a, Tnum b) {
    const std::uint64_t ones = a.value & b.value;
    return {ones, a.possible() & b.possible() & ~ones};
}

[[nodiscard]] constexpr Tnum tnum_or(Tnum a, Tnum b) {
    const std::uint64_t ones = a.value | b.value;
    return {ones, (a.mask | b.mask) & ~ones};
}

[[nodiscard]] constexpr Tnum tnum_xor(Tnum a, Tnum b) {
    const std::uint64_t unknown = a.mask | b.mask;
    return {(a.value ^ b.value) & ~unknown, unknown};
}

[[nodiscard]] constexpr Tnum tnum_lsh(Tnum a, unsigned n) {
    return {a.value << n, a.mask << n};
}

[[nodiscard]] constexpr Tnum tnum_rsh(Tnum a, unsigned n) {
    return {a.value >> n, a.mask >> n};
}

/// Arithmetic shift of a `width`-bit number (32 or 64); upper bits of the result are zero.
[[nodiscard]] constexpr Tnum tnum_arsh(Tnum a, unsigned n, unsigned width) {
    if (width == 32) {
        const auto v = static_cast<std::uint32_t>(static_cast<std::int32_t>(a.value) >> n);
        const auto m = static_cast<std::uint32_t>(static_cast<std::int32_t>(a.mask) >> n);
        return {v, m};
    }
    return {static_cast<std::uint64_t>(static_cast<std::int64_t>(a.value) >> n),
            static_cast<std::uint64_t>(static_cast<std::int64_t>(a.mask) >> n)};
}

/// Long multiplication: known product plus, for each bit of a that may be one, b's uncertainty.
[[nodiscard]] constexpr Tnum tnum_mul(Tnum a, Tnum b) {
    const std::uint64_t product = a.value * b.value;
    Tnum unknown{0, 0};
    while (a.value != 0 || a.mask != 0) {
        if ((a.value & 1) != 0) {
            unknown = tnum_add(unknown, Tnum{0, b.mask});
        } else if ((a.mask & 1) != 0) {
            unknown = tnum_add(unknown, Tnum{0, b.possible()});
        }
        a = tnum_rsh(a, 1);
        b = tnum_lsh(b, 1);
    }
    return tnum_add(Tnum::constant(product), unknown);
}

/// Keeps the lower `bytes` bytes.
[[nodiscard]] constexpr Tnum tnum_cast(Tnum a, unsigned bytes) {
    const std::uint64_t keep =
        bytes >= 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << (bytes * 8)) - 1;
    return {a.value & keep, a.mask & keep};
}

/// Members of both; `feasible` becomes false when there is none.
[[nodiscard]] constexpr Tnum tnum_meet(Tnum a, Tnum b, bool& feasible) {
    if (((a.value ^ b.value) & ~a.mask & ~b.mask) != 0) {
        feasible = false;
        return a;
    }
    const std::uint64_t unknown = a.mask & b.mask;
    return {(a.value | b.value) & ~unknown, unknown};
}

}  // namespace crema::ebpf::verifier
