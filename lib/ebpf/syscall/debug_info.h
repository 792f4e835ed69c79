// SPDX-License-Identifier: BSD-3-Clause
//
// What PROG_LOAD says about a program beside its instructions: the BTF function of each function,
// and source lines. Only function types decide anything (global functions are proved from them);
// the records of both are checked as the kernel checks them.
#pragma once

#include "lib/base/result.h"
#include "lib/ebpf/program/program.h"
#include "lib/ebpf/syscall/loaded_program.h"

union bpf_attr;

namespace crema::ebpf::syscall {

/// Sets program.btf, names and types of program.functions, program.lines, and the records of both.
/// The functions' places are known before (none: one function). Errors are the kernel's.
[[nodiscard]] Status read_debug_info(const bpf_attr& attr, Program& program, DebugRecords& records);

}  // namespace crema::ebpf::syscall
