// SPDX-License-Identifier: BSD-3-Clause
//
// Start of a DPDK program: command line before `--` for the EAL, after it for the program. Stricter
// than rte_eal_init(): a --vdev that could not be opened fails the start (22.11 only logs it).
#pragma once

#include <string>
#include <vector>

#include "lib/base/result.h"

namespace crema::app {

struct CommandLine {
    std::vector<std::string> eal;      // with argv[0]
    std::vector<std::string> program;  // without argv[0]
};

[[nodiscard]] CommandLine split_command_line(int argc, char** argv);

/// Names given by --vdev, without their arguments.
[[nodiscard]] std::vector<std::string> vdev_names(const std::vector<std::string>& eal_words);

/// Errors: EINVAL bad EAL options, ENODEV a virtual device is missing afterwards.
[[nodiscard]] Status start_eal(const std::vector<std::string>& words);

/// Ends the EAL, also one whose start failed, and removes its run-time folder when that is empty:
/// 22.11 leaves one behind per --file-prefix.
void end_eal();

}  // namespace crema::app
