// SPDX-License-Identifier: BSD-3-Clause
//
// BPF as the kernel means it, one instruction at a time: the judge of lowered and compiled code in
// tests. Written from the instruction set's semantics alone and shares no code with lowering.
// Serves ISA v1-v3 without fetching atomics, and the helpers redirect and map_lookup_elem on
// arrays. It trusts the program: memory accesses go to the addresses the program computes.
#pragma once

#include <array>
#include <cstdint>
#include <functional>

#include "lib/ebpf/abi/xdp_buff.h"
#include "lib/ebpf/program/program.h"

namespace crema::test {

using Registers = std::array<std::uint64_t, 11>;

struct ReferenceResult {
    bool finished = false;  // false: ran into `steps_max` or an instruction it does not know
    std::uint64_t r0 = 0;
};

/// Called before each executed instruction; `taken`: what a conditional jump is about to do.
using Observer = std::function<void(std::size_t at, const Registers& regs, bool taken)>;

/// Runs the program with r1 = context. Values in the maps of the program are changed.
ReferenceResult run_reference(const ebpf::Program& program,
                              ebpf::XdpBuff& buff,
                              std::uint64_t steps_max,
                              const Observer& observe = {});

}  // namespace crema::test
