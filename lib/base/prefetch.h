// SPDX-License-Identifier: BSD-3-Clause
//
// A line that is about to be written, taken from other cores' caches before. DPDK's
// rte_prefetch0_write() asks the compiler, which makes a prefetch for reading of it on x86-64
// unless it may use PREFETCHW; a line that is read then costs a second trip when it is written. All
// x86-64 processors know the instruction, older ones as one that does nothing.
#pragma once

namespace crema {

inline void prefetch_for_write(const void* line) {
#if defined(__x86_64__)
    asm volatile("prefetchw %0" ::"m"(*static_cast<const char*>(line)));
#else
    __builtin_prefetch(line, 1);
#endif
}

}  // namespace crema
