// SPDX-License-Identifier: BSD-3-Clause
//
// The cause registers as levels: queue bits follow the counters, thresholds and coalescing time,
// OLD queue bits and MISC bits are latched elsewhere. Computed when somebody looks; nothing is
// delivered here (polled by in-process drivers).
// Source: hardware page 2.3.8, 4.6.
#pragma once

#include <cstdint>

#include "drivers/model/neta/chip.h"

namespace crema::neta::model {

[[nodiscard]] std::uint32_t new_cause(const Chip& chip);
[[nodiscard]] std::uint32_t old_cause(const Chip& chip);

/// The interrupt line of the port.
[[nodiscard]] bool interrupt_level(const Chip& chip);

}  // namespace crema::neta::model
