// SPDX-License-Identifier: BSD-3-Clause
//
// bpf(2) as the tools make it: the system call itself, and one line that says how it went.
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/bpf.h>

namespace crema::test {

inline std::uint64_t address(const void* memory) {
    return reinterpret_cast<std::uintptr_t>(memory);
}

inline long call(int command, bpf_attr& attr, std::size_t size = sizeof(bpf_attr)) {
    return ::syscall(__NR_bpf, command, &attr, size);
}

inline void say(const char* what, long result) {
    if (result < 0) {
        std::printf("%s: errno %d\n", what, errno);
    } else {
        std::printf("%s: done\n", what);
    }
}

}  // namespace crema::test
