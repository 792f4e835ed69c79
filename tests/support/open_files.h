// SPDX-License-Identifier: BSD-3-Clause
//
// Counts the open descriptors of this process, for tests that nothing is left behind.
#pragma once

#include <cstddef>
#include <filesystem>
#include <iterator>

namespace crema::test {

/// Descriptors open now. The one that does the counting is always among them.
[[nodiscard]] inline std::size_t open_files() {
    return static_cast<std::size_t>(
        std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}));
}

}  // namespace crema::test
