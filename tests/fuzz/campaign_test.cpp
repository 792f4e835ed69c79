// SPDX-License-Identifier: BSD-3-Clause
//
// The campaign itself: a wrong rule put in on purpose is found, and what is printed is small and
// shows it; without one nothing is found. Needs no kernel.
#include "tests/fuzz/campaign.h"

#include <algorithm>
#include <gtest/gtest.h>

#include "tests/fuzz/features.h"
#include "tests/fuzz/generator.h"
#include "tests/fuzz/shrink.h"
#include "tests/support/asm.h"

namespace crema::test::fuzz {
namespace {

CampaignOptions options_of(std::uint64_t programs, Sabotage sabotage = {}) {
    return {.seed = 1,
            .programs = programs,
            .seconds = 0,
            .with_kernel = false,
            .json = false,
            .mutants_one_in = 8,
            .findings_max = 1,
            .sabotage = std::move(sabotage)};
}

/// What a rule that forgets something would compile: `change` is applied to each instruction.
template <typename Change>
Sabotage wrong_rule(Change change) {
    return [change](ebpf::Program& program) {
        for (std::size_t at = 0; at < program.insns.size(); ++at) {
            const bool wide = program.insns[at].code == op::kLdImm64;
            change(program.insns[at]);
            at += wide ? 1 : 0;
        }
    };
}

/// Finds the fault and shows it with at most `slots_max` instruction slots, one of them `telltale`.
void expect_found(const Sabotage& sabotage, std::size_t slots_max, const std::string& telltale) {
    const CampaignResult result = run_campaign(options_of(3000, sabotage));
    EXPECT_GT(result.mismatches, 0U);
    ASSERT_EQ(result.cases.size(), 1U);
    EXPECT_LE(result.case_sizes.front(), slots_max) << result.cases.front();
    EXPECT_NE(result.cases.front().find(telltale), std::string::npos) << result.cases.front();
}

TEST(Campaign, FindsNothingWhereNothingIsWrong) {
    const CampaignResult result = run_campaign(options_of(400));
    EXPECT_EQ(result.programs, 400U);
    EXPECT_EQ(result.mismatches, 0U);
    EXPECT_GT(result.packets, 16 * 300U);
}

TEST(Campaign, FindsAndShrinksAShiftThatForgetsItsWidth) {
    // w >>= n compiled as s>>=
    expect_found(wrong_rule([](Insn& insn) {
                     if (insn.code == (op::kAlu | op::kRsh | op::kK)) {
                         insn.code = op::kAlu | op::kArsh | op::kK;
                     }
                 }),
                 8, "alu32_k(op::kRsh");
}

TEST(Campaign, FindsAndShrinksAComparisonThatIsOffByOne) {
    expect_found(wrong_rule([](Insn& insn) {
                     if (insn.code == (op::kJmp | op::kJgt | op::kK) && insn.imm != -1) {
                         insn.code = op::kJmp | op::kJge | op::kK;
                     }
                 }),
                 16, "op::kJgt");
}

TEST(Campaign, FindsAndShrinksAStoreOfTheWrongSize) {
    expect_found(wrong_rule([](Insn& insn) {
                     if (insn.code == (op::kStx | op::kMem | op::kH)) {
                         insn.code = op::kStx | op::kMem | op::kB;
                     }
                 }),
                 16, "store(op::kH");
}

TEST(Generator, MakesTheSameProgramOfTheSameSeed) {
    const Features features = served_features(Way::compiled);
    Judges judges(false);
    for (std::uint64_t seed = 1; seed < 50; ++seed) {
        EXPECT_EQ(generate(seed, features, judges.maps()).insns,
                  generate(seed, features, judges.maps()).insns);
    }
}

TEST(Shrink, JumpsOverAGapAreMended) {
    // 0: if r1 == 0 goto 4; 1: constant; 3: goto 5; 4: r0 = 1; 5: exit; jump back to 0 behind it.
    const ebpf::Program program = program_of(
        {jump_k(op::kJeq, 1, 0, 3), ld_imm64(2, 7), go(1), mov_k(0, 1), exit_insn(), go(-7)});
    const Code without_constant = {jump_k(op::kJeq, 1, 0, 1), go(1), mov_k(0, 1), exit_insn(),
                                   go(-5)};
    EXPECT_EQ(without(program, 1, 2).insns, without_constant.insns());  // both halves go
    EXPECT_EQ(without(program, 2, 3).insns, without_constant.insns());
    const Code without_target = {jump_k(op::kJeq, 1, 0, 3), ld_imm64(2, 7), go(0), exit_insn(),
                                 go(-6)};
    EXPECT_EQ(without(program, 4, 5).insns, without_target.insns());
}

TEST(Shrink, KeepsOnlyWhatThePredicateNeeds) {
    Case from{.program = program_of({mov_k(0, 1), mov_k(1, 2), alu(op::kMul, 1, 0), mov_k(3, 300),
                                     alu(op::kAdd, 3, 1), exit_insn()}),
              .packets = make_packets(1)};
    int trials = 0;
    const Case small = shrink(from, [&](const Case& tried) {
        ++trials;
        return std::any_of(tried.program.insns.begin(), tried.program.insns.end(),
                           [](const Insn& insn) { return insn.code == alu(op::kAdd, 0, 0).code; });
    });
    ASSERT_EQ(small.program.insns.size(), 1U);
    EXPECT_EQ(small.program.insns[0], alu(op::kAdd, 3, 1));
    EXPECT_EQ(small.packets.size(), 1U);
    EXPECT_LT(trials, 200);
}

}  // namespace
}  // namespace crema::test::fuzz
