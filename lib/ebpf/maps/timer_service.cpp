// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/maps/timer_service.h"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <ctime>
#include <new>
#include <sched.h>
#include <sys/syscall.h>
#include <system_error>
#include <unistd.h>

#include <linux/futex.h>

#include "lib/base/log.h"
#include "lib/ebpf/abi/callback_context.h"
#include "lib/ebpf/abi/run_scope.h"
#include "lib/ebpf/maps/callback_owner.h"
#include "lib/ebpf/maps/map.h"
#include "lib/ebpf/maps/reclaim.h"
#include "lib/ebpf/maps/spin_lock.h"

namespace crema::ebpf::maps {

namespace {

constexpr std::uint64_t kNsPerSecond = 1'000'000'000;

thread_local const Timer* t_current = nullptr;

/// The calling thread may run on one CPU only while this lives.
class Pinned {
  public:
    explicit Pinned(std::uint32_t cpu) {
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        is_pinned_ = sched_getaffinity(0, sizeof before_, &before_) == 0 &&
                     sched_setaffinity(0, sizeof one, &one) == 0;
    }

    Pinned(const Pinned&) = delete;
    Pinned& operator=(const Pinned&) = delete;

    ~Pinned() {
        if (is_pinned_) {
            (void)sched_setaffinity(0, sizeof before_, &before_);
        }
    }

  private:
    cpu_set_t before_{};
    bool is_pinned_;
};

class Stopper {
  public:
    Stopper() = default;
    Stopper(const Stopper&) = delete;
    Stopper& operator=(const Stopper&) = delete;

    ~Stopper() { TimerService::instance().stop(); }
};

/// The context of a callback: there is no packet.
void call(Native callback, Map& map, const void* key, std::uint8_t* value) {
    XdpBuff buff{};
    buff.cpu = static_cast<std::uint32_t>(std::max(sched_getcpu(), 0));
    const RunMark mark;
    const RunScope scope(buff);
    t_callback_context = reinterpret_cast<std::uintptr_t>(&buff);
    callback(reinterpret_cast<std::uintptr_t>(&map), reinterpret_cast<std::uintptr_t>(key),
             reinterpret_cast<std::uintptr_t>(value), 0, 0);
    t_callback_context = 0;
}

}  // namespace

std::uint64_t monotonic_ns() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * kNsPerSecond +
           static_cast<std::uint64_t>(now.tv_nsec);
}

TimerService& TimerService::instance() {
    static auto& the_service = *new TimerService;
    return the_service;
}

/// The order of a heap whose first entry is due next.
bool TimerService::is_later(const Entry& one, const Entry& other) {
    return one.due_ns > other.due_ns;
}

const Timer* TimerService::current() {
    return t_current;
}

Status TimerService::start() {
    const std::lock_guard lock(mutex_);
    if (thread_.joinable()) {
        return {};
    }
    // Signals are for the threads of the program that this is a part of.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int refused = 0;
    try {
        thread_ = std::thread(&TimerService::work, this);
        process_ = getpid();
    } catch (const std::system_error& error) {
        refused = error.code().value();
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (refused != 0) {
        return fail(refused, "the thread of timers cannot be started (errno {})", refused);
    }

    // No callback may run when the process takes its objects down.
    static const Stopper stopper;
    return {};
}

void TimerService::stop() {
    stops_.store(true);
    wake();
    if (!thread_.joinable()) {
        return;
    }
    if (getpid() == process_) {
        thread_.join();
    } else {
        thread_.detach();  // a fork has no such thread
    }
}

// Who pushes looks at the sleeper behind it, who is about to sleep at the list behind having said
// so: one of them sees the other.
void TimerService::note_change(Timer& timer, std::uint64_t due_ns) {
    if (!timer.has_changed.exchange(true)) {
        Timer* first = changed_.load(std::memory_order_relaxed);
        do {
            timer.next_changed = first;
        } while (!changed_.compare_exchange_weak(first, &timer));
        // Who armed it since, to be due earlier, has left the list to us.
        const HeldLock held(timer.locked);
        due_ns = timer.due_ns;
    }
    if (due_ns < sleeps_until_ns_.load()) {
        wake();
    }
}

void TimerService::note_idle_owner() {
    has_idle_owner_.store(true);
    if (sleeps_until_ns_.load() != 0) {
        wake();
    }
}

void TimerService::wake() {
    sleeps_until_ns_.store(0);
    wakeups_.fetch_add(1);
    ::syscall(SYS_futex, &wakeups_, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
}

void TimerService::sleep_until(std::uint64_t due_ns) {
    const std::uint32_t seen = wakeups_.load();
    sleeps_until_ns_.store(due_ns);
    if (changed_.load() == nullptr && !has_idle_owner_.load() && !stops_.load()) {
        const timespec when{.tv_sec = static_cast<time_t>(due_ns / kNsPerSecond),
                            .tv_nsec = static_cast<long>(due_ns % kNsPerSecond)};
        // WAIT_BITSET takes a point in time of the monotonic clock.
        ::syscall(SYS_futex, &wakeups_, FUTEX_WAIT_BITSET_PRIVATE, seen,
                  due_ns == kNever ? nullptr : &when, nullptr, FUTEX_BITSET_MATCH_ANY);
    }
    sleeps_until_ns_.store(0);
}

void TimerService::take_changes() {
    Timer* timer = changed_.exchange(nullptr);
    while (timer != nullptr) {
        Timer* const next = timer->next_changed;
        timer->has_changed.store(false);  // who arms it from here on comes again
        Entry entry{.due_ns = 0, .turn = 0, .timer = timer};
        bool is_armed = false;
        {
            const HeldLock held(timer->locked);
            is_armed = timer->is_armed;
            entry.due_ns = timer->due_ns;
            entry.turn = timer->turn;
        }
        if (is_armed) {
            add(entry);
        }
        timer = next;
    }
    if (entries_.size() >= compact_at_) {
        drop_old_entries();
    }
}

void TimerService::add(const Entry& entry) {
    try {
        entries_.push_back(entry);
        std::push_heap(entries_.begin(), entries_.end(), is_later);
    } catch (const std::bad_alloc&) {
        log::warning("map {}: no memory for a timer, it does not expire",
                     entry.timer->table->map().spec().name);
    }
}

/// Entries of timers that were armed anew since would stay until they are due.
void TimerService::drop_old_entries() {
    std::erase_if(entries_, [](const Entry& entry) {
        const HeldLock held(entry.timer->locked);
        return !entry.timer->is_armed || entry.timer->turn != entry.turn;
    });
    std::make_heap(entries_.begin(), entries_.end(), is_later);
    compact_at_ = std::max<std::size_t>(1024, 2 * entries_.size());
}

bool TimerService::run_one(std::unique_lock<std::mutex>& lock) {
    if (entries_.empty() || entries_.front().due_ns > monotonic_ns()) {
        return false;
    }
    std::pop_heap(entries_.begin(), entries_.end(), is_later);
    const Entry entry = entries_.back();
    entries_.pop_back();
    Timer& timer = *entry.timer;
    {
        const HeldLock held(timer.locked);
        if (!timer.is_armed || timer.turn != entry.turn) {
            return true;
        }
        timer.is_armed = false;
        timer.turn++;
        timer.is_running.store(true);
    }
    run_callback(lock, timer);
    return true;
}

void TimerService::run_callback(std::unique_lock<std::mutex>& lock, Timer& timer) {
    Native callback = nullptr;
    std::uint32_t element = 0;
    std::uint32_t cpu = 0;
    bool is_pinned = false;
    {
        const HeldLock held(timer.locked);
        callback = timer.callback;
        element = timer.element;
        cpu = timer.cpu;
        is_pinned = timer.is_pinned;
    }
    running_ = &timer;
    t_current = &timer;
    lock.unlock();
    if (callback != nullptr) {
        Map& map = timer.table->map();
        const ElementPlace place = map.element_place(element);
        if (is_pinned) {
            const Pinned pinned(cpu);
            call(callback, map, place.key != nullptr ? place.key : &element, place.value);
        } else {
            call(callback, map, place.key != nullptr ? place.key : &element, place.value);
        }
    }
    lock.lock();
    timer.is_running.store(false);
    t_current = nullptr;
    running_ = nullptr;
    ran_.notify_all();
}

void TimerService::work() {
    // Callbacks in a row; one that is due again at once must not keep all else from being done.
    constexpr int kRunsAtOnce = 64;
    std::unique_lock lock(mutex_);
    while (!stops_.load()) {
        take_changes();
        for (int i = 0; i < kRunsAtOnce && run_one(lock); ++i) {
            take_changes();
        }
        if (has_idle_owner_.exchange(false)) {
            lock.unlock();
            CallbackOwner::collect();  // programs go, and maps with them, which come to forget()
            lock.lock();
        }
        const std::uint64_t due = entries_.empty() ? kNever : entries_.front().due_ns;
        lock.unlock();
        sleep_until(due);
        lock.lock();
    }
}

void TimerService::forget(const TimerTable& table) {
    std::unique_lock lock(mutex_);
    take_changes();
    std::erase_if(entries_, [&](const Entry& entry) { return entry.timer->table == &table; });
    std::make_heap(entries_.begin(), entries_.end(), is_later);
    ran_.wait(lock, [&] {
        return running_ == nullptr || running_->table != &table || running_ == t_current;
    });
}

}  // namespace crema::ebpf::maps
