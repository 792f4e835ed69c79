// SPDX-License-Identifier: BSD-3-Clause
//
// What a program decides about a frame. Values are the kernel's (enum xdp_action).
#pragma once

#include <cstdint>

namespace crema::ebpf {

enum class Verdict : std::uint32_t { aborted = 0, drop = 1, pass = 2, tx = 3, redirect = 4 };

}  // namespace crema::ebpf
