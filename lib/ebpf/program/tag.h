// SPDX-License-Identifier: BSD-3-Clause
//
// The tag of a program: what `bpftool prog show` prints, the same for equal instructions. It is the
// start of a digest over the instructions as they are handed over, with references to maps left
// out; SHA-256 since kernel 6.18, SHA-1 before.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "lib/ebpf/program/instruction.h"

namespace crema::ebpf {

using ProgramTag = std::array<std::uint8_t, 8>;

/// insns: as in PROG_LOAD, with descriptors of maps.
[[nodiscard]] ProgramTag tag_of(std::span<const Insn> insns);

}  // namespace crema::ebpf
