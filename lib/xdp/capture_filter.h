// SPDX-License-Identifier: BSD-3-Clause
//
// Filters of captures: classic BPF, judged here and run by libpcap's interpreter, which has no
// loops and reads inside of the frame only. Apart, because its header cannot meet that of bpf(2).
#pragma once

#include <cstdint>
#include <span>

#include "lib/xdp/capture.h"

namespace crema::xdp {

/// False: not a program that can be run.
[[nodiscard]] bool is_filter(std::span<const FilterInsn> insns);

/// is_filter(insns). bytes of `frame_bytes` are there.
[[nodiscard]] bool filter_takes(std::span<const FilterInsn> insns,
                                const std::uint8_t* frame,
                                std::uint32_t bytes,
                                std::uint32_t frame_bytes);

}  // namespace crema::xdp
