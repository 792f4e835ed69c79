// SPDX-License-Identifier: BSD-3-Clause
//
// The maps that random programs work on. Indices are those of Program::maps.
#pragma once

#include <cstdint>

namespace crema::test::fuzz {

inline constexpr int kArrayMap = 0, kPercpuMap = 1, kGlobalMap = 2, kConstantMap = 3, kSinkMap = 4,
                     kHashMap = 5, kPercpuHashMap = 6, kLruMap = 7, kTrieMap = 8, kQueueMap = 9,
                     kStackMap = 10, kRingMap = 11, kProgramsMap = 12, kArrayOfMaps = 13,
                     kHashOfMaps = 14, kMaps = 15;

inline constexpr std::uint32_t kArrayEntries = 8, kArrayBytes = 64;
inline constexpr std::uint32_t kPercpuEntries = 3, kPercpuBytes = 40;
inline constexpr std::uint32_t kGlobalBytes = 256;
inline constexpr std::uint32_t kConstantBytes = 64;  // .rodata: read only and frozen
inline constexpr std::uint32_t kSinkBytes = 1024;    // where programs leave registers and stack
inline constexpr std::uint32_t kHashEntries = 16, kHashBytes = 32;
inline constexpr std::uint32_t kPercpuHashEntries = 16, kPercpuHashBytes = 24;
// More than a program can fill: which entry a full LRU map gives up is nobody's promise.
inline constexpr std::uint32_t kLruEntries = 4096, kLruBytes = 16;
inline constexpr std::uint32_t kTrieEntries = 16, kTrieKeyBytes = 8, kTrieBytes = 16;
inline constexpr std::uint32_t kQueueEntries = 8, kQueueBytes = 16;
inline constexpr std::uint32_t kRingBytes = 4096;
inline constexpr std::uint32_t kProgramsEntries = 6;  // the last one stays empty
inline constexpr std::uint32_t kOuterEntries = 4;
inline constexpr std::uint32_t kInnerEntries = 4, kInnerBytes = 16;  // arrays inside maps

}  // namespace crema::test::fuzz
