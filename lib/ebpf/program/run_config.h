// SPDX-License-Identifier: BSD-3-Clause
//
// How a program stands among others at one port, in libxdp's terms: its priority, and the verdicts
// after which the next program runs. An object says so of its programs in the BTF section
// ".xdp_run_config" (libxdp's macro XDP_RUN_CONFIG), which comes with the program when it is
// loaded.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "lib/base/result.h"
#include "lib/ebpf/abi/verdict.h"
#include "lib/ebpf/program/program.h"

namespace crema::ebpf {

/// The bit of a verdict in RunConfig::actions.
[[nodiscard]] constexpr std::uint32_t action_bit(Verdict verdict) {
    return std::uint32_t{1} << static_cast<std::uint32_t>(verdict);
}

struct RunConfig {
    std::uint32_t priority = 50;  // the least runs first
    /// Verdicts, as bits, after which the next program runs.
    std::uint32_t actions = action_bit(Verdict::pass);

    [[nodiscard]] bool operator==(const RunConfig&) const = default;
};

/// The name of the function where a run starts; the shorter name of bpf(2) where there is no BTF.
[[nodiscard]] std::string_view full_name_of(const Program& program);

/// What the object says, the defaults where it says nothing. EINVAL: something that has no meaning;
/// libxdp does not take such an object either.
[[nodiscard]] Result<RunConfig> run_config_of(const Program& program);

/// "XDP_PASS,XDP_TX"; empty: none.
[[nodiscard]] std::string actions_text(std::uint32_t actions);

/// Of a list as "pass,tx" or "XDP_PASS,XDP_TX"; "none". EINVAL.
[[nodiscard]] Result<std::uint32_t> actions_of(std::string_view text);

}  // namespace crema::ebpf
