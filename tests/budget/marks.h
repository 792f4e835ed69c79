// SPDX-License-Identifier: BSD-3-Clause
//
// Instructions by which a program on arm64 tells counter.cpp what to count. To the processor they
// are hints that mean nothing.
#pragma once

#include <cstdint>

namespace crema::budget {

inline constexpr std::uint32_t kHint = 0xd503201f;

constexpr std::uint32_t hint(std::uint32_t number) {
    return kHint | number << 5U;
}

/// The next access to memory is to the first byte of a block of registers.
inline constexpr std::uint32_t kRegistersMark = 0x69;
/// What follows counts, until kEndMark; of this thread only.
inline constexpr std::uint32_t kBeginMark = 0x6a;
inline constexpr std::uint32_t kEndMark = 0x6b;
/// A line with all counts goes to the report, and counting begins anew.
inline constexpr std::uint32_t kReportMark = 0x6c;

#if defined(__aarch64__)
/// kRegistersMark, and the access to it.
inline void mark_registers(const volatile void* first) {
    std::uint32_t seen = 0;
    asm volatile("hint %2\n\tldr %w0, [%1]" : "=&r"(seen) : "r"(first), "i"(kRegistersMark));
}

template <std::uint32_t kNumber>
[[gnu::always_inline]] inline void mark() {
    asm volatile("hint %0" ::"i"(kNumber) : "memory");
}
#endif

}  // namespace crema::budget
