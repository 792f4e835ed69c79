// SPDX-License-Identifier: BSD-3-Clause
//
// Cases of verifier_cases() about kernel functions: what may be called, arguments by type and name
// of their parameters, dynptrs of frames and their slices, regions; and open-coded iterators.
#include "tests/support/kernel_kfuncs.h"
#include "tests/support/verifier_table.h"

namespace crema::test {

namespace {

constexpr int kDynptrFromMem = 197, kDynptrData = 203;

/// r`reg` = r10 + off
Code frame(int reg, int off) {
    return {mov(reg, 10), add_k(reg, off)};
}

Insn kfunc_number(int number, int off) {
    return insn(op::kJmp | op::kCall, 0, op::kPseudoKfunc, off, number);
}

const Code dynptr_of_frame{mov_k(2, 0), frame(3, -16), call_kfunc("bpf_dynptr_from_xdp")};

/// r0 = bytes [0, size) of the dynptr at fp-16, with a buffer at fp-40.
Code slice(const char* function, int size) {
    return {frame(1, -16), mov_k(2, 0), frame(3, -40), mov_k(4, size), call_kfunc(function)};
}

Code sliced(const Code& then) {
    return {dynptr_of_frame, slice("bpf_dynptr_slice", 14), jump_k(op::kJeq, 0, 0, 1), then,
            pass_insns};
}

void add_names(Table& t) {
    t.bad("missing weak function reached", {kfunc_number(0, 0), pass_insns},
          "invalid kernel function call not eliminated in verifier pass");
    t.bad("missing weak function gives nothing", {kfunc_number(0, 0), exit_insn()}, "R0 !read_ok");
    t.good("missing weak function not reached",
           {mov_k(0, 2), jump_k(op::kJeq, 0, 2, 1), kfunc_number(0, 0), exit_insn()});
    t.bad("number of no function", {kfunc_number(99999999, 0), pass_insns},
          "kernel btf_id 99999999 is not a function");
    t.bad("number of no function, not reached",
          {mov_k(0, 2), jump_k(op::kJeq, 0, 2, 1), kfunc_number(99999999, 0), exit_insn()},
          "kernel btf_id 99999999 is not a function");
    t.bad("function of a module", {kfunc_number(1, 1), pass_insns},
          "kfunc offset > 0 without fd_array is invalid");
    t.bad("function before all modules", {kfunc_number(1, -1), pass_insns},
          "negative offset disallowed for kernel module function call");
    t.bad("kernel function of a program without GPL",
          {call_kfunc("bpf_rcu_read_lock"), call_kfunc("bpf_rcu_read_unlock"), pass_insns},
          "cannot call kernel function from non-GPL compatible program");
    t.last().program.gpl_compatible = false;
    t.bad("metadata of a device without one",
          {frame(2, -8), call_kfunc("bpf_xdp_metadata_rx_timestamp"), pass_insns},
          "metadata kfuncs require device-bound program");
}

void add_arguments(Table& t) {
    t.good("dynptr of the frame", {dynptr_of_frame, pass_insns});
    t.bad("stack as context",
          {frame(1, -8), mov_k(2, 0), frame(3, -16), call_kfunc("bpf_dynptr_from_xdp"), pass_insns},
          "arg#0 expected pointer to ctx, but got fp");
    t.bad("number as context", {mov_k(1, 0), dynptr_of_frame, pass_insns},
          "arg#0 expected pointer to ctx, but got scalar");
    t.bad("context moved on", {add_k(1, 4), dynptr_of_frame, pass_insns},
          "dereference of modified ctx ptr R1 off=4 disallowed");
    t.bad("pointer as number",
          {mov(2, 10), frame(3, -16), call_kfunc("bpf_dynptr_from_xdp"), pass_insns},
          "R2 is not a scalar");
    t.bad("dynptr half outside of the frame",
          {mov_k(2, 0), frame(3, -8), call_kfunc("bpf_dynptr_from_xdp"), pass_insns},
          "cannot pass in dynptr at an offset=-8");
    t.bad("dynptr at no slot",
          {mov_k(2, 0), frame(3, -20), call_kfunc("bpf_dynptr_from_xdp"), pass_insns},
          "Dynptr has to be an uninitialized dynptr");
    t.bad("number as dynptr",
          {mov_k(2, 0), mov_k(3, 9), call_kfunc("bpf_dynptr_from_xdp"), pass_insns},
          "arg#2 expected pointer to stack or const struct bpf_dynptr");
    t.bad("dynptr that nobody made", {slice("bpf_dynptr_slice", 4), pass_insns},
          "Expected an initialized dynptr as arg #0");
    t.bad("dynptr that was overwritten",
          {dynptr_of_frame, store_k(op::kDw, 10, -8, 0), slice("bpf_dynptr_slice", 4), pass_insns},
          "Expected an initialized dynptr as arg #0");
    t.good("no buffer", {dynptr_of_frame, frame(1, -16), mov_k(2, 0), mov_k(3, 0), mov_k(4, 14),
                         call_kfunc("bpf_dynptr_slice"), pass_insns});
    t.good("slice of nothing", {dynptr_of_frame, slice("bpf_dynptr_slice", 0), pass_insns});
    t.bad("size that is no constant",
          {mov(6, 1), dynptr_of_frame, load(op::kW, 4, 6, 16), alu_k(op::kAnd, 4, 15),
           frame(1, -16), mov_k(2, 0), frame(3, -40), call_kfunc("bpf_dynptr_slice"), pass_insns},
          "R4 must be a known constant");
    t.bad("size beyond the buffer", {dynptr_of_frame, slice("bpf_dynptr_slice", 41), pass_insns},
          "arg#2 arg#3 memory, len pair leads to invalid memory access");
    t.bad("negative size", {dynptr_of_frame, slice("bpf_dynptr_slice", -1), pass_insns},
          "R4 min value is negative, either use unsigned or 'var &= const'");
    t.bad("pointer as size",
          {dynptr_of_frame, frame(1, -16), mov_k(2, 0), frame(3, -40), mov(4, 10),
           call_kfunc("bpf_dynptr_slice"), pass_insns},
          "arg#2 pointer type UNKNOWN  must point to scalar, or struct with scalar");
    t.bad("context as buffer",
          {mov(6, 1), dynptr_of_frame, frame(1, -16), mov_k(2, 0), mov(3, 6), mov_k(4, 4),
           call_kfunc("bpf_dynptr_slice"), pass_insns},
          "R3 type=ctx expected=fp");
    t.bad("number as buffer",
          {dynptr_of_frame, frame(1, -16), mov_k(2, 0), mov_k(3, 7), mov_k(4, 4),
           call_kfunc("bpf_dynptr_slice"), pass_insns},
          "R3 type=scalar expected=fp");
    t.good("all of a dynptr's functions", {dynptr_of_frame,
                                           frame(1, -16),
                                           frame(2, -32),
                                           call_kfunc("bpf_dynptr_clone"),
                                           frame(1, -32),
                                           call_kfunc("bpf_dynptr_size"),
                                           frame(1, -32),
                                           call_kfunc("bpf_dynptr_is_null"),
                                           frame(1, -32),
                                           call_kfunc("bpf_dynptr_is_rdonly"),
                                           frame(1, -32),
                                           mov_k(2, 0),
                                           mov_k(3, 1),
                                           call_kfunc("bpf_dynptr_adjust"),
                                           frame(1, -16),
                                           mov_k(2, 0),
                                           frame(3, -32),
                                           mov_k(4, 0),
                                           mov_k(5, 1),
                                           call_kfunc("bpf_dynptr_copy"),
                                           frame(1, -16),
                                           mov_k(2, 0),
                                           mov_k(3, 1),
                                           mov_k(4, 0),
                                           call_kfunc("bpf_dynptr_memset"),
                                           pass_insns});
    t.bad("clone of nothing",
          {frame(1, -16), frame(2, -32), call_kfunc("bpf_dynptr_clone"), pass_insns},
          "Expected an initialized dynptr as arg #0");
}

void add_slices(Table& t) {
    t.good("slice read", sliced(load(op::kB, 1, 0, 13)));
    t.bad("slice not compared with null",
          {dynptr_of_frame, slice("bpf_dynptr_slice", 14), load(op::kB, 1, 0, 0), pass_insns},
          "R0 invalid mem access 'rdonly_mem_or_null'");
    t.bad("slice read beyond its size", sliced(load(op::kB, 1, 0, 14)),
          "invalid access to memory, mem_size=14 off=14 size=1");
    t.bad("slice written", sliced(store_k(op::kB, 0, 0, 1)), "R0 cannot write into rdonly_mem");
    t.good("writable slice written",
           {dynptr_of_frame, slice("bpf_dynptr_slice_rdwr", 14), jump_k(op::kJeq, 0, 0, 1),
            store_k(op::kB, 0, 0, 1), pass_insns});
    const auto stale = [](const Code& moves) {
        return Code{mov(6, 1),
                    dynptr_of_frame,
                    slice("bpf_dynptr_slice", 14),
                    mov(7, 0),
                    jump_k(op::kJeq, 0, 0, 4),
                    mov(1, 6),
                    mov_k(2, 0),
                    moves,
                    load(op::kB, 1, 7, 0),
                    pass_insns};
    };
    t.bad("slice after the head moved", stale(call(kAdjustHead)), "R7 invalid mem access 'scalar'");
    t.bad("slice after the frame was pulled together", stale(call_kfunc("bpf_xdp_pull_data")),
          "R7 invalid mem access 'scalar'");
    t.bad("packet after the frame was pulled together",
          {mov(6, 1), packet_with(20), mov(7, 2), mov(1, 6), mov_k(2, 20),
           call_kfunc("bpf_xdp_pull_data"), load(op::kB, 0, 7, 0), exit_insn()},
          "R7 invalid mem access 'scalar'");
    t.good("slice outlives its dynptr",
           {dynptr_of_frame, slice("bpf_dynptr_slice", 14), jump_k(op::kJeq, 0, 0, 2),
            store_k(op::kDw, 10, -16, 0), load(op::kB, 1, 0, 13), pass_insns});
    t.bad("data of a dynptr goes with it",
          {ld_map_value(1, kGlobalMap, 0), mov_k(2, 16), mov_k(3, 0), frame(4, -16),
           call(kDynptrFromMem), frame(1, -16), mov_k(2, 0), mov_k(3, 8), call(kDynptrData),
           jump_k(op::kJeq, 0, 0, 2), store_k(op::kDw, 10, -16, 0), load(op::kB, 1, 0, 0),
           pass_insns},
          "R0 invalid mem access 'scalar'");
}

void add_regions(Table& t) {
    const Insn lock = call_kfunc("bpf_rcu_read_lock");
    const Insn unlock = call_kfunc("bpf_rcu_read_unlock");
    const Insn disable = call_kfunc("bpf_preempt_disable");
    const Insn enable = call_kfunc("bpf_preempt_enable");
    t.good("read lock and unlock", {lock, unlock, pass_insns});
    t.good("preemption disabled twice", {disable, disable, enable, enable, pass_insns});
    t.bad("read lock at the end", {lock, pass_insns},
          "cannot be used inside bpf_rcu_read_lock-ed region");
    t.bad("preemption disabled at the end", {disable, disable, enable, pass_insns},
          "cannot be used inside bpf_preempt_disable-ed region");
    t.bad("unlock without lock", {unlock, pass_insns},
          "unmatched rcu read unlock (kernel function bpf_rcu_read_unlock)");
    t.bad("enable without disable", {enable, pass_insns},
          "unmatched attempt to enable preemption (kernel function bpf_preempt_enable)");
    t.bad("read lock in a read lock", {lock, lock, unlock, pass_insns},
          "nested rcu read lock (kernel function bpf_rcu_read_lock)");
    t.bad("locked on one way only",
          {load(op::kW, 6, 1, 16), jump_k(op::kJeq, 6, 0, 1), lock, unlock, pass_insns},
          "unmatched rcu read unlock");
}

const Code new_numbers{frame(1, -8), mov_k(2, 0), mov_k(3, 10), call_kfunc("bpf_iter_num_new")};
const Code next_number{frame(1, -8), call_kfunc("bpf_iter_num_next")};
const Code no_numbers{frame(1, -8), call_kfunc("bpf_iter_num_destroy")};

/// A loop over the numbers with `body` (of `slots` slots), which has the element's address in r0.
Code over_numbers(const Code& body, int slots) {
    return {new_numbers, next_number,    jump_k(op::kJeq, 0, 0, slots + 1),
            body,        go(-slots - 5), no_numbers};
}

void add_life(Table& t) {
    t.good("iterator made and ended", {new_numbers, no_numbers, pass_insns});
    t.bad("iterator not ended", {new_numbers, pass_insns},
          "Unreleased reference id=1 alloc_insn=4");
    t.bad("iterator that nobody made", {next_number, pass_insns},
          "expected an initialized iter_num as arg #0");
    t.bad("iterator ended twice", {new_numbers, no_numbers, no_numbers, pass_insns},
          "expected an initialized iter_num as arg #0");
    t.bad("iterator made twice", {new_numbers, new_numbers, pass_insns},
          "expected uninitialized iter_num as arg #0");
    t.bad("iterator outside of the stack",
          {mov_k(2, 0), mov_k(3, 1), call_kfunc("bpf_iter_num_new"), pass_insns},
          "arg#0 expected pointer to an iterator on stack");
    t.bad("iterator at no slot",
          {frame(1, -12), mov_k(2, 0), mov_k(3, 1), call_kfunc("bpf_iter_num_new"), pass_insns},
          "cannot pass in iter at an offset=-12");
    t.bad("iterator above the frame",
          {frame(1, 0), mov_k(2, 0), mov_k(3, 1), call_kfunc("bpf_iter_num_new"), pass_insns},
          "invalid write to stack R1 off=0 size=8");
    // The kernel takes it for the slot below, and its function would write above the frame.
    t.unserved("iterator's next number above the frame",
               {new_numbers, frame(1, 0), call_kfunc("bpf_iter_num_next"), no_numbers, pass_insns},
               "expected an initialized iter_num as arg #0");
    t.bad("iterator below the frame",
          {frame(1, -520), mov_k(2, 0), mov_k(3, 1), call_kfunc("bpf_iter_num_new"), pass_insns},
          "invalid write to stack R1 off=-520 size=8");
    t.bad("iterator overwritten", {new_numbers, store_k(op::kDw, 10, -8, 0), pass_insns},
          "would lead to reference leak");
    t.bad("iterator read", {new_numbers, load(op::kDw, 1, 10, -8), no_numbers, pass_insns},
          "invalid read from stack off -8+0 size 8");
    t.bad("pointer as start of an iterator",
          {frame(1, -8), mov(2, 10), mov_k(3, 1), call_kfunc("bpf_iter_num_new"), pass_insns},
          "R2 is not a scalar");
}

void add_turns(Table& t) {
    t.good("loop over numbers", {over_numbers(load(op::kW, 1, 0, 0), 1), pass_insns});
    t.good("loop that counts for itself", {mov_k(6, 0), over_numbers(add_k(6, 1), 1), pass_insns});
    t.good("loop that ends early",
           {new_numbers, next_number, jump_k(op::kJeq, 0, 0, 3), load(op::kW, 1, 0, 0),
            jump_k(op::kJeq, 1, 5, 1), go(-7), no_numbers, pass_insns});
    t.good("loop in a loop",
           {new_numbers, next_number, jump_k(op::kJeq, 0, 0, 13), frame(1, -16), mov_k(2, 0),
            mov_k(3, 5), call_kfunc("bpf_iter_num_new"), frame(1, -16),
            call_kfunc("bpf_iter_num_next"), jump_k(op::kJne, 0, 0, -4), frame(1, -16),
            call_kfunc("bpf_iter_num_destroy"), go(-17), no_numbers, pass_insns});
    t.bad("element not compared with null", {new_numbers, next_number, load(op::kW, 1, 0, 0)},
          "R0 invalid mem access 'scalar'");
    t.last().program.insns.push_back(exit_insn());
    t.bad("element written", {over_numbers(store_k(op::kW, 0, 0, 1), 1), pass_insns},
          "R0 cannot write into rdonly_mem");
    t.bad("element read beyond its size", {over_numbers(load(op::kDw, 1, 0, 0), 1), pass_insns},
          "invalid access to memory, mem_size=4 off=0 size=8");
    t.bad("element after the iterator ended",
          {new_numbers, next_number, mov(6, 0), no_numbers, jump_k(op::kJeq, 6, 0, 1),
           load(op::kW, 1, 6, 0), pass_insns},
          "R6 invalid mem access 'scalar'");
    t.bad("a turn overwrites the iterator",
          {mov_k(6, 0),
           over_numbers({mov(1, 10), alu(op::kAdd, 1, 6), store_k(op::kB, 1, -16, 0), add_k(6, 1)},
                        4),
           pass_insns},
          "expected an initialized iter_num as arg #0");
    t.bad("pointer that only the first turn has",
          {mov(6, 10), new_numbers, next_number, jump_k(op::kJeq, 0, 0, 3),
           store_k(op::kDw, 6, -16, 0), mov_k(6, 0), go(-7), no_numbers, pass_insns},
          "R6 invalid mem access 'scalar'");
    t.bad("numbers that a turn makes larger index memory",
          {mov_k(6, 0), ld_map_value(7, kGlobalMap, 0),
           over_numbers({mov(1, 7), alu(op::kAdd, 1, 6), load(op::kB, 2, 1, 0), add_k(6, 1)}, 4),
           pass_insns},
          "invalid access to map value, value_size=16");
    t.good("numbers that a bound holds index memory",
           {mov_k(6, 0), ld_map_value(7, kGlobalMap, 0),
            over_numbers({jump_k(op::kJgt, 6, 15, 4), mov(1, 7), alu(op::kAdd, 1, 6),
                          load(op::kB, 2, 1, 0), add_k(6, 1)},
                         5),
            pass_insns});
}

}  // namespace

void add_kfunc_cases(Table& t) {
    add_names(t);
    add_arguments(t);
    add_slices(t);
    add_regions(t);
}

void add_iterator_cases(Table& t) {
    add_life(t);
    add_turns(t);
}

}  // namespace crema::test
