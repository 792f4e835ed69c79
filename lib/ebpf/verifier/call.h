// SPDX-License-Identifier: BSD-3-Clause
//
// What the arguments of one helper call said: for the checks between them, and for the result.
#pragma once

#include <cstdint>

#include "lib/ebpf/helpers/prototypes.h"
#include "lib/ebpf/kfuncs/kfuncs.h"
#include "lib/ebpf/maps/map.h"
#include "lib/ebpf/verifier/state.h"

namespace crema::ebpf::verifier {

/// Frame offsets [start, end) that a call writes.
struct FrameBytes {
    std::int64_t start = 0;
    std::int64_t end = 0;
    std::uint32_t frame = 0;
};

struct Call {
    const helpers::Prototype* helper = nullptr;
    const maps::MapSpec* map = nullptr;
    Reg map_reg;                   // the argument that named it
    std::uint64_t alloc_size = 0;  // bytes of the memory that comes back
    std::uint64_t size_max = 0;    // upper bound of the last size argument
    std::uint32_t reference = 0;   // that an argument holds
    std::uint32_t released = 0;    // register whose object the helper takes; 0: none
    std::uint32_t callback = 0;    // function of the program
    std::uint32_t dynptr = 0;      // id of the dynptr argument
    std::uint32_t dynptr_ref = 0;  // reference behind it
    FrameBytes filled;
};

/// The same for a call of a kernel function.
struct KfuncCall {
    const kfuncs::Function* function = nullptr;
    Call memory;                 // what checks of memory note
    std::uint64_t constant = 0;  // value of the argument that must be one
    Reg dynptr;                  // the last initialised one that was passed
    Reg iterator;                // as it was passed: R1
};

}  // namespace crema::ebpf::verifier
