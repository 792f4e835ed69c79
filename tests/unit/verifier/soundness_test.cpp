// SPDX-License-Identifier: BSD-3-Clause
//
// What the verifier believes against what happens: generated programs that it accepts are run by
// the checked interpreter on random packets. Every concrete state must lie in an abstract one of
// the same instruction, no access may leave its object, and the facts handed to lowering must hold.
#include <gtest/gtest.h>
#include <random>
#include <vector>

#include "lib/ebpf/interpreter/arithmetic.h"
#include "lib/ebpf/interpreter/checked.h"
#include "lib/ebpf/maps/map.h"
#include "lib/ebpf/program/disassemble.h"
#include "lib/ebpf/program/structure.h"
#include "lib/ebpf/verifier/machine.h"
#include "tests/support/state_witness.h"
#include "tests/support/verifier_dice.h"

namespace crema::test {

namespace {

namespace v = ebpf::verifier;
using ebpf::interpreter::Moment;

constexpr std::uint64_t kPrograms = 600;
constexpr int kRunsEach = 6;

std::string facts_broken(const ebpf::Program& program, const v::Proof& proof, const Moment& m) {
    const std::uint32_t pc = m.slot;
    const ebpf::Insn& insn = program.insns[pc];
    const v::InsnFacts& facts = proof.insns[pc];
    if (!facts.reachable) {
        return "runs, but is not reachable";
    }
    const std::uint64_t dst = m.regs[insn.dst];
    if (facts.dst_upper_zero && (dst >> 32) != 0) {
        return "upper half of dst is not zero";
    }
    if (facts.src_upper_zero && (m.regs[insn.src] >> 32) != 0) {
        return "upper half of src is not zero";
    }
    if (ebpf::is_conditional_jump(insn) && facts.branch != v::Branch::both) {
        const std::uint64_t src = ebpf::op::is_reg_source(insn.code)
                                      ? m.regs[insn.src]
                                      : static_cast<std::uint64_t>(std::int64_t{insn.imm});
        if (ebpf::interpreter::jump_taken(insn, dst, src) !=
            (facts.branch == v::Branch::always_taken)) {
            return "branch goes the other way";
        }
    }
    return {};
}

}  // namespace

TEST(VerifierSoundness, ConcreteRunsStayInsideAbstractStates) {
    std::mt19937_64 engine(7);
    std::uint64_t accepted = 0;
    for (std::uint64_t seed = 1; seed <= kPrograms; ++seed) {
        const ebpf::Program program = dice_program(seed);
        v::Options options;
        options.insns_max = 3000;
        const StateWitness witness(program, options);
        if (!witness.accepted()) {
            continue;
        }
        ++accepted;
        for (int n = 0; n < kRunsEach; ++n) {
            ASSERT_EQ(witness.run(engine), "") << "seed " << seed;
        }
    }
    EXPECT_GT(accepted, kPrograms / 10);
}

TEST(VerifierSoundness, FactsForLoweringHoldOnEveryRun) {
    std::mt19937_64 engine(11);
    std::uint64_t accepted = 0;
    for (std::uint64_t seed = 1; seed <= 2 * kPrograms; ++seed) {
        ebpf::Program program = dice_program(seed);
        if (seed % 3 == 0) {
            program = mutated(program, seed);
        }
        const auto proof = v::verify(program, {});
        if (!proof) {
            continue;
        }
        ++accepted;
        for (int n = 0; n < kRunsEach; ++n) {
            std::string wrong;
            const std::string fault = fault_of_run(program, engine, [&](const Moment& now) {
                const std::uint32_t pc = now.slot;
                if (wrong.empty()) {
                    const std::string broken = facts_broken(program, *proof, now);
                    if (!broken.empty()) {
                        wrong = fmt::format("insn {} ({}): {}", pc,
                                            ebpf::disassemble(program.insns[pc]), broken);
                    }
                }
            });
            ASSERT_EQ(fault, "") << "seed " << seed;
            ASSERT_EQ(wrong, "") << "seed " << seed;
        }
    }
    EXPECT_GT(accepted, kPrograms / 4);
}

}  // namespace crema::test
