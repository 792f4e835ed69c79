// SPDX-License-Identifier: BSD-3-Clause
//
// The seam to libbpf. libcrema links its own copy of libbpf with --wrap=syscall, so every bpf(2)
// call of it ends here; all other system calls pass through unchanged. A shared libbpf in the same
// process (DPDK's AF_XDP driver brings one) is not touched.
//
// --wrap=stderr: Debian's libbpf.a is compiled for executables and refers to libc's stderr in a way
// that a shared object cannot link; it gets a variable of ours with the same value.
#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <sys/syscall.h>

#include "lib/ebpf/syscall/serve.h"

// NOLINTBEGIN(bugprone-reserved-identifier): the names are the linker's, see --wrap in ld(1)
extern "C" {
long __real_syscall(long number, ...);
extern FILE* __real_stderr;

[[gnu::visibility("hidden")]] long __wrap_syscall(long number, ...);
[[gnu::visibility("hidden")]] FILE* __wrap_stderr = nullptr;
}

// NOLINTEND(bugprone-reserved-identifier)

namespace {

// Before any other constructor of this library can print.
[[gnu::constructor(101)]] void copy_stderr() {
    __wrap_stderr = __real_stderr;
}

}  // namespace

namespace crema::ebpf::syscall {
namespace {

constinit std::atomic<bool> g_elsewhere{false};

}  // namespace

void serve_elsewhere(bool elsewhere) {
    g_elsewhere.store(elsewhere, std::memory_order_relaxed);
}

bool served_elsewhere() {
    return g_elsewhere.load(std::memory_order_relaxed);
}

}  // namespace crema::ebpf::syscall

long __wrap_syscall(long number, ...) {
    // No system call has more than six arguments; reading ones that were not passed gives
    // garbage in registers that the kernel ignores.
    va_list rest;
    va_start(rest, number);
    long args[6];
    for (long& arg : args) {
        arg = va_arg(rest, long);
    }
    va_end(rest);
    if (number != __NR_bpf || crema::ebpf::syscall::served_elsewhere()) {
        return __real_syscall(number, args[0], args[1], args[2], args[3], args[4], args[5]);
    }
    const long result =
        crema::ebpf::syscall::serve(static_cast<int>(args[0]), reinterpret_cast<void*>(args[1]),
                                    static_cast<std::uint32_t>(args[2]));
    if (result < 0) {
        errno = static_cast<int>(-result);
        return -1;
    }
    return result;
}
