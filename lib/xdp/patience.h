// SPDX-License-Identifier: BSD-3-Clause
//
// Long test runs end when nobody waits for their result any more.
#pragma once

#include <chrono>

#include "lib/base/caller.h"

namespace crema::xdp {

/// Asks now and then, because asking costs a system call. One per run.
class Patience {
  public:
    /// The run is to end (EINTR).
    [[nodiscard]] bool has_ended() {
        constexpr std::chrono::milliseconds kLookEvery(1);
        const auto now = Clock::now();
        if (now - last_look_ < kLookEvery) {
            return false;
        }
        last_look_ = now;
        return !caller::still_waits();
    }

  private:
    using Clock = std::chrono::steady_clock;

    Clock::time_point last_look_ = Clock::now();
};

}  // namespace crema::xdp
