// SPDX-License-Identifier: BSD-3-Clause
//
// What the outcome of a comparison tells of both sides. Each function narrows the views it knows
// about, and settle() joins them afterwards; false: that outcome cannot be.
#include <algorithm>
#include <bit>
#include <limits>

#include "lib/ebpf/program/instruction.h"
#include "lib/ebpf/verifier/scalar.h"

namespace crema::ebpf::verifier {

namespace {

constexpr std::uint64_t kLow = 0xffff'ffff;

/// a OP b for the orders; the six of them reduce to "a <= b" and "a < b".
template <typename U, typename S>
bool order_holds(std::uint8_t operation, Range<U, S>& a, Range<U, S>& b) {
    switch (operation) {
        case op::kJgt:
            return order_holds<U, S>(op::kJlt, b, a);
        case op::kJge:
            return order_holds<U, S>(op::kJle, b, a);
        case op::kJsgt:
            return order_holds<U, S>(op::kJslt, b, a);
        case op::kJsge:
            return order_holds<U, S>(op::kJsle, b, a);
        case op::kJlt:
            if (b.umax == 0 || a.umin == std::numeric_limits<U>::max()) {
                return false;
            }
            a.umax = std::min(a.umax, static_cast<U>(b.umax - 1));
            b.umin = std::max(b.umin, static_cast<U>(a.umin + 1));
            break;
        case op::kJle:
            a.umax = std::min(a.umax, b.umax);
            b.umin = std::max(b.umin, a.umin);
            break;
        case op::kJslt:
            if (b.smax == std::numeric_limits<S>::min() ||
                a.smin == std::numeric_limits<S>::max()) {
                return false;
            }
            a.smax = std::min(a.smax, static_cast<S>(b.smax - 1));
            b.smin = std::max(b.smin, static_cast<S>(a.smin + 1));
            break;
        default:  // kJsle
            a.smax = std::min(a.smax, b.smax);
            b.smin = std::max(b.smin, a.smin);
            break;
    }
    return !a.empty() && !b.empty();
}

template <typename U, typename S>
bool differs_from(Range<U, S>& a, U v) {
    if (a.umin == v) {
        if (v == std::numeric_limits<U>::max()) {
            return false;
        }
        ++a.umin;
    }
    if (a.umax == v) {
        if (v == 0) {
            return false;
        }
        --a.umax;
    }
    const S sv = static_cast<S>(v);
    if (a.smin == sv) {
        if (sv == std::numeric_limits<S>::max()) {
            return false;
        }
        ++a.smin;
    }
    if (a.smax == sv) {
        if (sv == std::numeric_limits<S>::min()) {
            return false;
        }
        --a.smax;
    }
    return !a.empty();
}

std::uint8_t negated(std::uint8_t operation) {
    switch (operation) {
        case op::kJgt:
            return op::kJle;
        case op::kJge:
            return op::kJlt;
        case op::kJlt:
            return op::kJge;
        case op::kJle:
            return op::kJgt;
        case op::kJsgt:
            return op::kJsle;
        case op::kJsge:
            return op::kJslt;
        case op::kJslt:
            return op::kJsge;
        default:
            return op::kJsgt;
    }
}

/// Bits as a comparison of this width sees them.
Tnum seen_bits(const Scalar& s, bool wide) {
    return wide ? s.bits : tnum_cast(s.bits, 4);
}

bool assume_equal(bool wide, Scalar& a, Scalar& b) {
    bool feasible = true;
    if (wide) {
        const Tnum bits = tnum_meet(a.bits, b.bits, feasible);
        a.bits = bits;
        b.bits = bits;
        a.wide.meet(b.wide);
        b.wide = a.wide;
    } else {
        const Tnum low = tnum_meet(tnum_cast(a.bits, 4), tnum_cast(b.bits, 4), feasible);
        a.bits = {(a.bits.value & ~kLow) | low.value, (a.bits.mask & ~kLow) | low.mask};
        b.bits = {(b.bits.value & ~kLow) | low.value, (b.bits.mask & ~kLow) | low.mask};
    }
    a.half.meet(b.half);
    b.half = a.half;
    return feasible && a.settle() && b.settle();
}

bool assume_different(bool wide, Scalar& a, Scalar& b) {
    const Tnum abits = seen_bits(a, wide);
    const Tnum bbits = seen_bits(b, wide);
    bool feasible = true;
    if (bbits.is_const()) {
        feasible = wide ? differs_from(a.wide, bbits.value)
                        : differs_from(a.half, static_cast<std::uint32_t>(bbits.value));
    } else if (abits.is_const()) {
        feasible = wide ? differs_from(b.wide, abits.value)
                        : differs_from(b.half, static_cast<std::uint32_t>(abits.value));
    }
    return feasible && a.settle() && b.settle();
}

/// The kernel decides JSET by bits alone: where only the range shows that a way cannot be taken, it
/// follows that way with the range forgotten. Doing the same, code there is judged by both or by
/// none.
void widen_if_empty(Scalar& s) {
    const Tnum bits = s.bits;
    if (!s.settle()) {
        s = Scalar::unknown();
        s.bits = bits;
        (void)s.settle();  // bits alone never contradict each other
    }
}

/// JSET: a & b is not zero (`holds`) or is zero.
bool assume_common_bits(bool holds, bool wide, Scalar& a, Scalar& b) {
    const Tnum abits = seen_bits(a, wide);
    const Tnum bbits = seen_bits(b, wide);
    if (holds) {
        if ((abits.possible() & bbits.possible()) == 0) {
            return false;
        }
        if (bbits.is_const() && std::has_single_bit(bbits.value)) {
            a.bits = tnum_or(a.bits, bbits);
        } else if (abits.is_const() && std::has_single_bit(abits.value)) {
            b.bits = tnum_or(b.bits, abits);
        }
    } else {
        if ((abits.value & bbits.value) != 0) {
            return false;
        }
        if (bbits.is_const()) {
            a.bits = tnum_and(a.bits, Tnum::constant(~bbits.value));
        } else if (abits.is_const()) {
            b.bits = tnum_and(b.bits, Tnum::constant(~abits.value));
        }
    }
    widen_if_empty(a);
    widen_if_empty(b);
    return true;
}

}  // namespace

bool assume(std::uint8_t operation, bool holds, bool wide, Scalar& a, Scalar& b) {
    if (operation == op::kJset) {
        return assume_common_bits(holds, wide, a, b);
    }
    if (operation == op::kJeq || operation == op::kJne) {
        return (operation == op::kJeq) == holds ? assume_equal(wide, a, b)
                                                : assume_different(wide, a, b);
    }
    const std::uint8_t effective = holds ? operation : negated(operation);
    const bool feasible =
        wide ? order_holds(effective, a.wide, b.wide) : order_holds(effective, a.half, b.half);
    return feasible && a.settle() && b.settle();
}

}  // namespace crema::ebpf::verifier
