// SPDX-License-Identifier: BSD-3-Clause
//
// The chip's one interrupt line, shared out: each RX queue that sleeps has an event descriptor of
// its own, and link changes are told. State of a port; what is done with it: interrupts.cpp.
#pragma once

#include <array>
#include <cstdint>

#include <rte_interrupts.h>
#include <rte_spinlock.h>

#include "lib/base/unique_fd.h"
#include "lib/neta/registers.h"

namespace crema::neta_pmd {

struct Interrupts {
    rte_spinlock_t lock = RTE_SPINLOCK_INITIALIZER;  // over `armed` and the chip's mask
    std::uint32_t armed = 0;                         // RX queues whose thread wants to be woken
    bool link = false;                               // link changes come by interrupt
    rte_intr_handle* line = nullptr;                 // the device's, at the EAL's thread
    std::array<UniqueFd, neta::kQueues> events;      // of RX queues
};

}  // namespace crema::neta_pmd
