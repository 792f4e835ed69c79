// SPDX-License-Identifier: BSD-3-Clause
//
// Runs programs without compiling them: the way where DPDK has no JIT with lowering rules, and on
// request. Trusts the proof: memory is accessed where the program says. The same machine with every
// access checked is checked.h.
#pragma once

#include <cstdint>

#include "lib/ebpf/abi/xdp_buff.h"
#include "lib/ebpf/interpreter/image.h"

namespace crema::ebpf::interpreter {

/// EntryPoint of an interpreted program; self: its Image, which must have been prepared with a
/// proof.
std::uint64_t run(XdpBuff* buff, const void* self);

/// Runs the first function of an extension inside of a run.
std::uint64_t run_extension(XdpBuff& buff, const Image& image, const Arguments& arguments);

/// Runs one function outside of any packet (timers). Natives that want a context get an empty one.
std::uint64_t run_callback(const Image& image,
                           std::uint32_t first_slot,
                           const Arguments& arguments);

}  // namespace crema::ebpf::interpreter
