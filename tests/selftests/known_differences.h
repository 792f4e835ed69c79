// SPDX-License-Identifier: BSD-3-Clause
//
// known_differences.txt: what the running kernel accepts and Crema does not, each with its cause.
// Tests fail for a difference that is not in it, and for a line that is none.
#pragma once

#include <map>
#include <string>

#include "lib/base/result.h"

namespace crema::test {

/// "FILE: NAME" -> cause.
using Causes = std::map<std::string, std::string>;

/// Lines "FILE: NAME | CAUSE"; empty ones and those that start with '#' are no entries.
[[nodiscard]] Result<Causes> read_causes(const std::string& path);

}  // namespace crema::test
