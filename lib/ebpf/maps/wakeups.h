// SPDX-License-Identifier: BSD-3-Clause
//
// Tells who waits at a ring that it should look: in this process by a counter or a descriptor, in
// another one by a descriptor that is handed over.
//
// Programs ask for it on the packet path, so a burst of packets makes one system call at most, none
// where nobody ever asked for a descriptor, and it never blocks, whatever who has the descriptor
// does to it: for records, others get an epoll instance that watches an eventfd of ours; for room,
// the eventfd itself, at which a wakeup is a read that may not wait.
#pragma once

#include <atomic>
#include <cstdint>

#include "lib/ebpf/abi/run_scope.h"

namespace crema::ebpf::maps {

class Wakeups {
  public:
    enum class For : std::uint8_t {
        records,  // descriptors become readable
        room,     // and writable: each wakeup is an edge, for the level never changes
    };

    /// starts_ready: who gets a descriptor for records finds it readable, as if after a wakeup.
    explicit Wakeups(For what, bool starts_ready = false)
        : what_(what), starts_ready_(starts_ready) {}

    Wakeups(const Wakeups&) = delete;
    Wakeups& operator=(const Wakeups&) = delete;
    ~Wakeups();

    /// Program side, any thread: once the burst is over; at once outside of any.
    void ask() { RunScope::ask(after_); }

    [[nodiscard]] std::uint64_t count() const { return count_.load(std::memory_order_acquire); }

    /// An eventfd for waiters in this process, made when it is first asked for; -1 without room for
    /// one. For records it counts wakeups until it is read.
    [[nodiscard]] int fd();

    /// The same for waiters elsewhere. For records an epoll instance: readable until its event is
    /// taken.
    [[nodiscard]] int shared_fd();

  private:
    /// Its address leads back to the whole.
    struct After : AfterRuns {
        explicit After(Wakeups& of) : AfterRuns(wake_readers), whole(of) {}

        static void wake_readers(AfterRuns& self) { static_cast<After&>(self).whole.wake(); }

        Wakeups& whole;
    };

    void wake();

    For what_;
    bool starts_ready_;
    std::atomic<std::uint64_t> count_{0};
    std::atomic<int> fd_{-1};
    std::atomic<int> shared_fd_{-1};
    After after_{*this};
};

}  // namespace crema::ebpf::maps
