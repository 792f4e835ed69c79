// SPDX-License-Identifier: BSD-3-Clause
//
// Random XDP programs that every verifier must accept, of everything that `features` allows. The
// same seed and features make the same program.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "lib/ebpf/maps/map.h"
#include "lib/ebpf/program/program.h"
#include "tests/fuzz/features.h"

namespace crema::test::fuzz {

/// maps: by the indices of stage_maps.h. Of the program's functions only the types of global ones
/// are filled in, in their order: see function_types.h.
[[nodiscard]] ebpf::Program generate(std::uint64_t seed,
                                     const Features& features,
                                     const std::vector<std::shared_ptr<ebpf::maps::Map>>& maps);

}  // namespace crema::test::fuzz
