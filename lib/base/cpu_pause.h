// SPDX-License-Identifier: BSD-3-Clause
//
// What a thread does while it waits for another one that is about to be done.
#pragma once

namespace crema {

/// Lets the core rest, or the other thread of it run, for a few cycles.
inline void cpu_pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield" ::: "memory");
#endif
}

}  // namespace crema
