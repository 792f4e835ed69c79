// SPDX-License-Identifier: BSD-3-Clause
//
// What tools read about BPF objects by path: /proc/PID/fdinfo/FD, the target of /proc/PID/fd/FD,
// and which file system the directory of a pin is on. Only paths and directories of that kind are
// touched; everything else goes to libc as it came.
#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/ebpf/preload/supervised.h"

namespace crema::preload {
namespace {

constexpr decltype(statfs::f_type) kBpfFs = 0xcafe4a11;

/// FD of "/proc/self/WHAT/FD" or "/proc/<own pid>/WHAT/FD"; -1: another path.
int own_descriptor_in(const char* path, const char* what) {
    constexpr char kProc[] = "/proc/";
    if (path == nullptr || std::strncmp(path, kProc, sizeof kProc - 1) != 0) {
        return -1;
    }
    const char* at = path + sizeof kProc - 1;
    char* end = nullptr;
    if (std::strncmp(at, "self/", 5) == 0) {
        at += 5;
    } else {
        if (std::strtol(at, &end, 10) != getpid() || end == at || *end != '/') {
            return -1;
        }
        at = end + 1;
    }
    const std::size_t length = std::strlen(what);
    if (std::strncmp(at, what, length) != 0 || at[length] != '/') {
        return -1;
    }
    at += length + 1;
    const long fd = std::strtol(at, &end, 10);
    return end != at && *end == '\0' && fd >= 0 && fd <= INT32_MAX ? static_cast<int>(fd) : -1;
}

/// A descriptor that reads as what stands for `path` here: the fdinfo of one of our objects, the
/// types of the kernel. -1: nothing does.
int open_ours(const char* path) {
    const bool types = path != nullptr && std::strcmp(path, "/sys/kernel/btf/vmlinux") == 0;
    const int fd = types ? 0 : own_descriptor_in(path, "fdinfo");
    if (!types && (fd < 0 || !may_be_ours(fd))) {
        return -1;
    }
    const int saved = errno;
    const auto text = static_cast<int>(ask(types ? ebpf::supervise::PrivateCommand::kernel_types
                                                 : ebpf::supervise::PrivateCommand::fd_info,
                                           fd));
    errno = saved;
    return text;
}

bool is_inside_bpffs(int directory) {
    const int saved = errno;
    const bool inside = ask(ebpf::supervise::PrivateCommand::inside_bpffs, directory) == 0;
    errno = saved;
    return inside;
}

bool is_inside_bpffs(const char* path) {
    const int saved = errno;
    const int directory = static_cast<int>(
        ::syscall(SYS_openat, AT_FDCWD, path, O_PATH | O_DIRECTORY | O_CLOEXEC, 0));
    const bool inside = directory >= 0 && is_inside_bpffs(directory);
    if (directory >= 0) {
        ::syscall(SYS_close, directory);
    }
    errno = saved;
    return inside;
}

mode_t mode_of(int flags, va_list rest) {
    const bool has_mode = (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
    return has_mode ? static_cast<mode_t>(va_arg(rest, unsigned)) : 0;
}

/// What the kernel would show of a descriptor of that kind.
const char* kernel_link(const char* memfd_link) {
    static constexpr struct {
        const char* ours;
        const char* kernels;
    } kLinks[] = {{"/memfd:bpf-perf_event", "anon_inode:[perf_event]"},
                  {"/memfd:bpf-map", "anon_inode:bpf-map"},
                  {"/memfd:bpf-prog", "anon_inode:bpf-prog"},
                  {"/memfd:bpf_link", "anon_inode:bpf_link"},
                  {"/memfd:btf", "anon_inode:btf"}};

    for (const auto& link : kLinks) {
        const std::size_t length = std::strlen(link.ours);
        if (std::strncmp(memfd_link, link.ours, length) == 0 &&
            std::strcmp(memfd_link + length, " (deleted)") == 0) {
            return link.kernels;
        }
    }
    return nullptr;
}

template <typename Statfs>
using StatfsOfPath = int (*)(const char*, Statfs*);
template <typename Statfs>
using StatfsOfFd = int (*)(int, Statfs*);

template <typename Statfs>
int statfs_of_path(const char* name, const char* path, Statfs* buffer) {
    const auto real = reinterpret_cast<StatfsOfPath<Statfs>>(next_definition(name));
    const int result = real(path, buffer);
    if (result == 0 && is_inside_bpffs(path)) {
        buffer->f_type = kBpfFs;
    }
    return result;
}

template <typename Statfs>
int statfs_of_fd(const char* name, int fd, Statfs* buffer) {
    const auto real = reinterpret_cast<StatfsOfFd<Statfs>>(next_definition(name));
    const int result = real(fd, buffer);
    if (result == 0 && is_inside_bpffs(fd)) {
        buffer->f_type = kBpfFs;
    }
    return result;
}

FILE* open_stream(const char* name, const char* path, const char* mode) {
    const int text = open_ours(path);
    if (text >= 0) {
        return ::fdopen(text, mode);
    }
    return reinterpret_cast<FILE* (*)(const char*, const char*)>(next_definition(name))(path, mode);
}

}  // namespace
}  // namespace crema::preload

extern "C" {

[[gnu::visibility("default")]] int open(const char* path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    const mode_t mode = crema::preload::mode_of(flags, rest);
    va_end(rest);
    const int text = crema::preload::open_ours(path);
    return text >= 0 ? text : static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path, flags, mode));
}

[[gnu::visibility("default")]] int open64(const char* path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    const mode_t mode = crema::preload::mode_of(flags, rest);
    va_end(rest);
    const int text = crema::preload::open_ours(path);
    return text >= 0
               ? text
               : static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path, flags | O_LARGEFILE, mode));
}

[[gnu::visibility("default")]] FILE* fopen(const char* path, const char* mode) {
    return crema::preload::open_stream("fopen", path, mode);
}

[[gnu::visibility("default")]] FILE* fopen64(const char* path, const char* mode) {
    return crema::preload::open_stream("fopen64", path, mode);
}

[[gnu::visibility("default")]] ssize_t readlink(const char* path, char* buffer, size_t size) {
    const auto read_link = [path](char* to, size_t room) {
        return static_cast<ssize_t>(::syscall(SYS_readlinkat, AT_FDCWD, path, to, room));
    };
    if (crema::preload::own_descriptor_in(path, "fd") < 0) {
        return read_link(buffer, size);
    }
    // Not into the caller's buffer: what is shown may be shorter.
    char target[64];
    const int saved = errno;
    const ssize_t bytes = read_link(target, sizeof target - 1);
    errno = saved;
    target[bytes > 0 ? bytes : 0] = '\0';
    const char* const shown = crema::preload::kernel_link(target);
    if (shown == nullptr) {
        return read_link(buffer, size);
    }
    // readlink(2) ends nothing with NUL.
    size_t length = 0;
    for (; length < size && shown[length] != '\0'; ++length) {
        buffer[length] = shown[length];
    }
    return static_cast<ssize_t>(length);
}

[[gnu::visibility("default")]] int statfs(const char* path, struct statfs* buffer) {
    return crema::preload::statfs_of_path("statfs", path, buffer);
}

[[gnu::visibility("default")]] int fstatfs(int fd, struct statfs* buffer) {
    return crema::preload::statfs_of_fd("fstatfs", fd, buffer);
}

[[gnu::visibility("default")]] int statfs64(const char* path, struct statfs64* buffer) {
    return crema::preload::statfs_of_path("statfs64", path, buffer);
}

[[gnu::visibility("default")]] int fstatfs64(int fd, struct statfs64* buffer) {
    return crema::preload::statfs_of_fd("fstatfs64", fd, buffer);
}
}
