// SPDX-License-Identifier: BSD-3-Clause
//
// What is told about objects in more than one place: OBJ_GET_INFO_BY_FD and fdinfo.
#pragma once

#include <cstdint>
#include <string>

#include "lib/ebpf/maps/map.h"
#include "lib/ebpf/program/program.h"
#include "lib/ebpf/syscall/loaded_program.h"

namespace crema::ebpf::syscall {

/// Bytes that the map's keys and values can fill. The kernel's number has its own overhead in it.
[[nodiscard]] std::uint64_t value_bytes_of(const maps::Map& map);

/// Memory of a program, in whole pages.
[[nodiscard]] std::uint64_t whole_pages(const LoadedProgram& program);

/// In hexadecimal digits.
[[nodiscard]] std::string tag_text(const ProgramTag& tag);

}  // namespace crema::ebpf::syscall
