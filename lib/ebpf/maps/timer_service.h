// SPDX-License-Identifier: BSD-3-Clause
//
// The thread that keeps the order of timers' expiries and runs their callbacks. Only timers.cpp
// includes it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <limits>
#include <mutex>
#include <sys/types.h>
#include <thread>
#include <vector>

#include "lib/ebpf/maps/timers.h"

namespace crema::ebpf::maps {

class TimerService {
  public:
    /// The only one; lives to the end of the process.
    [[nodiscard]] static TimerService& instance();

    /// Once.
    [[nodiscard]] Status start();

    /// The thread ends; timers do not expire any more.
    void stop();

    /// Programs: the timer was armed. No memory, no lock.
    void note_change(Timer& timer, std::uint64_t due_ns);
    /// Programs: the last share of an owner went (CallbackOwner::collect).
    void note_idle_owner();

    /// No timer of the table is looked at any more; waits for one whose callback is running, but
    /// for a caller that is this callback's thread.
    void forget(const TimerTable& table);

    /// The timer whose callback the calling thread runs, or null.
    [[nodiscard]] static const Timer* current();

  private:
    /// What was armed; worth nothing when the timer's turn is another by now.
    struct Entry {
        std::uint64_t due_ns;
        std::uint64_t turn;
        Timer* timer;
    };

    static constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();

    [[nodiscard]] static bool is_later(const Entry& one, const Entry& other);
    void work();
    void take_changes();
    void add(const Entry& entry);
    void drop_old_entries();
    /// Runs what is due. False: nothing was.
    bool run_one(std::unique_lock<std::mutex>& lock);
    void run_callback(std::unique_lock<std::mutex>& lock, Timer& timer);
    void sleep_until(std::uint64_t due_ns);
    void wake();

    std::mutex mutex_;               // but while a callback runs
    std::condition_variable ran_;    // a callback has ended
    std::vector<Entry> entries_;     // heap, the next one first
    std::size_t compact_at_ = 1024;  // entries
    const Timer* running_ = nullptr;
    std::atomic<Timer*> changed_{nullptr};
    std::atomic<std::uint64_t> sleeps_until_ns_{0};  // 0: awake
    std::atomic<std::uint32_t> wakeups_{0};          // futex
    std::atomic<bool> has_idle_owner_{false};
    std::atomic<bool> stops_{false};
    std::thread thread_;
    pid_t process_ = 0;  // whose thread it is
};

/// By the monotonic clock.
[[nodiscard]] std::uint64_t monotonic_ns();

}  // namespace crema::ebpf::maps
