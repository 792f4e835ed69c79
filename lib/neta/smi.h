// SPDX-License-Identifier: BSD-3-Clause
//
// Registers of PHYs behind the SMI unit of a group's first port. An access takes some 45 us on the
// chip; a unit that is still busy after a millisecond is given up. One user at a time. Source:
// hardware page 2.3.3.
#pragma once

#include <cstdint>
#include <optional>

#include "lib/vfio/registers.h"

namespace crema::neta {

/// Nothing: the unit does not come to an end. Where no PHY answers, all bits are 1.
[[nodiscard]] std::optional<std::uint16_t> smi_read(const vfio::Registers& registers,
                                                    unsigned phy,
                                                    unsigned index);

/// False: the unit is busy, and nothing was written. Does not wait for the end.
bool smi_write(const vfio::Registers& registers, unsigned phy, unsigned index, std::uint16_t value);

}  // namespace crema::neta
