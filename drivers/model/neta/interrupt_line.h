// SPDX-License-Identifier: BSD-3-Clause
//
// The port's interrupt line for a driver in the same process: an event descriptor. As with VFIO the
// line is a level and masks itself after each event; unmasked while it is still up, it is an event
// again. Whoever changes what the level depends on shows it; a watcher (model.cpp) does so for what
// time or the wire changes.
#pragma once

#include <atomic>

#include "lib/base/result.h"
#include "lib/base/unique_fd.h"

namespace crema::neta::model {

class InterruptLine {
  public:
    /// The event descriptor, the same each time; unmasked from here on.
    [[nodiscard]] Result<int> enable();

    void disable() { armed_.store(false, std::memory_order_seq_cst); }

    void unmask() { armed_.store(true, std::memory_order_seq_cst); }

    /// Somebody waits for the next event.
    [[nodiscard]] bool armed() const { return armed_.load(std::memory_order_seq_cst); }

    /// From any thread.
    void show(bool level);

  private:
    UniqueFd event_;
    std::atomic<bool> armed_{false};
};

}  // namespace crema::neta::model
