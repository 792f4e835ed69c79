// SPDX-License-Identifier: BSD-3-Clause
//
// Cases of verifier_cases() about functions of the program: what goes in and comes out of a call,
// whose stack is whose, how deep calls may nest. Functions follow one another; call_function(n)
// skips n slots.
#include "tests/support/verifier_table.h"

namespace crema::test {

namespace {

void add_arguments(Table& t) {
    t.good("call of a function", {call_function(1), exit_insn(), mov_k(0, 2), exit_insn()});
    t.good("argument and result are numbers",
           {mov_k(1, 3), call_function(3), jump_k(op::kJeq, 0, 4, 1), load(op::kW, 0, 9, 0),
            exit_insn(), mov(0, 1), add_k(0, 1), exit_insn()});
    t.good("result is a pointer", {call_function(3), load(op::kW, 0, 0, 12), mov_k(0, 2),
                                   exit_insn(), mov_k(0, 1), mov(0, 1), exit_insn()});
    t.good("r6 to r9 stay", {mov(6, 1), call_function(3), load(op::kW, 0, 6, 12), mov_k(0, 2),
                             exit_insn(), mov_k(6, 1), mov_k(0, 0), exit_insn()});
    t.bad("r1 does not stay",
          {call_function(2), load(op::kW, 0, 1, 12), exit_insn(), mov_k(0, 0), exit_insn()},
          "R1 !read_ok");
    t.bad("r6 does not flow in",
          {mov_k(6, 1), call_function(1), exit_insn(), mov(0, 6), exit_insn()}, "R6 !read_ok");
    t.bad("argument not set", {call_function(1), exit_insn(), mov(0, 2), exit_insn()},
          "R2 !read_ok");
    t.good("result may be missing when unused",
           {call_function(2), mov_k(0, 2), exit_insn(), mov_k(1, 0), exit_insn()});
    t.bad("missing result is used", {call_function(1), exit_insn(), mov_k(1, 0), exit_insn()},
          "R0 !read_ok");
    t.good(
        "packet proof made in a function",
        {packet_insns, mov(6, 2), mov(1, 2), mov(2, 3), call_function(4), jump_k(op::kJeq, 0, 1, 1),
         load(op::kB, 0, 6, 13), mov_k(0, 2), exit_insn(),
         // r0 = r1 + 14 > r2
         mov_k(0, 0), mov(3, 1), add_k(3, 14), jump(op::kJle, 3, 2, 1), mov_k(0, 1), exit_insn()});
    t.bad("packet not proved on one way",
          {packet_insns, mov(6, 2), mov(1, 2), mov(2, 3), call_function(3), load(op::kB, 0, 6, 13),
           mov_k(0, 2), exit_insn(), mov_k(0, 0), mov(3, 1), add_k(3, 14), jump(op::kJle, 3, 2, 1),
           mov_k(0, 1), exit_insn()},
          "invalid access to packet, off=13 size=1");
    t.bad("stale after the callee moved the packet",
          {packet_with(14), mov(6, 2), mov(7, 1), call_function(3), load(op::kB, 0, 6, 0),
           mov_k(0, 2), exit_insn(), mov_k(2, 0), call(kAdjustHead), exit_insn()},
          "R6 invalid mem access 'scalar'");
}

void add_frames(Table& t) {
    t.good("callee writes the caller's stack",
           {mov(1, 10), add_k(1, -8), call_function(4), load(op::kDw, 0, 10, -8),
            jump_k(op::kJeq, 0, 7, 1), load(op::kW, 0, 9, 0), exit_insn(),
            store_k(op::kDw, 1, 0, 7), mov_k(0, 0), exit_insn()});
    t.good("callee fills a pointer from the caller's stack",
           {store(op::kDw, 10, -8, 1), mov(1, 10), call_function(1), exit_insn(),
            load(op::kDw, 2, 1, -8), load(op::kW, 0, 2, 12), exit_insn()});
    t.good("callee spills a pointer for the caller",
           {mov(2, 10), call_function(4), load(op::kDw, 1, 10, -8), load(op::kW, 0, 1, 12),
            mov_k(0, 2), exit_insn(), store(op::kDw, 2, -8, 1), mov_k(0, 0), exit_insn()});
    t.bad("stack pointer returned", {call_function(1), exit_insn(), mov(0, 10), exit_insn()},
          "cannot return stack pointer to the caller");
    t.bad("own stack pointer left in the caller's frame",
          {mov(1, 10), call_function(1), exit_insn(), store(op::kDw, 1, -8, 10), mov_k(0, 0),
           exit_insn()},
          "cannot spill pointers to stack into stack frame of the caller");
    t.bad("caller's frame is bounded, too",
          {mov(1, 10), call_function(1), exit_insn(), store_k(op::kDw, 1, -520, 0), mov_k(0, 0),
           exit_insn()},
          "invalid write to stack R1 off=-520 size=8");
    t.good("what the caller keeps decides after the call",
           {store_k(op::kDw, 10, -8, 1), call_function(4), load(op::kDw, 1, 10, -8),
            jump_k(op::kJeq, 1, 1, 1), load(op::kW, 0, 9, 0), exit_insn(),
            store_k(op::kDw, 10, -8, 2), mov_k(0, 0), exit_insn()});
    t.good("the same function on two states",
           {mov(6, 1), mov_k(2, 0), call_function(4), mov(1, 6), mov_k(2, 1), call_function(1),
            exit_insn(), jump_k(op::kJeq, 2, 0, 2), load(op::kW, 0, 1, 12), exit_insn(),
            mov_k(0, 0), exit_insn()});
    t.bad("second call is judged on its own",
          {mov(6, 1), call_function(4), mov_k(1, 0), call_function(2), mov_k(0, 2), exit_insn(),
           load(op::kW, 0, 1, 12), exit_insn()},
          "R1 invalid mem access 'scalar'");
}

void add_shape(Table& t) {
    t.bad("call outside the program", {call_function(7), exit_insn()},
          "call to invalid destination");
    t.bad("jump into another function",
          {jump_k(op::kJeq, 1, 0, 2), call_function(1), exit_insn(), mov_k(0, 0), exit_insn()},
          "jump out of range from insn 0 to 3");
    t.bad("function falls into the next",
          {call_function(1), call_function(1), mov_k(0, 0), mov_k(0, 0), exit_insn()},
          "last insn is not an exit or jmp");
    t.bad("function begins inside ldimm64",
          {call_function(2), exit_insn(), ld_imm64(0, 1), exit_insn()},
          "last insn is not an exit or jmp");
    t.bad("recursion", {mov_k(0, 0), call_function(1), exit_insn(), call_function(-1), exit_insn()},
          "the call stack of 9 frames is too deep");
    t.bad("nine frames",
          {call_function(1), exit_insn(), call_function(1), exit_insn(), call_function(1),
           exit_insn(), call_function(1), exit_insn(), call_function(1), exit_insn(),
           call_function(1), exit_insn(), call_function(1), exit_insn(), call_function(1),
           exit_insn(), mov_k(0, 0), exit_insn()},
          "the call stack of 9 frames is too deep");
    t.good("eight frames", {call_function(1), exit_insn(), call_function(1), exit_insn(),
                            call_function(1), exit_insn(), call_function(1), exit_insn(),
                            call_function(1), exit_insn(), call_function(1), exit_insn(),
                            call_function(1), exit_insn(), mov_k(0, 0), exit_insn()});
}

}  // namespace

void add_function_cases(Table& t) {
    add_arguments(t);
    add_frames(t);
    add_shape(t);
}

}  // namespace crema::test
