// SPDX-License-Identifier: BSD-3-Clause
//
// Rewrites a proved program into the dialect that DPDK's JIT translates correctly (the JIT accepts
// more than it gets right), binding maps to addresses and helper calls to native functions.
#pragma once

#include <cstdint>
#include <vector>

#include "lib/base/result.h"
#include "lib/ebpf/helpers/prototypes.h"
#include "lib/ebpf/program/program.h"
#include "lib/ebpf/verifier/verify.h"

namespace crema::ebpf::lowering {

inline constexpr std::uint32_t kNoOrigin = UINT32_MAX;

struct Lowered {
    std::vector<Insn> insns;               // calls: imm is an index into `natives`
    std::vector<std::uint32_t> origins{};  // by slot of `insns`: slot of the program, or kNoOrigin
    std::vector<helpers::Native> natives;
    std::uint32_t stack_bytes = 0;  // frame incl. own slots, aligned for helper calls
};

/// Refuses (ENOTSUP) anything it has no rule for; never passes an unknown field on to the JIT.
[[nodiscard]] Result<Lowered> lower(const Program& program, const verifier::Proof& proof);

}  // namespace crema::ebpf::lowering
