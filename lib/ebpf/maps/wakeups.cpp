// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/maps/wakeups.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>
#include <utility>

#include "lib/base/unique_fd.h"

namespace crema::ebpf::maps {

namespace {

/// Puts `fresh` there unless another thread was first. What is there, or -1.
int settle(std::atomic<int>& place, UniqueFd fresh) {
    int known = -1;
    if (!fresh.valid() || !place.compare_exchange_strong(known, fresh.get())) {
        return known;
    }
    return fresh.release();
}

void add(int fd, std::uint64_t count) {
    (void)!write(fd, &count, sizeof count);
}

/// Each wakeup takes one of a count that never ends.
UniqueFd make_countdown() {
    constexpr std::uint64_t kStart = std::uint64_t{1} << 62U;
    UniqueFd fresh(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE));
    if (fresh.valid()) {
        add(fresh.get(), kStart);
    }
    return fresh;
}

UniqueFd make_watch(int events) {
    UniqueFd fresh(epoll_create1(EPOLL_CLOEXEC));
    epoll_event edge{};
    edge.events = EPOLLIN | EPOLLET;
    if (events < 0 || !fresh.valid() || epoll_ctl(fresh.get(), EPOLL_CTL_ADD, events, &edge) != 0) {
        return UniqueFd();
    }
    return fresh;
}

}  // namespace

Wakeups::~Wakeups() {
    const UniqueFd events(fd_.load(std::memory_order_relaxed));
    const UniqueFd watch(shared_fd_.load(std::memory_order_relaxed));
}

int Wakeups::fd() {
    if (const int known = fd_.load(); known >= 0) {
        return known;
    }
    if (what_ == For::room) {
        return settle(fd_, make_countdown());
    }
    const int made =
        settle(fd_, UniqueFd(eventfd(starts_ready_ ? 1 : 0, EFD_CLOEXEC | EFD_NONBLOCK)));
    // Looked at behind the store: who has woken before has not seen the descriptor.
    if (made >= 0 && count_.load() != 0) {
        add(made, 1);
    }
    return made;
}

int Wakeups::shared_fd() {
    if (what_ == For::room) {
        return fd();
    }
    const int known = shared_fd_.load();
    return known >= 0 ? known : settle(shared_fd_, make_watch(fd()));
}

void Wakeups::wake() {
    count_.fetch_add(1);
    const int events = fd_.load();
    if (events < 0) {
        return;
    }
    if (what_ == For::records) {
        add(events, 1);
        return;
    }
    std::uint64_t taken = 0;
    const iovec to{.iov_base = &taken, .iov_len = sizeof taken};
    (void)!preadv2(events, &to, 1, -1, RWF_NOWAIT);
}

}  // namespace crema::ebpf::maps
