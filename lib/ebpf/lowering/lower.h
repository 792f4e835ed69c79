// SPDX-License-Identifier: BSD-3-Clause
//
// Rewrites a proved program into the dialect that DPDK's JIT translates correctly (the JIT accepts
// more than it gets right), binding maps to addresses and helper calls to native functions. Each
// function of the program becomes one program of the JIT; a call of it is a call of its machine
// code.
#pragma once

#include <cstdint>
#include <vector>

#include "lib/base/result.h"
#include "lib/ebpf/helpers/prototypes.h"
#include "lib/ebpf/program/program.h"
#include "lib/ebpf/verifier/verify.h"

namespace crema::ebpf::lowering {

inline constexpr std::uint32_t kNoOrigin = UINT32_MAX;

/// natives[native] is the machine code of `function`, an earlier one in Lowered::functions.
struct Callee {
    std::uint32_t native = 0;
    std::uint32_t function = 0;
};

/// The LD_IMM64 at `insn` gets the place where the address of `function`, any one in
/// Lowered::functions, will be found: a callback may name itself.
struct AddressOf {
    std::uint32_t insn = 0;
    std::uint32_t function = 0;
};

struct LoweredFunction {
    std::vector<Insn> insns;               // calls: imm is an index into `natives`
    std::vector<std::uint32_t> origins{};  // by slot of `insns`: slot of the program, or kNoOrigin
    std::vector<helpers::Native> natives;  // null where a Callee says so
    std::vector<Callee> callees{};
    std::vector<AddressOf> addresses{};
    std::uint32_t stack_bytes = 0;  // frame incl. own slots, aligned for helper calls
    std::uint32_t function = 0;     // index in Program::functions
    bool is_replaceable = false;    // calls of it look up what runs (gates.h)
};

struct Lowered {
    std::vector<LoweredFunction> functions;  // callees first; a run starts in the last one
};

/// Refuses (ENOTSUP) anything it has no rule for; never passes an unknown field on to the JIT.
[[nodiscard]] Result<Lowered> lower(const Program& program, const verifier::Proof& proof);

}  // namespace crema::ebpf::lowering
