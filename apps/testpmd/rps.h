// SPDX-License-Identifier: BSD-3-Clause
//
// --rps: one queue, many CPUs. What the kernel does with rps_cpus is done by the shipped program
// cpumap_5tuple: it hashes each frame's flow and hands the frame to the queue of a CPU, where it is
// forwarded. This turns the option into that program and its map entries.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "apps/common/map_entries.h"
#include "apps/common/programs.h"
#include "lib/base/result.h"

namespace crema::testpmd {

struct RpsSetting {
    std::vector<std::uint32_t> cpus;    // empty: every worker that polls no queue, else all
    std::uint32_t queue_frames = 2048;  // per CPU

    /// auto|CPUS[:FRAMES], CPUS as the kernel lists them: 1-3,5. EINVAL: not of that form.
    [[nodiscard]] static Result<RpsSetting> parse(std::string_view text);
};

/// Entries of the maps of cpumap_5tuple that spread flows over `cpus`, 1 to 64 of them.
[[nodiscard]] std::vector<app::MapSetting> rps_entries(std::span<const std::uint32_t> cpus,
                                                       std::uint32_t queue_frames);

/// The program, beside this one's build folder or where it is installed. ENOENT: neither.
[[nodiscard]] Result<app::ProgramSpec> rps_program();

}  // namespace crema::testpmd
