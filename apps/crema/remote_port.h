// SPDX-License-Identifier: BSD-3-Clause
//
// Ports of the data path that this process has joined (data_path.h), and the programs on them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lib/base/result.h"

namespace crema::command {

struct RemotePort {
    std::uint32_t ifindex = 0;
    std::string name;
    std::string alias;
    std::string mode;              // "driver", "generic"; empty: nothing is attached
    std::uint32_t program_id = 0;  // 0: nothing
    std::string program;           // its name
};

[[nodiscard]] Result<std::vector<RemotePort>> ports();

/// By name, alias or ifindex. ENOENT.
[[nodiscard]] Result<RemotePort> find_port(const std::string& which);

/// As RTM_SETLINK: program < 0 detaches; flags: XDP_FLAGS_*. The error is the data path's words.
[[nodiscard]] Status set_program(const RemotePort& port, int program, std::uint32_t flags);

}  // namespace crema::command
