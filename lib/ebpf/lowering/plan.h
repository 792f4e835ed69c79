// SPDX-License-Identifier: BSD-3-Clause
//
// How each call is compiled: as a call of a native function, or, for lookups in arrays, as a few
// instructions. Keys that are constants on the stack are found by a simple forward scan between
// places where paths join; such a lookup is a constant address, and the null check after it goes.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "lib/ebpf/lowering/flow.h"
#include "lib/ebpf/program/program.h"
#include "lib/ebpf/verifier/verify.h"

namespace crema::ebpf::lowering {

struct CallPlan {
    enum class Kind : std::uint8_t { native, array, percpu_array, processor_id };
    Kind kind = Kind::native;
    std::optional<std::uint32_t> key;  // arrays: when it is a constant
};

struct FunctionPlan {
    bool needs_context = false;  // some call needs the XdpBuff of the run
    bool needs_counter = false;  // may_goto
};

struct Plan {
    std::vector<CallPlan> calls;             // by slot
    std::vector<verifier::Branch> branches;  // by slot: the proof's, and null checks that fold
    std::vector<RegSet> call_reads;          // by slot
    std::vector<FunctionPlan> functions;     // as in Program::functions
    bool shares_context = false;             // a function other than the first needs the XdpBuff
};

[[nodiscard]] Plan make_plan(const Program& program,
                             const verifier::Proof& proof,
                             const Flow& flow,
                             std::span<const Function> functions);

}  // namespace crema::ebpf::lowering
