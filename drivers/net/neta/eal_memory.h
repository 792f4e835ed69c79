// SPDX-License-Identifier: BSD-3-Clause
//
// All DPDK memory of the process, mapped once for devices: rings, page pools and every mempool an
// application may send from. Shared by all ports, counted.
#pragma once

#include "lib/base/result.h"

namespace crema::neta_pmd {

/// Maps EAL memory for the first user and follows its growth. Errors: as vfio::DmaSpace::map().
[[nodiscard]] Status eal_memory_acquire();

/// The last user's call unmaps everything. No device may use any of it.
void eal_memory_release();

}  // namespace crema::neta_pmd
