// SPDX-License-Identifier: BSD-3-Clause
//
// How compiled programs and C++ call one another: BPF's r1..r5 are the C arguments, r0 is the
// result. Helpers and what lowering calls for missing instructions have this type, and so have
// functions of a program that a helper calls back.
#pragma once

#include <cstdint>

namespace crema::ebpf {

/// `NativeFunction name;` declares one.
using NativeFunction = std::uint64_t(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t r3, std::uint64_t r4, std::uint64_t r5);

using Native = NativeFunction*;

}  // namespace crema::ebpf
