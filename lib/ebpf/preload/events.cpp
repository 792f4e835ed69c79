// SPDX-License-Identifier: BSD-3-Clause
//
// What a descriptor of a perf event does beyond a memfd and its mapping (descriptors.cpp): its
// ioctl requests (libc's function is in interfaces.cpp), and poll, which waits for records. As in
// the kernel, a poll that finds an event ready makes it unready until the next wakeup.
//
// poll puts a descriptor that tells of wakeups (an epoll instance, maps/wakeups.h) in the place of
// the event's while it waits. It is fetched once per event and stays open until the process ends.
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <ctime>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/ebpf/preload/known_events.h"
#include "lib/ebpf/preload/supervised.h"

namespace crema::preload {
namespace {

using ebpf::supervise::PrivateCommand;

constexpr std::size_t kEventsMax = 1024;  // as many as CPUs, mostly

/// An event by its inode, which stays when descriptors are closed and reused.
struct Known {
    std::atomic<std::uint64_t> inode{0};  // 0: free
    std::atomic<int> wakeups{-1};
};

constinit std::array<Known, kEventsMax> g_known{};
constinit std::atomic<std::size_t> g_known_count{0};  // places from here on were never taken

/// 0: none of the events that were mapped.
std::uint64_t inode_of(int fd) {
    struct stat status {};

    const int saved = errno;
    const bool found = ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
    errno = saved;
    return found ? status.st_ino : 0;
}

const Known* find(int fd) {
    const std::size_t count = g_known_count.load(std::memory_order_acquire);
    const std::uint64_t inode = count != 0 ? inode_of(fd) : 0;
    for (std::size_t i = 0; inode != 0 && i < count && i < kEventsMax; ++i) {
        if (g_known[i].inode.load(std::memory_order_acquire) == inode) {
            return &g_known[i];
        }
    }
    return nullptr;
}

/// What was put in the place of descriptors for the length of one poll.
class Stand {
  public:
    Stand(pollfd* fds, nfds_t count) : fds_(fds) {
        if (g_known_count.load(std::memory_order_acquire) == 0) {
            return;
        }
        for (nfds_t i = 0; i < count && taken_ < places_.size(); ++i) {
            const int wakeups = fds[i].fd >= 0 ? wakeups_of(fds[i].fd) : -1;
            if (wakeups >= 0 && may_be_event(fds[i].fd)) {
                places_[taken_++] = {.at = i, .fd = fds[i].fd};
                fds[i].fd = wakeups;
            }
        }
    }

    Stand(const Stand&) = delete;
    Stand& operator=(const Stand&) = delete;

    ~Stand() {
        const int saved = errno;
        for (std::size_t i = 0; i < taken_; ++i) {
            pollfd& one = fds_[places_[i].at];
            epoll_event taken{};
            if ((one.revents & POLLIN) != 0) {
                ::syscall(SYS_epoll_pwait, one.fd, &taken, 1, 0, nullptr, 0);
            }
            one.fd = places_[i].fd;
        }
        errno = saved;
    }

  private:
    struct Place {
        nfds_t at;
        int fd;
    };

    pollfd* fds_;
    std::size_t taken_ = 0;
    std::array<Place, kEventsMax> places_;
};

template <typename Function>
Function* next(const char* name) {
    return reinterpret_cast<Function*>(next_definition(name));
}

}  // namespace

int wakeups_of(int fd) {
    const Known* const known = find(fd);
    return known != nullptr ? known->wakeups.load(std::memory_order_acquire) : -1;
}

void remember_event(int fd) {
    const std::uint64_t inode = inode_of(fd);
    if (inode == 0 || find(fd) != nullptr) {
        return;
    }
    const int saved = errno;
    const auto wakeups = static_cast<int>(ask(PrivateCommand::ring_events, fd));
    errno = saved;
    const std::size_t place = wakeups >= 0 ? g_known_count.fetch_add(1) : kEventsMax;
    if (place >= kEventsMax) {
        if (wakeups >= 0) {
            g_known_count.store(kEventsMax);
            ::syscall(SYS_close, wakeups);
        }
        return;
    }
    g_known[place].wakeups.store(wakeups, std::memory_order_release);
    g_known[place].inode.store(inode, std::memory_order_release);
}

bool is_event_request(int fd, unsigned long request) {
    constexpr unsigned long kTypeMask = 0xff00, kPerfEvents = '$' << 8U;
    return (request & kTypeMask) == kPerfEvents && may_be_event(fd);
}

int event_request(int fd, unsigned long request, const void* argument) {
    return static_cast<int>(ask(PrivateCommand::event_control, fd,
                                static_cast<std::uint32_t>(request),
                                reinterpret_cast<std::uintptr_t>(argument)));
}

}  // namespace crema::preload

extern "C" {

[[gnu::visibility("default")]] int poll(pollfd* fds, nfds_t count, int timeout_ms) {
    const crema::preload::Stand stand(fds, count);
    return crema::preload::next<int(pollfd*, nfds_t, int)>("poll")(fds, count, timeout_ms);
}

[[gnu::visibility("default")]] int ppoll(pollfd* fds,
                                         nfds_t count,
                                         const timespec* timeout,
                                         const sigset_t* signals) {
    const crema::preload::Stand stand(fds, count);
    return crema::preload::next<int(pollfd*, nfds_t, const timespec*, const sigset_t*)>("ppoll")(
        fds, count, timeout, signals);
}

// What poll and ppoll become in programs that are built with _FORTIFY_SOURCE.
// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming): the names are libc's
[[gnu::visibility("default")]] int __poll_chk(pollfd* fds,
                                              nfds_t count,
                                              int timeout_ms,
                                              size_t bytes) {
    const crema::preload::Stand stand(fds, count);
    return crema::preload::next<int(pollfd*, nfds_t, int, size_t)>("__poll_chk")(fds, count,
                                                                                 timeout_ms, bytes);
}

[[gnu::visibility("default")]] int __ppoll_chk(
    pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* signals, size_t bytes) {
    const crema::preload::Stand stand(fds, count);
    return crema::preload::next<int(pollfd*, nfds_t, const timespec*, const sigset_t*, size_t)>(
        "__ppoll_chk")(fds, count, timeout, signals, bytes);
}

// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)
}
