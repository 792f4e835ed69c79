// SPDX-License-Identifier: BSD-3-Clause
//
// The scalar domain against concrete numbers: for random abstract operands and members of them,
// every operation's result and every comparison's outcome lies in what the domain says.
#include "lib/ebpf/verifier/scalar.h"

#include <gtest/gtest.h>
#include <random>

#include "lib/ebpf/interpreter/arithmetic.h"
#include "tests/support/asm.h"

namespace crema::test {

namespace {

using ebpf::interpreter::alu_result;
using ebpf::interpreter::jump_taken;
using ebpf::verifier::Scalar;
using ebpf::verifier::Tnum;

constexpr int kOperations[] = {op::kAdd, op::kSub, op::kMul, op::kDiv, op::kOr,  op::kAnd, op::kLsh,
                               op::kRsh, op::kNeg, op::kMod, op::kXor, op::kMov, op::kArsh};
constexpr int kComparisons[] = {op::kJeq,  op::kJgt, op::kJge, op::kJset, op::kJne, op::kJsgt,
                                op::kJsge, op::kJlt, op::kJle, op::kJslt, op::kJsle};

class Numbers {
  public:
    std::uint64_t any() {
        switch (engine_() % 6) {
            case 0:
                return engine_() % 64;
            case 1:
                return std::uint64_t{0} - engine_() % 64;
            case 2:
                return (std::uint64_t{1} << (engine_() % 64)) - engine_() % 3;
            case 3:
                return static_cast<std::uint32_t>(engine_());
            case 4:
                return 0x7fff'ffffULL + engine_() % 4;
            default:
                return engine_();
        }
    }

    /// A number and something true of it.
    Scalar around(std::uint64_t v) {
        Scalar s;
        if (engine_() % 2 == 0) {
            const std::uint64_t mask = any();
            s.bits = {v & ~mask, mask};
        }
        if (engine_() % 2 == 0) {
            const std::uint64_t a = any();
            s.wide.meet_unsigned(std::min(a, v), std::max(a, v));
        }
        if (engine_() % 2 == 0) {
            const auto a = static_cast<std::int64_t>(any());
            const auto sv = static_cast<std::int64_t>(v);
            s.wide.meet_signed(std::min(a, sv), std::max(a, sv));
        }
        if (engine_() % 3 == 0) {
            const auto a = static_cast<std::uint32_t>(any());
            const auto low = static_cast<std::uint32_t>(v);
            s.half.meet_unsigned(std::min(a, low), std::max(a, low));
        }
        if (engine_() % 3 == 0) {
            const auto a = static_cast<std::int32_t>(any());
            const auto low = static_cast<std::int32_t>(v);
            s.half.meet_signed(std::min(a, low), std::max(a, low));
        }
        EXPECT_TRUE(s.settle());
        EXPECT_TRUE(s.contains(v)) << v;
        return engine_() % 5 == 0 ? Scalar::constant(v) : s;
    }

    std::uint64_t below(std::uint64_t n) { return engine_() % n; }

  private:
    std::mt19937_64 engine_{5};
};

}  // namespace

TEST(Scalar, ResultsLieInTheAbstractResult) {
    Numbers numbers;
    for (int i = 0; i < 200'000; ++i) {
        const int operation = kOperations[numbers.below(std::size(kOperations))];
        const bool wide = numbers.below(2) == 0;
        const std::uint64_t a = numbers.any();
        std::uint64_t b = numbers.any();
        if (operation == op::kLsh || operation == op::kRsh || operation == op::kArsh) {
            b = numbers.below(70);
        }
        const auto result = ebpf::verifier::alu(static_cast<std::uint8_t>(operation), wide,
                                                numbers.around(a), numbers.around(b));
        const std::uint64_t exact =
            alu_result(wide ? alu(operation, 0, 1) : alu32(operation, 0, 1), a, b);
        ASSERT_TRUE(result.contains(exact))
            << "operation " << operation << " wide " << wide << " of " << a << " and " << b;
    }
}

TEST(Scalar, SignExtensionKeepsTheNumber) {
    Numbers numbers;
    for (int i = 0; i < 200'000; ++i) {
        const auto bytes = std::uint32_t{1} << numbers.below(3);
        const std::uint64_t v = numbers.any();
        Scalar s = numbers.around(v);
        const bool unchanged = s.fits_positive(bytes);
        s.sign_extend(bytes);
        const unsigned shift = 64 - 8 * bytes;
        const auto exact =
            static_cast<std::uint64_t>(static_cast<std::int64_t>(v << shift) >> shift);
        ASSERT_TRUE(s.contains(exact)) << bytes << " bytes of " << v;
        ASSERT_TRUE(!unchanged || exact == v) << bytes << " bytes of " << v;
    }
}

TEST(Scalar, ComparisonsKeepTheNumbersThatPass) {
    Numbers numbers;
    for (int i = 0; i < 200'000; ++i) {
        const int operation = kComparisons[numbers.below(std::size(kComparisons))];
        const bool wide = numbers.below(2) == 0;
        const std::uint64_t a = numbers.any();
        const std::uint64_t b = numbers.below(4) == 0 ? a : numbers.any();
        Scalar as = numbers.around(a);
        Scalar bs = numbers.around(b);
        const bool taken =
            jump_taken(wide ? jump(operation, 0, 1, 0) : jump32(operation, 0, 1, 0), a, b);
        ASSERT_TRUE(
            ebpf::verifier::assume(static_cast<std::uint8_t>(operation), taken, wide, as, bs))
            << "operation " << operation << " wide " << wide << " of " << a << " and " << b;
        ASSERT_TRUE(as.contains(a) && bs.contains(b))
            << "operation " << operation << " wide " << wide << " of " << a << " and " << b;
    }
}

TEST(Scalar, ByteSwapsAndTruncationKeepTheNumber) {
    Numbers numbers;
    constexpr int kWidths[] = {16, 32, 64};
    for (int i = 0; i < 50'000; ++i) {
        const std::uint64_t a = numbers.any();
        const Scalar s = numbers.around(a);
        const int width = kWidths[numbers.below(3)];
        const bool big = numbers.below(2) == 0;
        const std::uint64_t exact =
            alu_result(insn(op::kAlu | op::kEnd | (big ? op::kX : 0), 0, 0, 0, width), a, 0);
        ASSERT_TRUE(ebpf::verifier::byte_swap(s, width, big).contains(exact)) << a << " " << width;
        Scalar t = s;
        t.truncate(2);
        ASSERT_TRUE(t.contains(a & 0xffff)) << a;
    }
}

TEST(Scalar, DecidesWhatIsCertain) {
    Scalar small = Scalar::unknown_bytes(1);
    Scalar limit = Scalar::constant(256);
    EXPECT_FALSE(ebpf::verifier::assume(op::kJge, true, true, small, limit));
    small = Scalar::unknown_bytes(1);
    limit = Scalar::constant(10);
    ASSERT_TRUE(ebpf::verifier::assume(op::kJlt, true, true, small, limit));
    EXPECT_EQ(small.wide.umax, 9U);
    EXPECT_EQ(small.wide.smax, 9);
    EXPECT_EQ(small.bits.mask, 15U);
}

TEST(Tnum, OperationsAreSoundForAllSmallNumbers) {
    using namespace ebpf::verifier;
    const auto each_member = [](Tnum t, auto fn) {
        for (std::uint64_t v = 0; v < 8; ++v) {
            if (t.contains(v)) {
                fn(v);
            }
        }
    };
    for (std::uint64_t bits = 0; bits < 4096; ++bits) {
        const std::uint64_t am = bits & 7;
        const std::uint64_t bm = bits >> 3 & 7;
        const Tnum a{(bits >> 6 & 7) & ~am, am};
        const Tnum b{(bits >> 9 & 7) & ~bm, bm};
        each_member(a, [&](std::uint64_t x) {
            each_member(b, [&](std::uint64_t y) {
                EXPECT_TRUE(tnum_add(a, b).contains(x + y));
                EXPECT_TRUE(tnum_sub(a, b).contains(x - y));
                EXPECT_TRUE(tnum_mul(a, b).contains(x * y));
                EXPECT_TRUE(tnum_and(a, b).contains(x & y));
                EXPECT_TRUE(tnum_or(a, b).contains(x | y));
                EXPECT_TRUE(tnum_xor(a, b).contains(x ^ y));
            });
        });
    }
}

// Nothing is 0 or 1 and at least 2 in its lower half: such numbers exist on paths that no run
// takes.
TEST(Scalar, OperandsThatCannotBeGiveSomeResult) {
    Scalar impossible;
    impossible.bits = {0, 1};
    impossible.half.umin = 2;
    impossible.half.umax = 3;
    for (const bool wide : {false, true}) {
        for (const int operation : {op::kAdd, op::kSub, op::kMul, op::kAnd, op::kOr, op::kXor,
                                    op::kLsh, op::kRsh, op::kArsh, op::kMov, op::kNeg}) {
            const auto code = static_cast<std::uint8_t>(operation);
            (void)alu(code, wide, impossible, Scalar::constant(1));
            (void)alu(code, wide, Scalar::constant(1), impossible);
        }
    }
    for (const std::uint32_t bytes : {1U, 2U, 4U}) {
        Scalar copy = impossible;
        copy.truncate(bytes);
        copy = impossible;
        copy.sign_extend(bytes);
    }
}

}  // namespace crema::test
