// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/preload/supervised.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace crema::preload {

long ask(ebpf::supervise::PrivateCommand command, int fd) {
    ebpf::supervise::PrivateAttr attr{.fd = fd};
    return ::syscall(SYS_bpf, static_cast<int>(command), &attr, sizeof attr);
}

bool may_be_ours(int fd) {
    char path[64];
    char target[64];
    const int saved = errno;
    (void)std::snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    const long bytes =
        ::syscall(SYS_readlinkat, -100 /* AT_FDCWD */, path, target, sizeof target - 1);
    errno = saved;
    if (bytes <= 0) {
        return false;
    }
    target[bytes] = '\0';
    return std::strncmp(target, "/memfd:bpf", 10) == 0 ||
           std::strncmp(target, "/memfd:btf", 10) == 0;
}

void* next_definition(const char* name) {
    void* const found = ::dlsym(RTLD_NEXT, name);
    if (found == nullptr) {
        std::abort();
    }
    return found;
}

}  // namespace crema::preload
