// SPDX-License-Identifier: BSD-3-Clause
//
// A condition that only a bug can break. CREMA_CHECK always stays; CREMA_DCHECK is for the packet
// path and is compiled out of release builds.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <unistd.h>

namespace crema::detail {
[[noreturn]] inline void check_failed(const char* condition, const char* file, int line) {
    // Not stdio's stream: in libcrema that symbol is wrapped for libbpf (lib/meson.build).
    ::dprintf(STDERR_FILENO, "crema: bug: %s at %s:%d\n", condition, file, line);
    std::abort();
}
}  // namespace crema::detail

#define CREMA_CHECK(condition)                                             \
    do {                                                                   \
        if (!(condition)) [[unlikely]] {                                   \
            ::crema::detail::check_failed(#condition, __FILE__, __LINE__); \
        }                                                                  \
    } while (false)

#ifdef NDEBUG
#define CREMA_DCHECK(condition) \
    do {                        \
    } while (false)
#else
#define CREMA_DCHECK(condition) CREMA_CHECK(condition)
#endif
