// SPDX-License-Identifier: BSD-3-Clause
//
// Programs that call one helper with arguments by dice: pointers of every kind that a program can
// have, numbers around every limit, memory written, half written and not written. What comes back
// is used, then given back or not. The same seed gives the same program.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "lib/ebpf/program/program.h"

namespace crema::test {

[[nodiscard]] ebpf::Program call_dice_program(std::uint64_t seed);

}  // namespace crema::test
