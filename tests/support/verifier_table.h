// SPDX-License-Identifier: BSD-3-Clause
//
// How verifier_cases() is written down: the table being filled and the fragments that its parts
// share. One file per subject adds its cases.
#pragma once

#include <utility>
#include <vector>

#include "tests/support/asm.h"
#include "tests/support/verifier_cases.h"

namespace crema::test {

// Helper ids.
inline constexpr int kLookup = 1, kRedirect = 23, kAdjustHead = 44, kRedirectMap = 51;

/// Types of a function for typed(): what it takes and gives, and whether it is global.
struct FunctionTypes {
    enum class Arg { number, context, memory, nonnull_memory, structure, nothing, dynptr };

    bool global = false;
    std::vector<Arg> args{};
    bool returns_void = false;
    std::vector<const char*> tags{};  // of the first argument: "arg:ctx"
};

/// Gives `program` BTF with one record per function, in their order; missing ones are static
/// functions of no arguments. Memory arguments point to eight bytes.
void give_types(ebpf::Program& program, const std::vector<FunctionTypes>& types);

class Table {
  public:
    void good(const char* name, const Code& code) { add(name, code, "", true); }

    void bad(const char* name, const Code& code, const char* reason) {
        add(name, code, reason, true);
    }

    void unserved(const char* name, const Code& code, const char* reason) {
        add(name, code, reason, false);
    }

    /// The case added last gets types for its functions.
    void typed(const std::vector<FunctionTypes>& types) { give_types(last().program, types); }

    VerifierCase& last() { return cases_.back(); }

    std::vector<VerifierCase> take() { return std::move(cases_); }

  private:
    void add(const char* name, const Code& code, const char* reason, bool kernel_agrees) {
        VerifierCase c;
        c.name = name;
        c.program = program_of(code);
        c.program.maps = case_maps();
        c.refusal = reason;
        c.kernel_agrees = kernel_agrees;
        cases_.push_back(std::move(c));
    }

    std::vector<VerifierCase> cases_;
};

inline const Code pass_insns{mov_k(0, 2), exit_insn()};

/// r2 = data, r3 = data_end.
inline const Code packet_insns{load(op::kW, 2, 1, 0), load(op::kW, 3, 1, 4)};

/// r2 = data with `bytes` proved, else leaves with 1; r3 = data_end, r4 clobbered.
inline Code packet_with(int bytes) {
    return {packet_insns, mov(4, 2),  add_k(4, bytes), jump(op::kJle, 4, 3, 2),
            mov_k(0, 1),  exit_insn()};
}

/// r0 = lookup(map, key in the frame); key is unknown.
inline Code lookup_unknown(int map) {
    return {load(op::kW, 6, 1, 16), store(op::kW, 10, -4, 6), mov(2, 10),
            add_k(2, -4),           ld_map(1, map),           call(kLookup)};
}

/// As lookup_unknown, and leaves with 1 when there is none.
inline Code lookup_checked(int map) {
    return {lookup_unknown(map), jump_k(op::kJne, 0, 0, 2), mov_k(0, 1), exit_insn()};
}

/// The parts of the table that have a file of their own.
void add_function_cases(Table& t);   // calls between functions of the program
void add_typed_cases(Table& t);      // global functions, callbacks, tail calls
void add_loop_cases(Table& t);       // loops that converge
void add_tag_cases(Table& t);        // tagged arguments of global functions
void add_kfunc_cases(Table& t);      // kernel functions
void add_iterator_cases(Table& t);   // open-coded iterators
void add_sample_cases(Table& t);     // callbacks of user ring buffers
void add_call_cases(Table& t);       // arguments and results of helpers
void add_alignment_cases(Table& t);  // programs that ask for strict alignment

}  // namespace crema::test
