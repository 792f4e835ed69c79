// SPDX-License-Identifier: BSD-3-Clause
//
// Ports in name only: maps and test runs take them as interfaces, nothing is ever sent there.
#pragma once

#include <cstdint>

#include "lib/base/result.h"

namespace crema::command {

/// Makes sure that a port has that ifindex. EINVAL: more than there can be.
[[nodiscard]] Status register_stand_in(std::uint32_t ifindex);

/// One for each network interface of this machine whose number a port can have.
void register_stand_ins();

}  // namespace crema::command
