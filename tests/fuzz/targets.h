// SPDX-License-Identifier: BSD-3-Clause
//
// What random programs tail-call: a few fixed programs that leave traces, call each other and
// themselves up to the limit of a run, and tail-call out of a function.
#pragma once

#include <cstdint>
#include <vector>

#include "lib/ebpf/program/program.h"
#include "tests/fuzz/stage.h"

namespace crema::test::fuzz {

/// By slot of the map kProgramsMap; the slots behind them stay empty.
[[nodiscard]] std::vector<ebpf::Program> tail_targets(const Maps& maps);

/// Maps of theirs, as maps_used() says it.
inline constexpr std::uint32_t kTargetMaps = 1U << kGlobalMap | 1U << kSinkMap;

/// Puts them, for our own runs, into `compiled` and `interpreted`, two maps like kProgramsMap.
void put_targets(const std::vector<ebpf::Program>& targets,
                 ebpf::maps::Map& compiled,
                 ebpf::maps::Map& interpreted);

}  // namespace crema::test::fuzz
