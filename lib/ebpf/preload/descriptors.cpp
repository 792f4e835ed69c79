// SPDX-License-Identifier: BSD-3-Clause
//
// What a descriptor of a ring buffer or a perf event does beyond a memfd: mmap shows the data of a
// ring buffer twice in a row behind the producer's page and makes the ring of a perf event; epoll
// waits for records. mmap of a map that has nothing to map is refused with the kernel's error.
#include <cerrno>
#include <cstdint>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/ebpf/preload/known_events.h"
#include "lib/ebpf/preload/supervised.h"

namespace crema::preload {
namespace {

constexpr int kNotSupported = 524;  // the kernel's ENOTSUPP

void* real_mmap(void* at, std::size_t bytes, int rights, int flags, int fd, std::int64_t offset) {
    return reinterpret_cast<void*>(::syscall(SYS_mmap, at, bytes, rights, flags, fd, offset));
}

/// Maps `bytes` of a ring buffer from `offset` on, which is behind the consumer's page: data that
/// lies in `data_fd` once is shown twice.
void* map_ring(
    void* at, std::size_t bytes, int rights, int flags, int data_fd, std::size_t offset) {
    struct stat status {};

    if (::fstat(data_fd, &status) != 0) {
        return MAP_FAILED;
    }
    // A user ring buffer is the one whose data may be written.
    const int seals = ::fcntl(data_fd, F_GET_SEALS);
    if ((rights & PROT_WRITE) != 0 && (seals < 0 || (seals & F_SEAL_FUTURE_WRITE) != 0)) {
        errno = EPERM;
        return MAP_FAILED;
    }
    const auto page = static_cast<std::size_t>(getpagesize());
    const auto file = static_cast<std::size_t>(status.st_size);
    const std::size_t data = file - page;
    const std::size_t from = offset - page;  // in the file's view, whose data comes twice
    if (bytes > file + data || from > file + data - bytes) {
        errno = EINVAL;
        return MAP_FAILED;
    }
    void* const whole =
        real_mmap(at, bytes, PROT_NONE, (flags & MAP_FIXED) | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (whole == MAP_FAILED) {
        return MAP_FAILED;
    }
    auto* const base = static_cast<std::uint8_t*>(whole);
    std::size_t done = 0;
    while (done < bytes) {
        const std::size_t here = from + done;
        const std::size_t in_file = here < file ? here : here - data;
        std::size_t now = file - in_file;
        now = now < bytes - done ? now : bytes - done;
        if (real_mmap(base + done, now, rights, MAP_SHARED | MAP_FIXED, data_fd,
                      static_cast<std::int64_t>(in_file)) == MAP_FAILED) {
            const int code = errno;
            ::munmap(whole, bytes);
            errno = code;
            return MAP_FAILED;
        }
        done += now;
    }
    return whole;
}

void* map_event(void* at, std::size_t bytes, int rights, int flags, int fd, std::int64_t offset) {
    if (offset != 0 || (flags & MAP_SHARED) == 0) {
        errno = EINVAL;
        return MAP_FAILED;
    }
    const std::uint32_t writable = (rights & PROT_WRITE) != 0 ? 1 : 0;
    if (ask(ebpf::supervise::PrivateCommand::event_map, fd, writable, bytes) != 0) {
        return MAP_FAILED;
    }
    remember_event(fd);
    return real_mmap(at, bytes, rights, flags, fd, offset);
}

void* map_object(void* at, std::size_t bytes, int rights, int flags, int fd, std::int64_t offset) {
    if (fd < 0 || (flags & MAP_ANONYMOUS) != 0 || !may_be_ours(fd)) {
        return real_mmap(at, bytes, rights, flags, fd, offset);
    }
    if (may_be_event(fd)) {
        return map_event(at, bytes, rights, flags, fd, offset);
    }

    struct stat status {};

    if (::fstat(fd, &status) == 0 && status.st_size == 0) {
        errno = kNotSupported;
        return MAP_FAILED;
    }
    const int saved = errno;
    const int data_fd =
        offset > 0 ? static_cast<int>(ask(ebpf::supervise::PrivateCommand::ring_data, fd)) : -1;
    errno = saved;
    if (data_fd < 0) {
        return real_mmap(at, bytes, rights, flags, fd, offset);
    }
    void* const mapped =
        map_ring(at, bytes, rights, flags, data_fd, static_cast<std::size_t>(offset));
    const int code = errno;
    ::syscall(SYS_close, data_fd);
    errno = code;
    return mapped;
}

}  // namespace
}  // namespace crema::preload

extern "C" {

[[gnu::visibility("default")]] void* mmap(
    void* at, size_t bytes, int rights, int flags, int fd, off_t offset) {
    return crema::preload::map_object(at, bytes, rights, flags, fd, offset);
}

[[gnu::visibility("default")]] void* mmap64(
    void* at, size_t bytes, int rights, int flags, int fd, off64_t offset) {
    return crema::preload::map_object(at, bytes, rights, flags, fd, offset);
}

[[gnu::visibility("default")]] int epoll_ctl(int epoll,
                                             int operation,
                                             int fd,
                                             struct epoll_event* event) {
    const long plain = ::syscall(SYS_epoll_ctl, epoll, operation, fd, event);
    // A memfd cannot be waited for; everything else is none of ours.
    if (plain == 0 || errno != EPERM || !crema::preload::may_be_ours(fd)) {
        return static_cast<int>(plain);
    }
    int events = crema::preload::wakeups_of(fd);
    if (events < 0 && operation == EPOLL_CTL_ADD) {
        events = static_cast<int>(
            crema::preload::ask(crema::ebpf::supervise::PrivateCommand::ring_events, fd));
    }
    if (events < 0 || (event == nullptr && operation != EPOLL_CTL_DEL)) {
        errno = EPERM;
        return -1;
    }

    // Nobody takes a wakeup back, so only the next one may wake the waiter again. What tells of
    // them stays open until the process ends.
    struct epoll_event edge {};

    if (event != nullptr) {
        edge = *event;
        edge.events |= EPOLLET;
    }
    return static_cast<int>(::syscall(SYS_epoll_ctl, epoll, operation, events, &edge));
}
}
