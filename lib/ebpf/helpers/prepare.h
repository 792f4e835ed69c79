// SPDX-License-Identifier: BSD-3-Clause
//
// What must be there before a program that calls certain helpers runs: threads and first readings
// that no packet may wait for.
#pragma once

#include <cstdint>

#include "lib/base/result.h"

namespace crema::ebpf::helpers {

/// Called while a program is loaded, for each helper that it calls. Error: the helper cannot be
/// served now, and so the program cannot be loaded.
[[nodiscard]] Status prepare(std::uint32_t id);

}  // namespace crema::ebpf::helpers
