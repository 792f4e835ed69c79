// SPDX-License-Identifier: BSD-3-Clause
//
// The cause and mask registers as a CPU sees them. Queue bits of NEW are levels that follow the
// counters, thresholds and coalescing time; OLD queue bits and MISC bits are latched by the
// engines. Computed when somebody looks; who serves the model to another process looks after each
// step and delivers (lib/vfio/user). Variants without banks have one CPU here, number 0. Source:
// hardware page 1.5, 2.3.8, 4.6, 10.10, 10.47.
#pragma once

#include <cstdint>

#include "drivers/model/neta/chip.h"

namespace crema::neta::model {

/// offset: INTR_NEW_CAUSE to INTR_MISC_MASK.
[[nodiscard]] std::uint32_t read_interrupt_register(const Chip& chip,
                                                    unsigned cpu,
                                                    std::uint32_t offset);
void write_interrupt_register(Chip& chip, unsigned cpu, std::uint32_t offset, std::uint32_t value);

/// The line of one CPU, and of any: transports have one line.
[[nodiscard]] bool interrupt_level(const Chip& chip, unsigned cpu);
[[nodiscard]] bool interrupt_level(const Chip& chip);

/// A CPU lets some cause through.
[[nodiscard]] bool interrupts_wanted(const Chip& chip);

/// Among them frames that were received.
[[nodiscard]] bool rx_interrupts_wanted(const Chip& chip);

/// Nanoseconds until a queue's coalescing time runs out and lets its frames show, INT64_MAX when no
/// queue waits for that.
[[nodiscard]] std::int64_t coalescing_left(const Chip& chip);

}  // namespace crema::neta::model
