// SPDX-License-Identifier: BSD-3-Clause
//
// Cases of verifier_cases() whose functions have types: global functions, callbacks of helpers,
// tail calls in functions; and how much stack a chain of calls may use.
#include "lib/base/check.h"
#include "lib/ebpf/program/btf.h"
#include "lib/ebpf/program/structure.h"
#include "tests/support/btf_writer.h"
#include "tests/support/verifier_table.h"

namespace crema::test {

namespace {

using enum FunctionTypes::Arg;

constexpr int kForEach = 164, kLoop = 181, kTailCall = 12;

Code ld_function(int dst, int off) {
    return std::vector<Insn>{insn(op::kLdImm64, dst, op::kPseudoFunc, 0, off), insn(0, 0, 0, 0, 0)};
}

/// A frame of `bytes` is touched.
Insn touch(int bytes) {
    return store_k(op::kDw, 10, -bytes, 0);
}

void add_globals(Table& t) {
    const std::vector<FunctionTypes> takes_number{{}, {.global = true, .args = {number}}};
    t.good("global function",
           {mov_k(1, 3), call_function(2), mov_k(0, 2), exit_insn(), mov(0, 1), exit_insn()});
    t.typed(takes_number);
    t.bad("global result is unknown",
          {mov_k(1, 3), call_function(4), jump_k(op::kJeq, 0, 3, 1), load(op::kW, 0, 9, 0),
           mov_k(0, 2), exit_insn(), mov(0, 1), exit_insn()},
          "R9 !read_ok");
    t.typed(takes_number);
    t.bad("pointer for a number", {call_function(1), exit_insn(), mov_k(0, 1), exit_insn()},
          "R1 is not a scalar");
    t.typed(takes_number);
    t.bad("global argument is unknown",
          {mov_k(1, 0), call_function(1), exit_insn(), mov_k(0, 0), alu(op::kAdd, 10, 1),
           exit_insn()},
          "frame pointer is read only");
    t.typed(takes_number);
    t.bad("global function is judged without its caller",
          {mov_k(1, 0), call_function(1), exit_insn(), mov_k(0, 0), mov(2, 10), alu(op::kAdd, 2, 1),
           load(op::kB, 0, 2, -1), exit_insn()},
          "math between fp pointer");
    t.typed(takes_number);
    const std::vector<FunctionTypes> takes_context{{}, {.global = true, .args = {context}}};
    t.good("context argument",
           {call_function(1), exit_insn(), load(op::kW, 0, 1, 12), exit_insn()});
    t.typed(takes_context);
    t.bad("number for the context",
          {mov_k(1, 0), call_function(1), exit_insn(), load(op::kW, 0, 1, 12), exit_insn()},
          "arg#0 expects pointer to ctx");
    t.typed(takes_context);
    t.bad("packet is stale after a global function that moves it",
          {packet_with(14), mov(6, 2), call_function(3), load(op::kB, 0, 6, 0), mov_k(0, 2),
           exit_insn(), mov_k(2, 0), call(kAdjustHead), exit_insn()},
          "R6 invalid mem access 'scalar'");
    t.typed(takes_context);
    t.good("packet stays after one that does not",
           {packet_with(14), mov(6, 2), call_function(3), load(op::kB, 0, 6, 0), mov_k(0, 2),
            exit_insn(), mov_k(0, 0), exit_insn()});
    t.typed(takes_context);
    const std::vector<FunctionTypes> takes_memory{{}, {.global = true, .args = {memory}}};
    t.good("memory argument",
           {mov(1, 10), add_k(1, -8), call_function(2), mov_k(0, 2), exit_insn(),
            jump_k(op::kJeq, 1, 0, 1), store_k(op::kDw, 1, 0, 5), mov_k(0, 0), exit_insn()});
    t.typed(takes_memory);
    t.bad("memory argument not tested",
          {mov(1, 10), add_k(1, -8), call_function(2), mov_k(0, 2), exit_insn(),
           store_k(op::kDw, 1, 0, 5), mov_k(0, 0), exit_insn()},
          "R1 invalid mem access 'mem_or_null'");
    t.typed(takes_memory);
    t.bad("beyond the memory argument",
          {mov(1, 10), add_k(1, -8), call_function(2), mov_k(0, 2), exit_insn(),
           jump_k(op::kJeq, 1, 0, 1), store_k(op::kDw, 1, 1, 5), mov_k(0, 0), exit_insn()},
          "invalid access to memory, mem_size=8 off=1 size=8");
    t.typed(takes_memory);
    t.good("null for a memory argument",
           {mov_k(1, 0), call_function(2), mov_k(0, 2), exit_insn(), mov_k(0, 0), exit_insn()});
    t.typed(takes_memory);
    // The kernel lets a plain zero pass here, and the function dereferences it.
    t.unserved("null for one that must be there",
               {mov_k(1, 0), call_function(2), mov_k(0, 2), exit_insn(), mov_k(0, 0), exit_insn()},
               "arg#0 is expected to be non-NULL");
    t.typed({{}, {.global = true, .args = {nonnull_memory}}});
    t.bad("memory too small",
          {mov(1, 10), add_k(1, -4), call_function(2), mov_k(0, 2), exit_insn(), mov_k(0, 0),
           exit_insn()},
          "R1 off=-4 size=8");
    t.typed(takes_memory);
    t.bad("what a global function may have written is unknown",
          {store_k(op::kDw, 10, -8, 1), mov(1, 10), add_k(1, -8), call_function(5),
           load(op::kDw, 1, 10, -8), jump_k(op::kJeq, 1, 1, 1), load(op::kW, 0, 9, 0), mov_k(0, 2),
           exit_insn(), mov_k(0, 0), exit_insn()},
          "R9 !read_ok");
    t.typed(takes_memory);
    t.bad("structure by value",
          {mov_k(1, 0), call_function(1), exit_insn(), mov_k(0, 0), exit_insn()},
          "is not supported yet");
    t.typed({{}, {.global = true, .args = {structure}}});
    t.bad("global result is a pointer", {call_function(1), exit_insn(), mov(0, 1), exit_insn()},
          "At subprogram exit the register R0 is not a scalar value");
    t.typed(takes_context);
    t.good("a global function nobody reaches is not judged",
           {mov_k(6, 0), jump_k(op::kJeq, 6, 0, 2), mov_k(1, 0), call_function(2), mov_k(0, 2),
            exit_insn(), load(op::kW, 0, 1, 12), exit_insn()});
    t.typed(takes_number);
    t.good("global calls global", {mov_k(1, 1), call_function(2), mov_k(0, 2), exit_insn(),
                                   call_function(1), exit_insn(), mov(0, 1), exit_insn()});
    t.typed({{}, {.global = true, .args = {number}}, {.global = true, .args = {number}}});
}

void add_elements_in_turn(Table& t) {
    const std::vector<FunctionTypes> none{};
    t.good("element by element", {ld_map(1, kArrayMap), ld_function(2, 6), mov_k(3, 0), mov_k(4, 0),
                                  call(kForEach), mov_k(0, 2), exit_insn(), load(op::kW, 0, 2, 0),
                                  load(op::kDw, 0, 3, 8), mov_k(0, 1), exit_insn()});
    t.typed(none);
    t.good("element by element, per CPU",
           {ld_map(1, kPercpuMap), ld_function(2, 6), mov_k(3, 0), mov_k(4, 0), call(kForEach),
            mov_k(0, 2), exit_insn(), load(op::kDw, 0, 3, 0), mov_k(0, 1), exit_insn()});
    t.typed(none);
    for (const int map : {kDevMap, kCpuMap, kProgMap}) {
        t.bad("element by element of a map without",
              {ld_map(1, map), ld_function(2, 6), mov_k(3, 0), mov_k(4, 0), call(kForEach),
               mov_k(0, 2), exit_insn(), mov_k(0, 1), exit_insn()},
              "callback function not allowed for map");
        t.typed(none);
    }
    t.bad("beyond the element",
          {ld_map(1, kArrayMap), ld_function(2, 6), mov_k(3, 0), mov_k(4, 0), call(kForEach),
           mov_k(0, 2), exit_insn(), load(op::kDw, 0, 3, 16), mov_k(0, 1), exit_insn()},
          "invalid access to map value, value_size=16 off=16 size=8");
    t.typed(none);
    t.bad("key written",
          {ld_map(1, kArrayMap), ld_function(2, 6), mov_k(3, 0), mov_k(4, 0), call(kForEach),
           mov_k(0, 2), exit_insn(), store_k(op::kW, 2, 0, 1), mov_k(0, 1), exit_insn()},
          "write to change key R2 not allowed");
    t.typed(none);
    t.bad("beyond the key",
          {ld_map(1, kArrayMap), ld_function(2, 6), mov_k(3, 0), mov_k(4, 0), call(kForEach),
           mov_k(0, 2), exit_insn(), load(op::kDw, 0, 2, 0), mov_k(0, 1), exit_insn()},
          "invalid access to map key, key_size=4 off=0 size=8");
    t.typed(none);
}

void add_callbacks(Table& t) {
    const std::vector<FunctionTypes> none{};
    t.good("loop", {mov_k(1, 10), ld_function(2, 6), mov_k(3, 0), mov_k(4, 0), call(kLoop),
                    mov_k(0, 2), exit_insn(), mov_k(0, 0), exit_insn()});
    t.typed(none);
    t.bad("callback without types",
          {mov_k(1, 10), ld_function(2, 6), mov_k(3, 0), mov_k(4, 0), call(kLoop), mov_k(0, 2),
           exit_insn(), mov_k(0, 0), exit_insn()},
          "missing btf func_info");
    t.bad("callback returns 7",
          {mov_k(1, 10), ld_function(2, 6), mov_k(3, 0), mov_k(4, 0), call(kLoop), mov_k(0, 2),
           exit_insn(), mov_k(0, 7), exit_insn()},
          "At callback return the register R0 has smin=7 smax=7 should have been in [0, 1]");
    t.typed(none);
    t.bad("callback returns anything",
          {mov_k(1, 10), ld_function(2, 6), mov_k(3, 0), mov_k(4, 0), call(kLoop), mov_k(0, 2),
           exit_insn(), mov(0, 1), exit_insn()},
          "At callback return the register R0 has unknown scalar value should have been in [0, 1]");
    t.typed(none);
    t.bad("callback is a global function",
          {mov_k(1, 10), ld_function(2, 6), mov_k(3, 0), mov_k(4, 0), call(kLoop), mov_k(0, 2),
           exit_insn(), mov_k(0, 0), exit_insn()},
          "callback function not static");
    t.typed({{}, {.global = true, .args = {number}}});
    t.bad("number as callback",
          {mov_k(1, 10), mov_k(2, 6), mov_k(3, 0), mov_k(4, 0), call(kLoop), mov_k(0, 2),
           exit_insn()},
          "R2 type=scalar expected=func");
    t.good(
        "callback counts in the caller's frame",
        {store_k(op::kDw, 10, -8, 0), mov_k(1, 1000), ld_function(2, 7), mov(3, 10), add_k(3, -8),
         mov_k(4, 0), call(kLoop), mov_k(0, 2), exit_insn(), load(op::kDw, 1, 2, 0), add_k(1, 1),
         store(op::kDw, 2, 0, 1), mov_k(0, 0), exit_insn()});
    t.typed(none);
    t.bad("what a callback counts is unknown afterwards",
          {store_k(op::kDw, 10, -8, 0), mov_k(1, 1000), ld_function(2, 11), mov(3, 10),
           add_k(3, -8), mov_k(4, 0), call(kLoop), load(op::kDw, 1, 10, -8),
           ld_map_value(2, kGlobalMap, 0), alu(op::kAdd, 2, 1), load(op::kB, 0, 2, 0), exit_insn(),
           load(op::kDw, 1, 2, 0), add_k(1, 1), store(op::kDw, 2, 0, 1), mov_k(0, 0), exit_insn()},
          "R2");
    t.typed(none);
    t.bad("second run of a callback is judged",
          {store_k(op::kDw, 10, -8, 0), mov_k(1, 1000), ld_function(2, 7), mov(3, 10), add_k(3, -8),
           mov_k(4, 0), call(kLoop), mov_k(0, 2), exit_insn(), load(op::kDw, 1, 2, 0),
           jump_k(op::kJeq, 1, 0, 1), load(op::kW, 0, 9, 0), store_k(op::kDw, 2, 0, 1), mov_k(0, 0),
           exit_insn()},
          "R9 !read_ok");
    t.typed(none);
    t.good("third run does not come when only two may",
           {store_k(op::kDw, 10, -8, 0), mov_k(1, 2), ld_function(2, 7), mov(3, 10), add_k(3, -8),
            mov_k(4, 0), call(kLoop), mov_k(0, 2), exit_insn(), load(op::kDw, 1, 2, 0),
            jump_k(op::kJne, 1, 2, 1), load(op::kW, 0, 9, 0), add_k(1, 1), store(op::kDw, 2, 0, 1),
            mov_k(0, 0), exit_insn()});
    t.typed(none);
    t.good("no run of a callback is judged when none comes",
           {mov_k(1, 0), ld_function(2, 6), mov_k(3, 0), mov_k(4, 0), call(kLoop), mov_k(0, 2),
            exit_insn(), mov(0, 9), exit_insn()});
    t.typed(none);
    t.bad("packet moved in a callback",
          {packet_with(14), mov(6, 2), store(op::kDw, 10, -8, 1), mov_k(1, 10), ld_function(2, 8),
           mov(3, 10), add_k(3, -8), mov_k(4, 0), call(kLoop), load(op::kB, 0, 6, 0), mov_k(0, 2),
           exit_insn(), load(op::kDw, 1, 2, 0), mov_k(2, 0), call(kAdjustHead), mov_k(0, 0),
           exit_insn()},
          "R6 invalid mem access 'scalar'");
    t.typed(none);
    t.good("callback in a callback",
           {mov_k(1, 10), ld_function(2, 6), mov_k(3, 0), mov_k(4, 0), call(kLoop), mov_k(0, 2),
            exit_insn(),
            // runs another loop
            mov_k(1, 5), ld_function(2, 6), mov_k(3, 0), mov_k(4, 0), call(kLoop), mov_k(0, 0),
            exit_insn(), mov_k(0, 1), exit_insn()});
    t.typed(none);
}

void add_chains(Table& t) {
    t.good("two frames in 512 bytes",
           {touch(256), call_function(1), exit_insn(), touch(256), mov_k(0, 0), exit_insn()});
    t.bad("two frames beyond 512 bytes",
          {touch(264), call_function(1), exit_insn(), touch(256), mov_k(0, 0), exit_insn()},
          "combined stack size of 2 calls is 528. Too large");
    t.bad("callee's part of a caller's frame counts for the caller",
          {mov(1, 10), call_function(1), exit_insn(), store_k(op::kDw, 1, -320, 0), touch(200),
           mov_k(0, 0), exit_insn()},
          "combined stack size of 2 calls is 528. Too large");
    t.bad("recursion that is never walked",
          {mov_k(0, 0), jump_k(op::kJeq, 0, 0, 1), call_function(1), exit_insn(), call_function(-1),
           exit_insn()},
          "the call stack of 8 frames is too deep !");
    t.bad("tail call in a function without types",
          {call_function(2), mov_k(0, 2), exit_insn(), mov_k(0, 0), call(kTailCall), exit_insn()},
          "tail_call is not allowed in subprogs without BTF");
}

/// Four slots: R1 is the context.
Code tail_call() {
    return {ld_map(2, kProgMap), mov_k(3, 0), call(kTailCall)};
}

void add_tail_calls(Table& t) {
    const std::vector<FunctionTypes> none{};
    t.good("tail call", {tail_call(), mov_k(0, 2), exit_insn()});
    t.bad("a tail call that fails leaves no result", {tail_call(), exit_insn()}, "R0 !read_ok");
    t.good("packet after a tail call that failed",
           {packet_with(14), mov(6, 2), tail_call(), load(op::kB, 0, 6, 0), exit_insn()});
    t.good("tail call in a function",
           {call_function(2), mov_k(0, 2), exit_insn(), tail_call(), mov_k(0, 0), exit_insn()});
    t.typed(none);
    t.bad("tail call in a function of no result",
          {call_function(2), mov_k(0, 2), exit_insn(), tail_call(), mov_k(0, 0), exit_insn()},
          "tail_call is only allowed in functions that return 'int'.");
    t.typed({{}, {.returns_void = true}});
    t.bad("packet after a function that tail-calls",
          {packet_with(14), mov(6, 2), call_function(3), load(op::kB, 0, 6, 0), mov_k(0, 2),
           exit_insn(), tail_call(), mov_k(0, 0), exit_insn()},
          "R6 invalid mem access 'scalar'");
    t.typed(none);
    // Who was tail-called returns what it likes.
    t.bad("result of a function that tail-calls",
          {call_function(4), jump_k(op::kJeq, 0, 4, 1), load(op::kW, 0, 9, 0), mov_k(0, 2),
           exit_insn(), tail_call(), mov_k(0, 4), exit_insn()},
          "R9 !read_ok");
    t.typed(none);
    t.good("tail call below 240 bytes", {touch(240), call_function(2), mov_k(0, 2), exit_insn(),
                                         tail_call(), mov_k(0, 0), exit_insn()});
    t.typed(none);
    t.bad("tail call below 256 bytes",
          {touch(256), call_function(2), mov_k(0, 2), exit_insn(), tail_call(), mov_k(0, 0),
           exit_insn()},
          "tail_calls are not allowed when call stack of previous frames is 256 bytes. Too large");
    t.typed(none);
    t.bad("tail call in a callback",
          {store(op::kDw, 10, -8, 1), mov_k(1, 10), ld_function(2, 7), mov(3, 10), add_k(3, -8),
           mov_k(4, 0), call(kLoop), mov_k(0, 2), exit_insn(), load(op::kDw, 1, 2, 0), tail_call(),
           mov_k(0, 0), exit_insn()},
          "tail_call");
    t.typed(none);
}

std::uint32_t type_of(BtfWriter& btf, FunctionTypes::Arg arg, std::uint32_t number_type) {
    switch (arg) {
        case number:
            return number_type;
        case context:
            return btf.reference(ebpf::BtfKind::pointer, "",
                                 btf.structure("xdp_md", 4, {{"data", number_type, 0}}));
        case structure:
            return btf.structure("pair", 4, {{"first", number_type, 0}});
        case nothing:
            return btf.reference(ebpf::BtfKind::pointer, "", 0);
        case FunctionTypes::Arg::dynptr:
            return btf.reference(ebpf::BtfKind::pointer, "",
                                 btf.structure("bpf_dynptr", 16, {{"opaque", number_type, 0}}));
        default:
            return btf.reference(ebpf::BtfKind::pointer, "",
                                 btf.structure("eight", 8, {{"a", number_type, 0}}));
    }
}

}  // namespace

void give_types(ebpf::Program& program, const std::vector<FunctionTypes>& types) {
    (void)ebpf::find_functions(program);
    BtfWriter btf;
    const std::uint32_t number_type = btf.integer("int", 4);
    for (std::size_t n = 0; n < program.functions.size(); ++n) {
        ebpf::Function& function = program.functions[n];
        const FunctionTypes of = n < types.size() ? types[n] : FunctionTypes{};
        std::vector<BtfWriter::Param> params;
        for (const FunctionTypes::Arg arg : of.args) {
            params.push_back({"p", type_of(btf, arg, number_type)});
        }
        const std::uint32_t proto = btf.proto(of.returns_void ? 0 : number_type, params);
        function.name = "f" + std::to_string(n);
        function.btf_type = btf.function(function.name, proto,
                                         of.global || n == 0 ? ebpf::kBtfGlobal : ebpf::kBtfStatic);
        for (std::size_t i = 0; i < of.args.size(); ++i) {
            if (of.args[i] == nonnull_memory) {
                btf.decl_tag("arg:nonnull", function.btf_type, static_cast<std::int32_t>(i));
            }
        }
        for (const char* tag : of.tags) {
            btf.decl_tag(tag, function.btf_type, 0);
        }
    }
    auto parsed = ebpf::Btf::parse(btf.bytes());
    CREMA_CHECK(parsed.has_value());
    program.btf = *parsed;
}

void add_typed_cases(Table& t) {
    add_globals(t);
    add_callbacks(t);
    add_elements_in_turn(t);
    add_chains(t);
    add_tail_calls(t);
}

}  // namespace crema::test
