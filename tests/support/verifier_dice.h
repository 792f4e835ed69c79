// SPDX-License-Identifier: BSD-3-Clause
//
// Programs by dice, of the shape that verifiers find hard: numbers from the packet through random
// arithmetic and comparisons, spilled and filled, then used as offsets into packet, map value and
// frame. About half of them are safe. The same seed gives the same program.
#pragma once

#include <cstdint>

#include "lib/ebpf/program/program.h"

namespace crema::test {

/// Maps of the program: those of case_maps().
[[nodiscard]] ebpf::Program dice_program(std::uint64_t seed);

/// `program` with a few bytes, instructions or fields changed.
[[nodiscard]] ebpf::Program mutated(const ebpf::Program& program, std::uint64_t seed);

}  // namespace crema::test
