// SPDX-License-Identifier: BSD-3-Clause
//
// Ports of the data path that this process has joined (data_path.h), and the programs on them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lib/base/result.h"

namespace crema::command {

/// A program on a port, and its place there.
struct RemoteProgram {
    std::uint32_t id = 0;
    std::string name;  // in full
    std::string tag;   // hexadecimal
    std::uint32_t priority = 0;
    std::uint32_t actions = 0;  // as ebpf::RunConfig::actions
};

struct RemotePort {
    std::uint32_t ifindex = 0;
    std::string name;
    std::string alias;
    std::string mode;                     // "driver", "generic"; empty: nothing is attached
    std::vector<RemoteProgram> programs;  // in the order they run
};

[[nodiscard]] Result<std::vector<RemotePort>> ports();

/// By name, alias or ifindex. ENOENT.
[[nodiscard]] Result<RemotePort> find_port(const std::string& which);

/// A program that is to join; of what is not given its object says it.
struct Joining {
    int fd = -1;
    std::optional<std::uint32_t> priority;
    std::optional<std::uint32_t> actions;
};

struct ProgramsChange {
    std::vector<Joining> join;
    std::vector<std::uint32_t> leave;  // by number
    bool all_leave = false;
    std::uint32_t flags = 0;  // XDP_FLAGS_*_MODE
};

/// In one step. The error is the data path's words.
[[nodiscard]] Status change_programs(const RemotePort& port, const ProgramsChange& change);

}  // namespace crema::command
