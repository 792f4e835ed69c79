// SPDX-License-Identifier: BSD-3-Clause
//
// Which SoC the modelled port sits in. The block is the same everywhere; what differs is what
// stands around it: per-CPU copies of the interrupt registers, the buffer manager, the limit of
// checksum insertion, and the clock that times are counted in (a board's choice, so an argument of
// its own). The version register is 0x10 in all of them: no source says which SoC has which, and
// drivers only ask for at least that. Source: hardware page 1.2, 1.5, 1.6, 10.26, 10.37.
#pragma once

#include <cstdint>
#include <string>

#include "lib/base/result.h"

namespace crema::neta::model {

struct Variant {
    const char* name;
    const char* soc;
    unsigned cpus;  // that have cause and mask registers of their own; 1: one set
    bool banked;    // a CPU sees the queues of its own map only, else those of any
    bool buffer_manager;
    std::uint32_t tx_checksum_limit;  // bytes; of the port at 0x70000 on 38x
};

inline constexpr std::uint64_t kCoreHzDefault = 200'000'000;

/// text: "3700" (also when empty), "38x", "xp" or "370". Errors: EINVAL.
[[nodiscard]] Result<const Variant*> find_variant(const std::string& text);

/// Core clock in Hz, 1 MHz to 1 GHz; empty: kCoreHzDefault. Errors: EINVAL.
[[nodiscard]] Result<std::uint64_t> parse_core_clock(const std::string& text);

}  // namespace crema::neta::model
