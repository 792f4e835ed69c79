// SPDX-License-Identifier: BSD-3-Clause
//
// A snapshot in the two text forms that Prometheus reads: OpenMetrics 1.0, and its own older one
// (0.0.4) for who asks for that. The same samples, other words around them.
#pragma once

#include <string>

#include "apps/common/snapshot.h"

namespace crema::app {

enum class MetricsForm { open_metrics, prometheus };

[[nodiscard]] std::string to_metrics(const Snapshot& snapshot, MetricsForm form);

}  // namespace crema::app
