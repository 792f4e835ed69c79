// SPDX-License-Identifier: BSD-3-Clause
//
// Instructions that leave registers and memory as a straight piece of code does (straight_run.h),
// with accesses as wide as its bytes allow: first what reads memory that is written later, then
// the stores, each with its load in front, then the rest.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "lib/ebpf/lowering/straight_run.h"

namespace crema::ebpf::lowering {

struct Rebuilt {
    std::vector<Insn> insns;     // LD_IMM64: two slots
    std::uint32_t accesses = 0;  // loads and stores among them
    std::uint32_t steps = 0;     // instructions
    /// insns is empty: the piece can be had in front of instruction number `cut`, perhaps; 0: no.
    std::uint32_t cut = 0;
};

/// live: registers that are read behind the piece.
[[nodiscard]] Rebuilt rebuild(const StraightRun& run, RegSet live);

}  // namespace crema::ebpf::lowering
