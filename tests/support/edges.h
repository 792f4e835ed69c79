// SPDX-License-Identifier: BSD-3-Clause
//
// Operands at the edges of every width, and shift counts around them.
#pragma once

#include <cstdint>

namespace crema::test {

inline constexpr std::uint64_t kEdges[] = {
    0,
    1,
    2,
    7,
    31,
    32,
    33,
    63,
    64,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0x8000,
    0xffff,
    0x7fffffff,
    0x80000000,
    0xffffffff,
    0x100000000,
    0x7fffffffffffffff,
    0x8000000000000000,
    0xffffffff80000000,
    0xffffffffffffffff,
    0x0123456789abcdef,
    0xfedcba9876543210,
};

}  // namespace crema::test
