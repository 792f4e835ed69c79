// SPDX-License-Identifier: BSD-3-Clause
//
// The maps that random programs work on. Indices are those of Program::maps.
#pragma once

#include <cstdint>

namespace crema::test::fuzz {

inline constexpr int kArrayMap = 0, kPercpuMap = 1, kGlobalMap = 2, kConstantMap = 3, kSinkMap = 4,
                     kHashMap = 5;
inline constexpr std::uint32_t kArrayEntries = 8, kArrayBytes = 64;
inline constexpr std::uint32_t kPercpuEntries = 3, kPercpuBytes = 40;
inline constexpr std::uint32_t kGlobalBytes = 256;
inline constexpr std::uint32_t kConstantBytes = 64;  // .rodata: read only and frozen
inline constexpr std::uint32_t kSinkBytes = 1024;    // where programs leave registers and stack
inline constexpr std::uint32_t kHashEntries = 16, kHashKeyBytes = 4, kHashBytes = 32;

}  // namespace crema::test::fuzz
