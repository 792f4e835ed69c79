// SPDX-License-Identifier: BSD-3-Clause
//
// About how many bytes of machine code DPDK's x86 JIT makes of one lowered instruction. Not a
// promise: only how long the JIT takes depends on it (layout.h), never what the code does.
#pragma once

#include <cstdint>

#include "lib/ebpf/program/instruction.h"

namespace crema::ebpf::lowering {

struct NativeSize {
    std::uint32_t least = 0;
    std::uint32_t most = 0;
};

[[nodiscard]] NativeSize native_size(const Insn& insn);

}  // namespace crema::ebpf::lowering
