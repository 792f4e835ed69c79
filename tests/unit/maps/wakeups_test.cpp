// SPDX-License-Identifier: BSD-3-Clause
//
// Wakeups of who waits at a ring: what its descriptors show, and that nothing that is done to a
// descriptor that was handed over keeps a program waiting.
#include "lib/ebpf/maps/wakeups.h"

#include <array>
#include <cerrno>
#include <cstdint>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "lib/base/unique_fd.h"

namespace crema::test {
namespace {

using ebpf::RunScope;
using ebpf::XdpBuff;
using ebpf::maps::Wakeups;

bool is_readable(int fd) {
    pollfd wait{.fd = fd, .events = POLLIN, .revents = 0};
    return poll(&wait, 1, 0) == 1 && (wait.revents & POLLIN) != 0;
}

/// As the preload library waits: an epoll instance that sees edges.
class Waiter {
  public:
    Waiter(int fd, std::uint32_t events) : epoll_(epoll_create1(EPOLL_CLOEXEC)) {
        epoll_event edge{};
        edge.events = events | EPOLLET;
        EXPECT_EQ(epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &edge), 0);
    }

    /// Since the last call.
    [[nodiscard]] bool was_woken() const {
        epoll_event event{};
        return epoll_wait(epoll_.get(), &event, 1, 0) == 1;
    }

  private:
    UniqueFd epoll_;
};

TEST(Wakeups, OfRecordsMakeDescriptorsReadable) {
    Wakeups wakeups(Wakeups::For::records);
    const int own = wakeups.fd();
    const int shared = wakeups.shared_fd();
    ASSERT_GE(own, 0);
    ASSERT_GE(shared, 0);
    EXPECT_NE(own, shared);
    EXPECT_EQ(wakeups.fd(), own);
    EXPECT_EQ(wakeups.shared_fd(), shared);
    EXPECT_FALSE(is_readable(own));
    EXPECT_FALSE(is_readable(shared));
    const Waiter waiter(shared, EPOLLIN);
    EXPECT_FALSE(waiter.was_woken());
    for (std::uint64_t i = 1; i <= 3; ++i) {
        wakeups.ask();
        EXPECT_EQ(wakeups.count(), i);
        EXPECT_TRUE(waiter.was_woken()) << "wakeup " << i << ", nothing is taken";
        EXPECT_FALSE(waiter.was_woken());
    }
    EXPECT_TRUE(is_readable(shared));
    epoll_event taken{};
    EXPECT_EQ(epoll_wait(shared, &taken, 1, 0), 1);
    EXPECT_FALSE(is_readable(shared));
    wakeups.ask();
    EXPECT_TRUE(is_readable(shared));
    std::uint64_t count = 0;
    ASSERT_EQ(read(own, &count, sizeof count), static_cast<ssize_t>(sizeof count));
    EXPECT_EQ(count, 4U);
}

TEST(Wakeups, BeforeTheDescriptorAreShownByIt) {
    Wakeups wakeups(Wakeups::For::records);
    wakeups.ask();
    EXPECT_TRUE(is_readable(wakeups.shared_fd()));
    Wakeups ready(Wakeups::For::records, true);
    EXPECT_TRUE(is_readable(ready.shared_fd()));
    EXPECT_EQ(ready.count(), 0U);
}

TEST(Wakeups, ComeOncePerBurst) {
    Wakeups wakeups(Wakeups::For::records);
    const XdpBuff buff{};
    {
        const RunScope burst(buff);
        wakeups.ask();
        wakeups.ask();
        EXPECT_EQ(wakeups.count(), 0U);
    }
    EXPECT_EQ(wakeups.count(), 1U);
}

TEST(Wakeups, OfRoomAreEdges) {
    Wakeups wakeups(Wakeups::For::room);
    const Waiter waiter(wakeups.shared_fd(), EPOLLOUT);
    EXPECT_TRUE(waiter.was_woken()) << "there was room at first";
    for (int i = 0; i < 3; ++i) {
        wakeups.ask();
        EXPECT_TRUE(waiter.was_woken());
        EXPECT_FALSE(waiter.was_woken());
    }
    EXPECT_EQ(wakeups.count(), 3U);
}

// Flags belong to the open file, so whoever has it too may make calls on it wait.
TEST(Wakeups, NeverWaitForWhoHasTheDescriptor) {
    Wakeups records(Wakeups::For::records);
    ASSERT_GE(records.shared_fd(), 0);
    const std::uint64_t most = ~std::uint64_t{0} - 1;
    EXPECT_LT(write(records.shared_fd(), &most, sizeof most), 0) << "nobody else has the counter";
    ASSERT_EQ(fcntl(records.shared_fd(), F_SETFL, 0), 0);
    records.ask();
    EXPECT_TRUE(is_readable(records.shared_fd()));

    Wakeups room(Wakeups::For::room);
    const int shared = room.shared_fd();
    ASSERT_EQ(fcntl(shared, F_SETFL, 0), 0);
    const std::uint64_t rest = most - (std::uint64_t{1} << 62U);
    ASSERT_EQ(write(shared, &rest, sizeof rest), static_cast<ssize_t>(sizeof rest));
    room.ask();
    EXPECT_EQ(room.count(), 1U);
    const Waiter waiter(shared, EPOLLOUT);
    (void)waiter.was_woken();
    room.ask();
    EXPECT_TRUE(waiter.was_woken());
}

}  // namespace
}  // namespace crema::test
