// SPDX-License-Identifier: BSD-3-Clause
//
// Cases of verifier_cases() about arguments of global functions that their prototypes tag
// ("arg:nonnull"), and about dynptr arguments. Also sums that stay linked to a number.
#include "tests/support/kernel_kfuncs.h"
#include "tests/support/verifier_table.h"

namespace crema::test {

namespace {

using enum FunctionTypes::Arg;

constexpr int kDynptrWrite = 202;

Code frame(int reg, int off) {
    return {mov(reg, 10), add_k(reg, off)};
}

/// A global function of one argument, called with what `argument` leaves in r1.
Code called(const Code& argument, const Code& body) {
    return {argument, call_function(2), mov_k(0, 2), exit_insn(), body, mov_k(0, 1), exit_insn()};
}

std::vector<FunctionTypes> takes(FunctionTypes::Arg arg, const std::vector<const char*>& tags) {
    return {{}, {.global = true, .args = {arg}, .tags = tags}};
}

void add_tags(Table& t) {
    const auto bad = [&](const char* name, FunctionTypes::Arg arg,
                         const std::vector<const char*>& tags, const Code& argument,
                         const char* reason) {
        t.bad(name, called(argument, {}), reason);
        t.typed(takes(arg, tags));
    };
    const auto good = [&](const char* name, FunctionTypes::Arg arg,
                          const std::vector<const char*>& tags, const Code& argument,
                          const Code& body) {
        t.good(name, called(argument, body));
        t.typed(takes(arg, tags));
    };
    const Code memory_argument = frame(1, -8);
    bad("tagged number", number, {"arg:ctx"}, mov_k(1, 0),
        "arg#0 has pointer tag, but is not a pointer type");
    bad("tag that nobody knows", memory, {"arg:blah"}, memory_argument,
        "arg#0 has unsupported set of tags");
    bad("memory tagged nullable", memory, {"arg:nullable"}, memory_argument,
        "arg#0 has invalid combination of tags");
    bad("memory tagged nonnull and nullable", memory, {"arg:nonnull", "arg:nullable"},
        memory_argument, "arg#0 has invalid combination of tags");
    bad("context tagged nonnull", context, {"arg:nonnull"}, {},
        "arg#0 has invalid combination of tags");
    good("context tagged ctx", context, {"arg:ctx"}, {}, load(op::kW, 2, 1, 12));
    good("void pointer tagged ctx", nothing, {"arg:ctx"}, {}, load(op::kW, 2, 1, 12));
    bad("void pointer", nothing, {}, {},
        "arg#0 reference type('UNKNOWN ') size cannot be determined: -22");
    bad("context for an arena pointer", memory, {"arg:arena"}, {},
        "R1 is not a pointer to arena or scalar.");
    good("number for an arena pointer", memory, {"arg:arena"}, mov_k(1, 0), {});
    bad("dynptr tagged nonnull", FunctionTypes::Arg::dynptr, {"arg:nonnull"}, frame(1, -16),
        "arg#0 has invalid combination of tags");
    bad("dynptr that nobody made for a global function", FunctionTypes::Arg::dynptr, {},
        frame(1, -16), "Expected an initialized dynptr as arg #0");
    bad("context for a dynptr", FunctionTypes::Arg::dynptr, {}, {},
        "arg#0 expected pointer to stack or const struct bpf_dynptr");
    const Code dynptr_argument{mov_k(2, 0), frame(3, -16), call_kfunc("bpf_dynptr_from_xdp"),
                               frame(1, -16)};
    good("dynptr argument", FunctionTypes::Arg::dynptr, {}, dynptr_argument,
         {store_k(op::kDw, 10, -8, 0), mov_k(2, 0), frame(3, -8), mov_k(4, 4), mov_k(5, 0),
          call(kDynptrWrite)});
    good("dynptr argument cut", FunctionTypes::Arg::dynptr, {}, dynptr_argument,
         {mov_k(2, 0), mov_k(3, 0), call_kfunc("bpf_dynptr_adjust")});
    t.bad("dynptr argument moved on",
          called(dynptr_argument, {add_k(1, 8), call_kfunc("bpf_dynptr_size")}),
          "dereference of modified dynptr_ptr ptr R1 off=8 disallowed");
    t.typed(takes(FunctionTypes::Arg::dynptr, {}));
}

/// r6 = a number of 32 bits; `sum` makes r8 of it; when `test` of r8 does not jump, r6 indexes the
/// frame.
Code linked(const Code& sum, const Insn& test) {
    return {load(op::kW, 6, 1, 16),
            sum,
            test,
            mov(1, 10),
            add_k(1, -128),
            alu(op::kAdd, 1, 6),
            store_k(op::kB, 1, 0, 1),
            mov_k(0, 2),
            exit_insn()};
}

void add_sums(Table& t) {
    const Insn narrow = jump32_k(op::kJgt, 8, 63, 4);
    const Insn wide = jump_k(op::kJgt, 8, 63, 4);
    const Code copy32 = alu32(op::kMov, 8, 6);
    const Code copy64 = mov(8, 6);
    t.good("32-bit sum, narrow test", linked({copy32, alu32_k(op::kAdd, 8, -1)}, narrow));
    t.good("32-bit sum, wide test", linked({copy32, alu32_k(op::kAdd, 8, -1)}, wide));
    t.good("32-bit sum of a wide copy", linked({copy64, alu32_k(op::kAdd, 8, -1)}, narrow));
    t.good("64-bit sum, narrow test", linked({copy64, add_k(8, -1)}, narrow));
    t.good("64-bit sum, wide test", linked({copy64, add_k(8, -1)}, wide));
    t.good("32-bit difference", linked({copy32, alu32_k(op::kSub, 8, 1)}, narrow));
    t.good("64-bit difference", linked({copy64, alu_k(op::kSub, 8, 5)}, wide));
    t.bad("32-bit sum that comes round",
          linked({copy32, alu32_k(op::kAdd, 8, 16)}, jump32_k(op::kJgt, 8, 20, 4)),
          "invalid unbounded variable-offset write to stack R1");
    t.bad("sum of a sum",
          linked({copy32, alu32_k(op::kAdd, 8, -1), alu32_k(op::kAdd, 8, -1)}, narrow),
          "invalid unbounded variable-offset write to stack R1");
    t.bad("32-bit sum of a number that has more",
          {load(op::kDw, 6, 10, -8), mov(8, 6), alu32_k(op::kAdd, 8, -1), narrow, mov(1, 10),
           add_k(1, -128), alu(op::kAdd, 1, 6), store_k(op::kB, 1, 0, 1), mov_k(0, 2), exit_insn()},
          "math between fp pointer and register with unbounded min value is not allowed");
}

/// LD_ABS, which no XDP program may reach.
void add_socket_buffer_reads(Table& t) {
    const Insn read = insn(op::kLd | op::kAbs | op::kW, 0, 0, 0, 0);
    t.bad("read of a socket buffer", {read, exit_insn()},
          "BPF_LD_[ABS|IND] instructions not allowed for this program type");
    t.good("read of a socket buffer, not reached",
           {mov_k(0, 2), jump_k(op::kJeq, 0, 2, 1), read, exit_insn()});
    t.bad(
        "read of a socket buffer in a function, not reached",
        {call_function(1), exit_insn(), mov_k(0, 2), jump_k(op::kJeq, 0, 2, 1), read, exit_insn()},
        "LD_ABS is not allowed in subprogs without BTF");
}

}  // namespace

void add_tag_cases(Table& t) {
    add_tags(t);
    add_sums(t);
    add_socket_buffer_reads(t);
}

}  // namespace crema::test
