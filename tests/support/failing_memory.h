// SPDX-License-Identifier: BSD-3-Clause
//
// Memory that runs out on purpose: the test program's own malloc, mmap, mprotect and memfd_create,
// for everything in the process (operator new and C libraries included). They count calls, refuse
// one of them or all from one on, and know how many blocks are in use.
//
// Does not work under AddressSanitizer, which has its own malloc: kCanFail says so.
#pragma once

#include <cstddef>
#include <cstdint>

namespace crema::test {

#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool kCanFail = false;
#else
inline constexpr bool kCanFail = true;
#endif

enum class Refuses : std::uint8_t { nothing, one, all_from_there };

/// From here on calls of this thread are counted; the one with number `at` (from 0) is refused, or
/// it and all behind it.
void start_refusing(Refuses refuses, std::uint64_t at = 0);

/// Back to normal. Returns how many calls were counted.
std::uint64_t stop_refusing();

/// Blocks of the heap in use by the whole process.
[[nodiscard]] std::uint64_t blocks_in_use();

/// Bytes mapped, the heap and stacks left out.
[[nodiscard]] std::uint64_t mapped_bytes();

}  // namespace crema::test
