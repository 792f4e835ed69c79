// SPDX-License-Identifier: BSD-3-Clause
//
// Transfer functions of the scalar domain. Ranges of 64 and 32 bits share their code (templates on
// the pair of integer types); bits go through tnum.h; settle() joins the views afterwards, so each
// function may leave a view open that another one fills.
#include "lib/ebpf/verifier/scalar.h"

#include <array>
#include <optional>

#include "lib/ebpf/program/instruction.h"

namespace crema::ebpf::verifier {

namespace {

constexpr std::uint64_t kLow = 0xffff'ffff;
constexpr std::int64_t kS32Min = std::numeric_limits<std::int32_t>::min();
constexpr std::int64_t kS32Max = std::numeric_limits<std::int32_t>::max();

/// Signed and unsigned view of the same bits agree where the range does not cross the sign.
template <typename U, typename S>
void tighten_signs(Range<U, S>& r) {
    if (static_cast<S>(r.umin) <= static_cast<S>(r.umax)) {
        r.meet_signed(static_cast<S>(r.umin), static_cast<S>(r.umax));
    }
    if (r.smin >= 0 || r.smax < 0) {
        r.meet_unsigned(static_cast<U>(r.smin), static_cast<U>(r.smax));
        return;
    }
    // The signed range crosses zero: members are [0, smax] or [smin, max] as unsigned. When one of
    // the two is out of the unsigned range, only the other remains.
    const U low_top = static_cast<U>(r.smax);
    const U high_bottom = static_cast<U>(r.smin);
    if (r.umax < high_bottom) {
        r.meet_unsigned(0, low_top);
        r.smin = std::max(r.smin, S{0});
    } else if (r.umin > low_top) {
        r.meet_unsigned(high_bottom, std::numeric_limits<U>::max());
        r.smax = std::min(r.smax, S{-1});
    }
}

template <typename U, typename S>
void tighten_by_bits(Range<U, S>& r, Tnum bits) {
    constexpr U kSign = U{1} << (sizeof(U) * 8 - 1);
    const U value = static_cast<U>(bits.value);
    const U mask = static_cast<U>(bits.mask);
    r.meet_unsigned(value, static_cast<U>(value | mask));
    r.meet_signed(static_cast<S>(value | (mask & kSign)),
                  static_cast<S>(value | (mask & static_cast<U>(~kSign))));
}

/// What the whole says of its lower half.
void tighten_half(Scalar& s) {
    if ((s.wide.umin >> 32) == (s.wide.umax >> 32)) {
        const auto lo = static_cast<std::uint32_t>(s.wide.umin);
        const auto hi = static_cast<std::uint32_t>(s.wide.umax);
        s.half.meet_unsigned(lo, hi);
    }
    if (s.wide.smin >= kS32Min && s.wide.smax <= kS32Max) {
        s.half.meet_signed(static_cast<std::int32_t>(s.wide.smin),
                           static_cast<std::int32_t>(s.wide.smax));
    }
    if ((s.wide.smin >> 32) == (s.wide.smax >> 32)) {
        s.half.meet_unsigned(static_cast<std::uint32_t>(s.wide.smin),
                             static_cast<std::uint32_t>(s.wide.smax));
    }
}

/// What the lower half says of the whole: the smallest member has at least the upper half of the
/// minimum, and then at least the smallest lower half.
void tighten_wide(Scalar& s) {
    s.wide.meet_unsigned((s.wide.umin & ~kLow) | s.half.umin, (s.wide.umax & ~kLow) | s.half.umax);
    s.wide.meet_signed(
        static_cast<std::int64_t>((static_cast<std::uint64_t>(s.wide.smin) & ~kLow) | s.half.umin),
        static_cast<std::int64_t>((static_cast<std::uint64_t>(s.wide.smax) & ~kLow) | s.half.umax));
    if (s.wide.smin >= kS32Min && s.wide.smax <= kS32Max) {
        s.wide.meet_signed(s.half.smin, s.half.smax);
    }
}

bool tighten_bits(Scalar& s) {
    bool feasible = true;
    s.bits = tnum_meet(s.bits, tnum_range(s.wide.umin, s.wide.umax), feasible);
    const Tnum low = tnum_range(s.half.umin, s.half.umax);
    s.bits = tnum_meet(s.bits, Tnum{low.value & kLow, low.mask | ~kLow}, feasible);
    return feasible;
}

template <typename U, typename S>
Range<U, S> exactly(U v) {
    return {v, v, static_cast<S>(v), static_cast<S>(v)};
}

template <typename U, typename S>
Range<U, S> add(const Range<U, S>& a, const Range<U, S>& b) {
    Range<U, S> r;
    U lo = 0;
    U hi = 0;
    const bool lo_wraps = __builtin_add_overflow(a.umin, b.umin, &lo);
    const bool hi_wraps = __builtin_add_overflow(a.umax, b.umax, &hi);
    if (lo_wraps == hi_wraps) {
        r.umin = lo;
        r.umax = hi;
    }
    S slo = 0;
    S shi = 0;
    const bool slo_wraps = __builtin_add_overflow(a.smin, b.smin, &slo);
    const bool shi_wraps = __builtin_add_overflow(a.smax, b.smax, &shi);
    if (!slo_wraps && !shi_wraps) {
        r.smin = slo;
        r.smax = shi;
    }
    return r;
}

template <typename U, typename S>
Range<U, S> sub(const Range<U, S>& a, const Range<U, S>& b) {
    Range<U, S> r;
    U lo = 0;
    U hi = 0;
    const bool lo_wraps = __builtin_sub_overflow(a.umin, b.umax, &lo);
    const bool hi_wraps = __builtin_sub_overflow(a.umax, b.umin, &hi);
    if (lo_wraps == hi_wraps) {
        r.umin = lo;
        r.umax = hi;
    }
    S slo = 0;
    S shi = 0;
    const bool slo_wraps = __builtin_sub_overflow(a.smin, b.smax, &slo);
    const bool shi_wraps = __builtin_sub_overflow(a.smax, b.smin, &shi);
    if (!slo_wraps && !shi_wraps) {
        r.smin = slo;
        r.smax = shi;
    }
    return r;
}

template <typename U, typename S>
Range<U, S> mul(const Range<U, S>& a, const Range<U, S>& b) {
    Range<U, S> r;
    U top = 0;
    if (!__builtin_mul_overflow(a.umax, b.umax, &top)) {
        r.umin = static_cast<U>(a.umin * b.umin);
        r.umax = top;
    }
    std::array<S, 4> corner{};
    const bool wraps = __builtin_mul_overflow(a.smin, b.smin, &corner[0]) ||
                       __builtin_mul_overflow(a.smin, b.smax, &corner[1]) ||
                       __builtin_mul_overflow(a.smax, b.smin, &corner[2]) ||
                       __builtin_mul_overflow(a.smax, b.smax, &corner[3]);
    if (!wraps) {
        r.smin = *std::min_element(corner.begin(), corner.end());
        r.smax = *std::max_element(corner.begin(), corner.end());
    }
    return r;
}

/// AND, OR and XOR: the bits say most; AND cannot exceed, OR not fall below an operand.
template <typename U, typename S>
Range<U, S> bitwise(std::uint8_t operation, const Range<U, S>& a, const Range<U, S>& b) {
    Range<U, S> r;
    if (operation == op::kAnd) {
        r.umax = std::min(a.umax, b.umax);
    } else if (operation == op::kOr) {
        r.umin = std::max(a.umin, b.umin);
    }
    return r;
}

template <typename U, typename S>
Range<U, S> lsh(const Range<U, S>& a, unsigned n) {
    Range<U, S> r;
    if (a.umax <= (std::numeric_limits<U>::max() >> n)) {
        r.umin = static_cast<U>(a.umin << n);
        r.umax = static_cast<U>(a.umax << n);
    }
    return r;
}

template <typename U, typename S>
Range<U, S> rsh(const Range<U, S>& a, unsigned n) {
    Range<U, S> r;
    r.umin = static_cast<U>(a.umin >> n);
    r.umax = static_cast<U>(a.umax >> n);
    return r;
}

template <typename U, typename S>
Range<U, S> arsh(const Range<U, S>& a, unsigned n) {
    Range<U, S> r;
    r.smin = static_cast<S>(a.smin >> n);
    r.smax = static_cast<S>(a.smax >> n);
    return r;
}

template <typename U, typename S>
Range<U, S> range_of(std::uint8_t operation, const Range<U, S>& a, const Range<U, S>& b) {
    switch (operation) {
        case op::kAdd:
            return add(a, b);
        case op::kSub:
            return sub(a, b);
        case op::kMul:
            return mul(a, b);
        case op::kAnd:
        case op::kOr:
        case op::kXor:
            return bitwise(operation, a, b);
        case op::kLsh:
            return lsh(a, static_cast<unsigned>(b.umin));
        case op::kRsh:
            return rsh(a, static_cast<unsigned>(b.umin));
        default:
            return arsh(a, static_cast<unsigned>(b.umin));
    }
}

/// The shift amount when the kernel would track the result, else nothing.
std::optional<unsigned> shift_amount(bool wide, const Scalar& src) {
    const Tnum amount = wide ? src.bits : tnum_cast(src.bits, 4);
    // Also of a 32-bit shift the whole register must be small.
    if (!amount.is_const() || src.wide.umax >= (wide ? 64 : 32)) {
        return std::nullopt;
    }
    return static_cast<unsigned>(amount.value);
}

std::optional<Tnum> bits_of(std::uint8_t operation, bool wide, Tnum a, const Scalar& src) {
    const Tnum b = wide ? src.bits : tnum_cast(src.bits, 4);
    switch (operation) {
        case op::kAdd:
            return tnum_add(a, b);
        case op::kSub:
            return tnum_sub(a, b);
        case op::kMul:
            return tnum_mul(a, b);
        case op::kAnd:
            return tnum_and(a, b);
        case op::kOr:
            return tnum_or(a, b);
        case op::kXor:
            return tnum_xor(a, b);
        default:
            break;
    }
    const auto amount = shift_amount(wide, src);
    if (!amount) {
        return std::nullopt;
    }
    switch (operation) {
        case op::kLsh:
            return tnum_lsh(a, *amount);
        case op::kRsh:
            return tnum_rsh(a, *amount);
        case op::kArsh:
            return tnum_arsh(a, *amount, wide ? 64 : 32);
        default:
            return std::nullopt;
    }
}

// A transfer function of possible operands has a possible result. On a path that no run takes,
// but of which that is not known yet, the views of an operand may contradict each other, and that
// shows here: any result will do then.
Scalar settled(Scalar s) {
    return s.settle() ? s : Scalar::unknown();
}

/// The 32-bit result `r` (only bits and half are set), zero-extended.
Scalar zero_extended(Tnum bits, const Range32& half) {
    Scalar s;
    s.bits = tnum_cast(bits, 4);
    s.half = half;
    s.wide = {0, kLow, 0, static_cast<std::int64_t>(kLow)};
    return settled(s);
}

}  // namespace

Scalar Scalar::constant(std::uint64_t v) {
    Scalar s;
    s.bits = Tnum::constant(v);
    s.wide = exactly<std::uint64_t, std::int64_t>(v);
    s.half = exactly<std::uint32_t, std::int32_t>(static_cast<std::uint32_t>(v));
    return s;
}

Scalar Scalar::unknown_bytes(std::uint32_t bytes) {
    Scalar s;
    s.truncate(bytes);
    return s;
}

bool Scalar::contains(std::uint64_t v) const {
    const auto low = static_cast<std::uint32_t>(v);
    const Scalar exact = constant(v);
    return bits.contains(v) && wide.contains(exact.wide) && half.umin <= low && low <= half.umax &&
           half.contains(exact.half);
}

bool Scalar::settle() {
    for (int round = 0; round < 3; ++round) {
        const Scalar before = *this;
        tighten_by_bits(wide, bits);
        tighten_by_bits(half, bits);
        tighten_half(*this);
        tighten_signs(half);
        tighten_signs(wide);
        tighten_wide(*this);
        tighten_signs(wide);
        if (wide.empty() || half.empty() || !tighten_bits(*this)) {
            return false;
        }
        if (*this == before) {
            return true;
        }
    }
    // Not at the fixed point; the views hold all the same, but must not contradict each other.
    tighten_by_bits(wide, bits);
    tighten_by_bits(half, bits);
    return !wide.empty() && !half.empty();
}

void Scalar::truncate(std::uint32_t bytes) {
    if (bytes >= 8) {
        return;
    }
    const std::uint64_t limit = (std::uint64_t{1} << (bytes * 8)) - 1;
    const bool upper_known = (wide.umin & ~limit) == (wide.umax & ~limit);
    Scalar s;
    s.bits = tnum_cast(bits, bytes);
    if (upper_known) {
        s.wide.meet_unsigned(wide.umin & limit, wide.umax & limit);
    }
    s.wide.meet_unsigned(0, limit);
    if (bytes == 4) {
        s.half = half;
    }
    *this = settled(s);
}

void Scalar::sign_extend(std::uint32_t bytes) {
    if (bytes >= 8) {
        return;
    }
    const unsigned shift = 64 - 8 * bytes;
    const auto extended = [shift](std::uint64_t v) {
        return static_cast<std::int64_t>(v << shift) >> shift;
    };
    if (is_const()) {
        *this = constant(static_cast<std::uint64_t>(extended(bits.value)));
        return;
    }
    // As the kernel: a range survives when it lies in one block of 2^(8*bytes) numbers and does
    // not cross the sign inside it; else nothing is known but the width.
    const std::int64_t low = extended(static_cast<std::uint64_t>(wide.smin));
    const std::int64_t high = extended(static_cast<std::uint64_t>(wide.smax));
    const bool one_block = (wide.smin >> (8 * bytes)) == (wide.smax >> (8 * bytes));
    const std::int64_t limit = std::int64_t{1} << (8 * bytes - 1);
    const bool same_sign = (low < 0) == (high < 0);
    Scalar s;
    s.wide.meet_signed(one_block && same_sign ? low : -limit,
                       one_block && same_sign ? high : limit - 1);
    *this = settled(s);
}

Scalar alu(std::uint8_t operation, bool wide, const Scalar& dst, const Scalar& src) {
    if (operation == op::kMov) {
        Scalar s = src;
        s.truncate(wide ? 8 : 4);
        return s;
    }
    if (operation == op::kNeg) {
        return alu(op::kSub, wide, Scalar::constant(0), dst);
    }
    const auto bits = bits_of(operation, wide, wide ? dst.bits : tnum_cast(dst.bits, 4), src);
    if (!bits) {
        return Scalar::unknown();  // as the kernel, also for the 32-bit forms
    }
    if (!wide) {
        return zero_extended(*bits, range_of(operation, dst.half, src.half));
    }
    Scalar s;
    s.bits = *bits;
    s.wide = range_of(operation, dst.wide, src.wide);
    // The lower half of a sum, product or bitwise result depends on the lower halves only.
    const bool half_follows = operation != op::kRsh && operation != op::kArsh;
    if (operation == op::kLsh) {
        if (src.bits.value < 32) {
            s.half = lsh(dst.half, static_cast<unsigned>(src.bits.value));
        }
        if (src.bits.value == 32) {
            // First half of the compiler's sign extension (<<32, s>>32).
            s.wide.meet_signed(static_cast<std::int64_t>(dst.half.smin) * (std::int64_t{1} << 32),
                               static_cast<std::int64_t>(dst.half.smax) * (std::int64_t{1} << 32));
        }
    } else if (half_follows) {
        s.half = range_of(operation, dst.half, src.half);
    }
    return settled(s);
}

Scalar byte_swap(const Scalar& value, std::int32_t width, bool to_big_endian) {
    Scalar s = value;
    if (to_big_endian) {
        // Only the bits survive the swap.
        const auto shift = static_cast<unsigned>(64 - width);
        s = Scalar{};
        s.bits = {__builtin_bswap64(value.bits.value) >> shift,
                  __builtin_bswap64(value.bits.mask) >> shift};
        return settled(s);
    }
    s.truncate(static_cast<std::uint32_t>(width / 8));
    return s;
}

}  // namespace crema::ebpf::verifier
