// SPDX-License-Identifier: BSD-3-Clause
//
// A program that was proved, and compiled or prepared for the interpreter: what PROG_LOAD leaves in
// the object store. Immutable; shared by whoever attaches it, so maps and machine code live as long
// as the last user.
#pragma once

#include <cstdint>
#include <memory>

#include "lib/ebpf/interpreter/interpreter.h"
#include "lib/ebpf/lowering/dpdk_jit.h"
#include "lib/ebpf/maps/map.h"
#include "lib/ebpf/program/program.h"

namespace crema::ebpf {

/// How programs run.
enum class Engine : std::uint8_t {
    automatic,    // compiled where lowering has rules for the architecture's JIT, else interpreted
    interpreter,  // interpreted
};

/// What programs in one map must have in common.
[[nodiscard]] inline maps::ProgramTraits traits_of(const Program& program) {
    return {.expected_attach_type = program.expected_attach_type, .has_frags = program.has_frags};
}

struct LoadedProgram {
    std::uint32_t id = 0;  // unique in this process, > 0
    Program program;
    lowering::Code code;                              // empty: interpreted
    std::unique_ptr<const interpreter::Image> image;  // null: compiled
    std::uint64_t verified_insns = 0;

    /// A run is entry()(&buff, self()).
    [[nodiscard]] EntryPoint entry() const {
        return image != nullptr ? interpreter::run : code.entry();
    }

    [[nodiscard]] const void* self() const { return image.get(); }
};

}  // namespace crema::ebpf
