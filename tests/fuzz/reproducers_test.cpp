// SPDX-License-Identifier: BSD-3-Clause
//
// What campaigns found, made small: programs on which the judges once disagreed, with what all of
// them say now. Beside the kernel where there is one, else ours alone.
#include <gtest/gtest.h>

#include "tests/fuzz/stage_maps.h"
#include "tests/fuzz/trial.h"
#include "tests/support/asm.h"
#include "tests/support/kernel_bpf.h"

namespace crema::test::fuzz {
namespace {

constexpr int kLookup = 1, kTailCall = 12, kReserve = 131, kSubmit = 132;

class Reproducers : public testing::Test {
  protected:
    /// finding: none (accepted, and equal on all packets) or refused_by_both.
    void expect(Finding finding, const Code& code) {
        ebpf::Program program = program_of(code);
        program.maps = judges_.maps();
        const Judgement judgement = judges_.judge(program, make_packets(1));
        EXPECT_EQ(judgement.finding, finding)
            << name_of(judgement.finding) << ": " << judgement.text;
    }

    /// Ours agree with each other, and the kernel with them or with itself when it sees less.
    void expect_also_where_the_kernel_is_wrong(const Code& code) {
        ebpf::Program program = program_of(code);
        program.maps = judges_.maps();
        std::vector<Packet> packets = make_packets(1);
        packets.emplace_back(14);
        packets.emplace_back(64);
        const Judgement judgement = judges_.judge(program, packets);
        EXPECT_TRUE(judgement.finding == Finding::none ||
                    judgement.finding == Finding::kernel_fault)
            << name_of(judgement.finding) << ": " << judgement.text;
    }

  private:
    Judges judges_{kernel::available()};
};

TEST_F(Reproducers, AFunctionMayTailCallWhileItsCallerHoldsARecord) {
    expect(Finding::none,
           {mov(7, 1), ld_map(1, kRingMap), mov_k(2, 8), mov_k(3, 0), call(kReserve),
            jump_k(op::kJeq, 0, 0, 6), mov(6, 0), mov(1, 7), call_function(5), mov(1, 6),
            mov_k(2, 0), call(kSubmit), mov_k(0, 2), exit_insn(), mov_k(3, 0),
            ld_map(2, kProgramsMap), call(kTailCall), mov_k(0, 0), exit_insn()});
}

TEST_F(Reproducers, TheProgramItselfMayNotTailCallWhileItHoldsARecord) {
    expect(Finding::refused_by_both,
           {mov(7, 1), ld_map(1, kRingMap), mov_k(2, 8), mov_k(3, 0), call(kReserve),
            jump_k(op::kJeq, 0, 0, 8), mov(6, 0), mov(1, 7), mov_k(3, 0), ld_map(2, kProgramsMap),
            call(kTailCall), mov(1, 6), mov_k(2, 0), call(kSubmit), mov_k(0, 2), exit_insn()});
}

Code lookup_in_inner_map(int key) {
    return {store_k(op::kW, 10, -4, 0),
            store_k(op::kW, 10, -8, key),
            ld_map(1, kArrayOfMaps),
            mov(2, 10),
            add_k(2, -4),
            call(kLookup),
            jump_k(op::kJne, 0, 0, 2),
            mov_k(0, 1),
            exit_insn(),
            mov(1, 0),
            mov(2, 10),
            add_k(2, -8),
            call(kLookup),
            load(op::kB, 0, 0, 3),
            exit_insn()};
}

TEST_F(Reproducers, AConstantIndexInRangeFindsAValueAlsoInAnInnerMap) {
    expect(Finding::none, lookup_in_inner_map(kInnerEntries - 1));
    expect(Finding::refused_by_both, lookup_in_inner_map(kInnerEntries));
}

/// Enough instructions and jumps for the kernel to keep a state where paths join. r4 > r3: the
/// packet has fewer than 20 bytes.
Code before_a_checkpoint() {
    return {load(op::kW, 2, 1, 0),  load(op::kW, 3, 1, 4),     mov(4, 2),
            add_k(4, 20),           load(op::kW, 5, 1, 16),    load(op::kW, 6, 1, 16),
            load(op::kW, 7, 1, 16), jump_k(op::kJeq, 5, 77, 0)};
}

TEST_F(Reproducers, ABranchOnWhatAnExchangeGaveBackDependsOnWhatWasStored) {
    // The kernel takes the states with 0 and 7 on the stack for one, and the branch away.
    expect_also_where_the_kernel_is_wrong(
        {before_a_checkpoint(), mov_k(0, 7), jump(op::kJgt, 4, 3, 1), mov_k(0, 0),
         store(op::kDw, 10, -8, 0), mov_k(8, 1),
         insn(op::kStx | op::kAtomic | op::kW, 10, 8, -8, op::kAtomicXchg),
         jump_k(op::kJeq, 8, 0, 2), mov_k(0, 1), exit_insn(), mov_k(0, 2), exit_insn()});
}

TEST_F(Reproducers, AComparedExchangeOfThirtyTwoBitsClearsTheUpperHalf) {
    // The kernel forgets that where another path was there before.
    expect_also_where_the_kernel_is_wrong(
        {before_a_checkpoint(), jump(op::kJle, 4, 3, 2), mov_k(0, 5), go(3), mov_k(0, -33),
         store(op::kW, 10, -8, 0),
         insn(op::kStx | op::kAtomic | op::kW, 10, 0, -8, op::kAtomicCmpxchg), mov(1, 0),
         alu_k(op::kRsh, 0, 32), exit_insn()});
}

TEST_F(Reproducers, AThirtyTwoBitShiftByAWideConstantIsUnknown) {
    // r7 = 0xffffffff00000001: what follows the jump is looked at, though no run goes there.
    expect(
        Finding::refused_by_both,
        {alu32_k(op::kMov, 7, -1), insn(op::kAlu64 | op::kNeg, 7, 0, 0, 0), alu32(op::kRsh, 7, 7),
         jump_k(op::kJset, 7, -1, 2), mov_k(0, 2), exit_insn(), call(-2147483648), exit_insn()});
}

}  // namespace
}  // namespace crema::test::fuzz
