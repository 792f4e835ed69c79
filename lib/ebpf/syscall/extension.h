// SPDX-License-Identifier: BSD-3-Clause
//
// Extensions (freplace, BPF_PROG_TYPE_EXT): programs that stand for a global function of another
// program. Which function that is, and whether the extension may: the kernel's rules and words.
#pragma once

#include <cstdint>
#include <memory>

#include "lib/base/result.h"
#include "lib/ebpf/program/program.h"
#include "lib/ebpf/syscall/loaded_program.h"

namespace crema::ebpf::syscall {

/// A function of a loaded program.
struct ReplacedFunction {
    std::shared_ptr<const LoadedProgram> program;
    std::uint32_t btf_type = 0;
    std::uint32_t function = 0;  // index in Program::functions
};

/// The function that a BTF type of `target` names (target null: a function of the kernel). EINVAL:
/// there is none, it cannot be replaced, or `extension` differs from it in arguments or result.
[[nodiscard]] Result<ReplacedFunction> find_replaced(std::shared_ptr<const LoadedProgram> target,
                                                     std::uint32_t btf_type,
                                                     const Program& extension);

/// Whether `extension` gets what it was proved with where it stands for `function` of `target`. The
/// kernel compares names of types; sizes and tags of arguments decide, too. EINVAL.
[[nodiscard]] Status check_arguments(const LoadedProgram& target,
                                     std::uint32_t function,
                                     const LoadedProgram& extension);

}  // namespace crema::ebpf::syscall
