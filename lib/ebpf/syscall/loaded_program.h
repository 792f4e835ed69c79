// SPDX-License-Identifier: BSD-3-Clause
//
// A program that was proved and compiled: what PROG_LOAD leaves in the object store. Immutable;
// shared by whoever attaches it, so maps and machine code live as long as the last user.
#pragma once

#include <cstdint>

#include "lib/ebpf/lowering/dpdk_jit.h"
#include "lib/ebpf/program/program.h"

namespace crema::ebpf {

struct LoadedProgram {
    std::uint32_t id = 0;  // unique in this process, > 0
    Program program;
    lowering::Code code;
    std::uint64_t verified_insns = 0;

    /// A run is entry()(&buff, self()).
    [[nodiscard]] EntryPoint entry() const { return code.entry(); }

    [[nodiscard]] const void* self() const { return nullptr; }
};

}  // namespace crema::ebpf
