// SPDX-License-Identifier: BSD-3-Clause
//
// Publication: a reader counts itself in before it loads the pointer. An update stores the new
// pointer and then sees every counter at zero once: who counts in later loads the new pointer, so
// nobody is left in the old snapshot.
#include "lib/fib/mirror.h"

#include <array>
#include <cerrno>
#include <memory>
#include <mutex>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <utility>

#include "lib/base/log.h"
#include "lib/fib/netlink.h"

namespace crema::fib {

namespace {

constexpr int kSettleMs = 10;         // changes come in groups
constexpr int kRetryMs = 1000;        // after a failure
constexpr std::size_t kStripes = 64;  // threads spread over this many counters

constexpr std::array<std::uint32_t, 11> kGroups = {
    RTNLGRP_LINK,         RTNLGRP_NEIGH,        RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
    RTNLGRP_IPV4_ROUTE,   RTNLGRP_IPV6_ROUTE,   RTNLGRP_IPV4_RULE,   RTNLGRP_IPV6_RULE,
    RTNLGRP_IPV4_NETCONF, RTNLGRP_IPV6_NETCONF, RTNLGRP_NEXTHOP};

struct alignas(64) Stripe {
    std::atomic<std::uint32_t> readers{0};
};

constinit std::array<Stripe, kStripes> g_stripes{};
constinit std::atomic<const Snapshot*> g_snapshot{nullptr};
constinit std::atomic<std::uint32_t> g_threads{0};
std::mutex g_writer;

std::atomic<std::uint32_t>& stripe_of_this_thread() {
    thread_local const std::size_t stripe = g_threads.fetch_add(1) % kStripes;
    return g_stripes[stripe].readers;
}

void publish(std::unique_ptr<const Snapshot> snapshot) {
    const std::lock_guard lock(g_writer);
    const std::unique_ptr<const Snapshot> old(g_snapshot.exchange(snapshot.release()));
    for (const Stripe& stripe : g_stripes) {
        while (stripe.readers.load() != 0) {
            sched_yield();
        }
    }
}

/// Throws away what is waiting: that something changed is all that counts.
void drain(int fd) {
    std::array<std::uint8_t, 8192> bytes;
    while (recv(fd, bytes.data(), bytes.size(), MSG_DONTWAIT) > 0 || errno == ENOBUFS ||
           errno == EINTR) {
        errno = 0;
    }
}

class Listener {
  public:
    Listener(UniqueFd notifications, UniqueFd stop)
        : notifications_(std::move(notifications)),
          stop_(std::move(stop)),
          thread_([this] { run(); }) {}

    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;

    ~Listener() {
        const std::uint64_t one = 1;
        (void)!write(stop_.get(), &one, sizeof one);
        thread_.join();
    }

  private:
    /// False: the process ends.
    [[nodiscard]] bool wait(bool for_notifications, int timeout_ms) {
        std::array<pollfd, 2> fds = {pollfd{stop_.get(), POLLIN, 0},
                                     pollfd{notifications_.get(), POLLIN, 0}};
        (void)poll(fds.data(), for_notifications ? 2 : 1, timeout_ms);
        return fds[0].revents == 0;
    }

    void run() {
        bool has_failed = false;
        while (wait(!has_failed, has_failed ? kRetryMs : -1)) {
            if (!has_failed && !wait(false, kSettleMs)) {
                return;
            }
            // First empty the queue, then read: a change in between is heard again.
            drain(notifications_.get());
            const Status read = refresh_mirror();
            if (!read && !has_failed) {
                log::warning("fib: routes may be out of date: {}", read.error().message);
            }
            has_failed = !read;
        }
    }

    UniqueFd notifications_;
    UniqueFd stop_;
    std::thread thread_;
};

}  // namespace

Status refresh_mirror() {
    auto snapshot = take_snapshot();
    if (!snapshot) {
        return forward_error(snapshot);
    }
    publish(std::make_unique<const Snapshot>(std::move(*snapshot)));
    return {};
}

Status start_mirror() {
    static std::mutex starting;
    static std::unique_ptr<Listener> listener;
    const std::lock_guard lock(starting);
    if (listener != nullptr) {
        return {};
    }
    auto notifications = open_netlink(kGroups);
    if (!notifications) {
        return forward_error(notifications);
    }
    UniqueFd stop(eventfd(0, EFD_CLOEXEC));
    if (!stop.valid()) {
        return fail(errno, "eventfd: errno {}", errno);
    }
    if (auto read = refresh_mirror(); !read) {
        return read;
    }
    listener = std::make_unique<Listener>(std::move(*notifications), std::move(stop));
    return {};
}

MirrorReader::MirrorReader() : readers_(&stripe_of_this_thread()) {
    readers_->fetch_add(1);
    snapshot_ = g_snapshot.load();
}

MirrorReader::~MirrorReader() {
    readers_->fetch_sub(1);
}

}  // namespace crema::fib
