// SPDX-License-Identifier: BSD-3-Clause
//
// Cases of verifier_cases.h for BPF_F_STRICT_ALIGNMENT: no access may be unaligned, and in a packet
// that is reckoned with the two bytes that an Ethernet header is short of 16. Each case also stands
// without the flag, where it is accepted.
#include <string>

#include "tests/support/verifier_table.h"

namespace crema::test {

namespace {

void add_both(Table& t, const std::string& name, const Code& code, const char* strict_reason) {
    t.good((name + ", any alignment").c_str(), code);
    const std::string strict = name + ", strict alignment";
    if (strict_reason == nullptr) {
        t.good(strict.c_str(), code);
    } else {
        t.bad(strict.c_str(), code, strict_reason);
    }
    t.last().program.strict_alignment = true;
}

}  // namespace

void add_alignment_cases(Table& t) {
    add_both(t, "word behind the Ethernet header",
             {packet_with(34), load(op::kW, 0, 2, 26), pass_insns}, nullptr);
    add_both(t, "word at the start of the packet",
             {packet_with(14), load(op::kW, 0, 2, 0), pass_insns},
             "misaligned packet access off 2+0+0+0 size 4");
    add_both(t, "halves at the start of the packet",
             {packet_with(14), load(op::kH, 0, 2, 0), store_k(op::kH, 2, 12, 1), pass_insns},
             nullptr);
    add_both(t, "store across an odd address of the packet",
             {packet_with(14), store_k(op::kH, 2, 1, 1), pass_insns},
             "misaligned packet access off 2+0+0+1 size 2");
    add_both(t, "word of a map value",
             {lookup_checked(kArrayMap), load(op::kW, 0, 0, 4), exit_insn()}, nullptr);
    add_both(t, "word across a word of a map value",
             {lookup_checked(kArrayMap), load(op::kW, 0, 0, 6), exit_insn()},
             "misaligned value access off 0+0+6 size 4");
    add_both(t, "word at an unknown multiple of four in a map value",
             {lookup_checked(kArrayMap), alu_k(op::kAnd, 6, 12), alu(op::kAdd, 0, 6),
              load(op::kW, 0, 0, 0), exit_insn()},
             nullptr);
    add_both(t, "word at an unknown even number in a map value",
             {lookup_checked(kArrayMap), alu_k(op::kAnd, 6, 10), alu(op::kAdd, 0, 6),
              load(op::kW, 0, 0, 0), exit_insn()},
             "misaligned value access off (0x0; 0xa)+0+0 size 4");

    // The flag of tests that keeps a state at each chance: no loop is taken for endless by it.
    t.good("loop with a state at each round",
           {mov_k(6, 0), add_k(6, 1), jump_k(op::kJlt, 6, 50, -2), pass_insns});
    t.last().program.test_state_freq = true;
    t.bad("endless loop with a state at each round",
          {mov_k(6, 0), mov_k(6, 0), jump_k(op::kJeq, 6, 0, -2), pass_insns},
          "infinite loop detected at insn");
    t.last().program.test_state_freq = true;
}

}  // namespace crema::test
