// SPDX-License-Identifier: BSD-3-Clause
//
// What each register offset of a port is: the access class of the index in the hardware page
// (2.2) and the values after power-on (2.3, recommended model values). Behaviour is in model.cpp.
#pragma once

#include <array>
#include <cstdint>

#include "drivers/model/neta/chip.h"
#include "lib/neta/crc8.h"

namespace crema::neta::model {

enum class RegisterKind : std::uint8_t {
    none,           // no register: reads 0, writes ignored, reported
    zero,           // known, reads 0, writes ignored
    storage,        // reads back what was written
    read_only,      // stored by the model
    clear_by_zero,  // bit 0 is the summary, the mask is the next register
    interrupt,      // causes and masks that each CPU may have for itself
    counter,
    rxq_status,
    rxq_update,
    rxq_index,
    txq_status,
    txq_update,
    txq_index,
    txq_sent,
    special,  // own code for reading, writing or both
};

[[nodiscard]] RegisterKind register_kind(std::uint32_t offset);

/// Puts all registers, counters and queues into the power-on state.
void power_on(Chip& chip, const MacAddress& mac);

}  // namespace crema::neta::model
