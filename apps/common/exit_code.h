// SPDX-License-Identifier: BSD-3-Clause
//
// What a program tells the shell.
#pragma once

namespace crema::app {

inline constexpr int kDone = 0;
inline constexpr int kFailed = 1;
inline constexpr int kUsage = 2;

}  // namespace crema::app
