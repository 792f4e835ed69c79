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

long ask(ebpf::supervise::PrivateCommand command,
         int fd,
         std::uint32_t request,
         std::uint64_t argument) {
    ebpf::supervise::PrivateAttr attr{.fd = fd, .request = request, .argument = argument};
    return ::syscall(SYS_bpf, static_cast<int>(command), &attr, sizeof attr);
}

namespace {

/// What /proc shows of a descriptor starts with one of the words. errno stays.
template <typename... Words>
bool leads_to(int fd, const Words&... words) {
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
    return ((std::strncmp(target, words, sizeof words - 1) == 0) || ...);
}

}  // namespace

bool may_be_ours(int fd) {
    return leads_to(fd, "/memfd:bpf", "/memfd:btf");
}

bool may_be_event(int fd) {
    return leads_to(fd, "/memfd:bpf-perf_event");
}

void* next_definition(const char* name) {
    void* const found = ::dlsym(RTLD_NEXT, name);
    if (found == nullptr) {
        std::abort();
    }
    return found;
}

}  // namespace crema::preload
