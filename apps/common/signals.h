// SPDX-License-Identifier: BSD-3-Clause
//
// SIGINT and SIGTERM ask for a clean end; a second one kills, as without us.
#pragma once

namespace crema::app {

void catch_end_signals();

/// The signal that asked for the end, or 0.
[[nodiscard]] int end_signal();

}  // namespace crema::app
