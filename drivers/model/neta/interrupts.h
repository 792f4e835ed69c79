// SPDX-License-Identifier: BSD-3-Clause
//
// The cause registers as levels: queue bits follow the counters, thresholds and coalescing time,
// OLD queue bits and MISC bits are latched elsewhere. Computed when somebody looks; who serves the
// model to another process looks after each step and delivers (lib/vfio/user).
// Source: hardware page 2.3.8, 4.6.
#pragma once

#include <cstdint>

#include "drivers/model/neta/chip.h"

namespace crema::neta::model {

[[nodiscard]] std::uint32_t new_cause(const Chip& chip);
[[nodiscard]] std::uint32_t old_cause(const Chip& chip);

/// The interrupt line of the port.
[[nodiscard]] bool interrupt_level(const Chip& chip);

/// Nanoseconds until a queue's coalescing time runs out and lets its frames show, INT64_MAX when no
/// queue waits for that.
[[nodiscard]] std::int64_t coalescing_left(const Chip& chip);

}  // namespace crema::neta::model
