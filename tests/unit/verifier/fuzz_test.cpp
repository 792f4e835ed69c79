// SPDX-License-Identifier: BSD-3-Clause
//
// Any bytes end in a verdict: random ones, and valid programs with a few changes, at every log
// level. Says nothing of which verdict; crashes, hangs and undefined behaviour are the failures
// (the sanitizer build runs this, too).
#include <cstring>
#include <gtest/gtest.h>
#include <random>

#include "lib/ebpf/verifier/verify.h"
#include "tests/support/verifier_cases.h"
#include "tests/support/verifier_dice.h"

namespace crema::test {

namespace {

void judge(const ebpf::Program& program, std::uint64_t seed) {
    ebpf::verifier::Options options;
    options.log_level = static_cast<std::uint32_t>(seed % 5);
    options.insns_max = 4000;
    std::string log;
    const auto proof = ebpf::verifier::verify(program, options, &log);
    if (proof) {
        EXPECT_EQ(proof->insns.size(), program.insns.size());
        EXPECT_LE(proof->stack_bytes, 512U);
    } else {
        EXPECT_FALSE(proof.error().message.empty());
        EXPECT_NE(proof.error().code, 0);
    }
}

}  // namespace

TEST(VerifierFuzz, RandomBytesEndInAVerdict) {
    std::mt19937_64 engine(3);
    for (std::uint64_t seed = 0; seed < 4000; ++seed) {
        ebpf::Program program;
        program.name = "bytes";
        program.maps = case_maps();
        program.insns.resize(1 + engine() % 12);
        for (auto& insn : program.insns) {
            const std::uint64_t bits = engine();
            std::memcpy(&insn, &bits, sizeof(insn));
        }
        if (seed % 2 == 0) {
            program.insns.back() = {.code = 0x95, .dst = 0, .src = 0, .off = 0, .imm = 0};
        }
        judge(program, seed);
    }
}

TEST(VerifierFuzz, ChangedProgramsEndInAVerdict) {
    for (std::uint64_t seed = 0; seed < 2000; ++seed) {
        judge(mutated(dice_program(seed), seed), seed);
    }
    for (const VerifierCase& c : verifier_cases()) {
        for (std::uint64_t seed = 0; seed < 20; ++seed) {
            judge(mutated(c.program, seed), seed);
        }
    }
}

TEST(VerifierFuzz, EmptyProgramIsRefused) {
    const auto proof = ebpf::verifier::verify(ebpf::Program{}, {});
    ASSERT_FALSE(proof.has_value());
    EXPECT_NE(proof.error().message.find("0 instructions"), std::string::npos);
}

}  // namespace crema::test
