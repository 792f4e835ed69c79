// SPDX-License-Identifier: BSD-3-Clause
//
// Cases of verifier_cases() about loops whose bound the verifier does not see: may_goto leaves them
// at any turn, and the walk has to find out that further turns bring nothing new.
#include "tests/support/verifier_table.h"

namespace crema::test {

namespace {

Insn may_goto(int off) {
    return insn(op::kMayGoto, 0, 0, off, 0);
}

}  // namespace

void add_loop_cases(Table& t) {
    t.good("may_goto leaves an endless loop", {mov_k(0, 0), may_goto(1), go(-2), exit_insn()});
    t.good("counting under may_goto", {mov_k(0, 0), may_goto(2), add_k(0, 1), go(-3), exit_insn()});
    t.good("counting in the frame under may_goto",
           {store_k(op::kDw, 10, -8, 0), may_goto(4), load(op::kDw, 1, 10, -8), add_k(1, 1),
            store(op::kDw, 10, -8, 1), go(-5), mov_k(0, 2), exit_insn()});
    t.bad("first turn is judged",
          {mov_k(0, 0), may_goto(2), load(op::kW, 0, 9, 0), go(-3), exit_insn()}, "R9 !read_ok");
    t.bad("second turn is judged",
          {mov_k(0, 0), mov_k(6, 0), may_goto(4), jump_k(op::kJeq, 6, 0, 1), load(op::kW, 0, 9, 0),
           mov_k(6, 1), go(-5), exit_insn()},
          "R9 !read_ok");
    t.bad("a counter grows past an index",
          {mov_k(6, 0), may_goto(6), ld_map_value(2, kGlobalMap, 0), alu(op::kAdd, 2, 6),
           load(op::kB, 0, 2, 0), add_k(6, 1), go(-7), mov_k(0, 2), exit_insn()},
          "R2");
    t.good("a counter kept small by a check",
           {mov_k(6, 0), may_goto(7), jump_k(op::kJgt, 6, 15, 6), ld_map_value(2, kGlobalMap, 0),
            alu(op::kAdd, 2, 6), load(op::kB, 0, 2, 0), add_k(6, 1), go(-8), mov_k(0, 2),
            exit_insn()});
    t.bad("may_goto with an operand", {mov_k(0, 0), insn(op::kMayGoto, 1, 0, 0, 0), exit_insn()},
          "invalid may_goto imm 0");
    t.good("may_goto to the next instruction", {mov_k(0, 2), may_goto(0), exit_insn()});
    t.good("long jump", {mov_k(0, 2), jump_k(op::kJeq, 1, 0, 1),
                         insn(op::kJmp32 | op::kJa, 0, 0, 0, 1), mov_k(0, 1), exit_insn()});
    t.good("nested may_goto", {mov_k(6, 0), may_goto(5), mov_k(7, 0), may_goto(2), add_k(7, 1),
                               go(-3), go(-6), mov_k(0, 2), exit_insn()});
    t.bad("what an inner turn does reaches the outer one",
          {mov_k(6, 0), may_goto(6), may_goto(2), mov_k(6, 1), go(-3), jump_k(op::kJeq, 6, 0, 1),
           load(op::kW, 0, 9, 0), go(-7), mov_k(0, 2), exit_insn()},
          "R9 !read_ok");
}

}  // namespace crema::test
