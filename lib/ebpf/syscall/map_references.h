// SPDX-License-Identifier: BSD-3-Clause
//
// Turns the map descriptors in a program's instructions into indices of Program::maps. Done at
// once in PROG_LOAD: the descriptors are only surely valid during the call.
#pragma once

#include <cstdint>

#include "lib/base/result.h"
#include "lib/ebpf/program/program.h"

namespace crema::ebpf::syscall {

/// Brings program.insns to the normal form of program.h and fills program.maps.
/// fd_array: the caller's array of descriptors, for references by index; may be 0.
/// Errors name the instruction. EBADF, EINVAL as in the kernel; E2BIG more than 64 maps.
[[nodiscard]] Status resolve_maps(Program& program, std::uint64_t fd_array);

}  // namespace crema::ebpf::syscall
