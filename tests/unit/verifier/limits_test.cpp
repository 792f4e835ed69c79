// SPDX-License-Identifier: BSD-3-Clause
//
// Programs built to cost the verifier much: each ends after bounded work and in bounded
// memory.
#include <chrono>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "lib/ebpf/verifier/verify.h"
#include "tests/support/asm.h"

namespace crema::test {

namespace {

using testing::HasSubstr;

long peak_kib() {
    rusage usage{};
    EXPECT_EQ(getrusage(RUSAGE_SELF, &usage), 0);
    return usage.ru_maxrss;
}

Error refusal_of(const std::vector<Insn>& insns) {
    auto proof = ebpf::verifier::verify(program_of(insns), {});
    EXPECT_FALSE(proof.has_value());
    return proof ? Error{} : std::move(proof.error());
}

/// Many times what such a program should cost, a small part of what a square of its length does.
constexpr std::chrono::seconds kPatience{20};

/// Of a verifier that may take 512; AddressSanitizer holds on to what was given back.
#if defined(__SANITIZE_ADDRESS__)
constexpr long kPeakMib = 1500;
#else
constexpr long kPeakMib = 900;
#endif

std::chrono::nanoseconds time_to_accept(const std::vector<Insn>& insns) {
    const auto start = std::chrono::steady_clock::now();
    const auto proof = ebpf::verifier::verify(program_of(insns), {});
    EXPECT_TRUE(proof.has_value()) << (proof ? "" : proof.error().message);
    return std::chrono::steady_clock::now() - start;
}

}  // namespace

// What is read at the end of the chain is live along all of it, against the order of instructions.
TEST(VerifierLimits, ChainOfJumpsBackward) {
    constexpr std::int64_t kJumps = 200'000;
    std::vector<Insn> insns{mov_k(0, 2), insn(op::kJmp32 | op::kJa, 0, 0, 0, kJumps), exit_insn()};
    for (std::int64_t n = 0; n < kJumps; ++n) {
        insns.push_back(go(-2));
    }
    EXPECT_LT(time_to_accept(insns), kPatience);
}

// Each sum asks where its number came from: the first instruction, far from any jump.
TEST(VerifierLimits, OneNumberDecidesAllAlongALine) {
    constexpr int kSums = 300'000;
    std::vector<Insn> insns{mov_k(2, 1)};
    for (int n = 0; n < kSums; ++n) {
        insns.push_back(mov(3, 10));
        insns.push_back(alu(op::kAdd, 3, 2));
    }
    insns.push_back(mov_k(0, 2));
    insns.push_back(exit_insn());
    EXPECT_LT(time_to_accept(insns), kPatience);
}

TEST(VerifierLimits, MoreBranchesThanMayWait) {
    std::vector<Insn> insns{load(op::kW, 6, 1, 12), mov_k(0, 2)};
    for (int n = 0; n < 9000; ++n) {
        insns.push_back(load(op::kW, 6, 1, 12));
        insns.push_back(jump_k(op::kJeq, 6, n, 0));
        insns.push_back(alu_k(op::kAdd, 0, 1));
    }
    insns.push_back(exit_insn());
    const Error error = refusal_of(insns);
    EXPECT_THAT(error.message, HasSubstr("The sequence of 8193 jumps is too complex."));
    EXPECT_EQ(error.code, EFAULT);
}

/// Every comparison with data_end widens what is proved of 63 spilled packet pointers, so no two
/// states share them; the number picks one of many long ways, so that states pile up.
TEST(VerifierLimits, StatesThatShareNothing) {
    constexpr int kWays = 20, kChecks = 7500;
    std::vector<Insn> insns{load(op::kW, 2, 1, 0), load(op::kW, 3, 1, 4), load(op::kW, 7, 1, 12)};
    for (int slot = 1; slot <= 63; ++slot) {
        insns.push_back(store(op::kDw, 10, -8 * slot, 2));
    }
    for (int way = 0; way < kWays; ++way) {
        insns.push_back(jump_k(op::kJne, 7, way, 0));
        const std::size_t skips = insns.size() - 1;
        for (int n = 1; n <= kChecks; ++n) {
            insns.push_back(mov(4, 2));
            insns.push_back(add_k(4, n));
            insns.push_back(jump(op::kJgt, 4, 3, 1));
            insns.push_back(go(2));
            insns.push_back(mov_k(0, 1));
            insns.push_back(exit_insn());
        }
        insns.push_back(load(op::kDw, 5, 10, -8));
        for (int slot = 1; slot <= 63; ++slot) {
            insns.push_back(load(op::kDw, 5, 10, -8 * slot));
        }
        insns.push_back(mov_k(0, 2));
        insns.push_back(exit_insn());
        // Too far for 16 bits: over a long jump.
        const auto distance = static_cast<std::int64_t>(insns.size() - skips - 1);
        insns.insert(insns.begin() + static_cast<std::ptrdiff_t>(skips) + 1,
                     insn(op::kJmp32 | op::kJa, 0, 0, 0, distance));
        insns[skips] = jump_k(op::kJeq, 7, way, 1);
    }
    insns.push_back(mov_k(0, 2));
    insns.push_back(exit_insn());
    const long before = peak_kib();
    const Error error = refusal_of(insns);
    EXPECT_EQ(error.code, ENOMEM) << error.message;
    EXPECT_THAT(error.message, HasSubstr("need more than 512 MiB"));
    EXPECT_LT(peak_kib() - before, kPeakMib * 1024);
}

}  // namespace crema::test
