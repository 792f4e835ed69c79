// SPDX-License-Identifier: BSD-3-Clause
//
// What programs do to timers. The order of errors is the kernel's.
#include "lib/ebpf/maps/timers.h"

#include <cerrno>
#include <ctime>
#include <sched.h>
#include <utility>

#include "lib/base/cpu_pause.h"
#include "lib/ebpf/maps/callback_owner.h"
#include "lib/ebpf/maps/map.h"
#include "lib/ebpf/maps/spin_lock.h"
#include "lib/ebpf/maps/timer_service.h"

namespace crema::ebpf::maps {

namespace {

/// The first half of a field: its timer, while there is one.
std::atomic<Timer*>& timer_of(std::uint8_t* field) {
    return *reinterpret_cast<std::atomic<Timer*>*>(field);
}

/// Under the timer's lock.
void disarm(Timer& timer) {
    timer.is_armed = false;
    timer.turn++;
}

/// Under the timer's lock: it calls nothing any more. True: a program may go.
bool drop_callback(Timer& timer) {
    timer.callback = nullptr;
    CallbackOwner* const owner = std::exchange(timer.owner, nullptr);
    return owner != nullptr && owner->unshare();
}

/// Under the timer's lock: its element is gone. True: a program may go.
bool end(Timer& timer) {
    disarm(timer);
    timer.is_used = false;
    return drop_callback(timer);
}

void note_idle_owner(bool has_idle_owner) {
    if (has_idle_owner) {
        TimerService::instance().note_idle_owner();
    }
}

std::uint64_t now_of(std::int32_t clock) {
    constexpr std::uint64_t kNsPerSecond = 1'000'000'000;
    timespec now{};
    clock_gettime(clock, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * kNsPerSecond +
           static_cast<std::uint64_t>(now.tv_nsec);
}

/// When it is due by the monotonic clock. Times are signed for the kernel, what is over is due now,
/// and what is too far is never due.
std::uint64_t due_of(std::int32_t clock, std::uint64_t ns, bool is_absolute) {
    const std::uint64_t now = monotonic_ns();
    const auto span = static_cast<std::int64_t>(is_absolute ? ns - now_of(clock) : ns);
    const bool is_over = span <= 0 || (is_absolute && static_cast<std::int64_t>(ns) <= 0);
    return is_over ? now : now + static_cast<std::uint64_t>(span);
}

}  // namespace

Result<std::unique_ptr<TimerTable>> TimerTable::make(Map& map,
                                                     std::uint64_t elements,
                                                     std::uint32_t field_offset) {
    auto memory = Memory::allocate(elements * sizeof(Timer), Memory::Sharing::private_reserved);
    if (!memory) {
        return forward_error(memory);
    }
    return std::make_unique<TimerTable>(map, field_offset, std::move(*memory));
}

TimerTable::~TimerTable() {
    end_all();
    TimerService::instance().forget(*this);
}

int TimerTable::init(std::uint8_t* field, std::int32_t clock) {
    const std::uint32_t element = map_.element_of(field);
    if (element >= map_.element_count() ||
        map_.element_place(element).value + field_offset_ != field) {
        return -EINVAL;
    }
    std::atomic<Timer*>& word = timer_of(field);
    Timer& timer = at(element);
    bool dropped = false;
    {
        const HeldLock held(timer.locked);
        if (word.load(std::memory_order_acquire) != nullptr) {
            return -EBUSY;
        }
        // Also one that somebody has made in the element's last life, by an old address.
        dropped = end(timer);
        timer.is_used = true;
        timer.clock = clock;
        if (!std::exchange(timer.is_known, true)) {
            timer.element = element;
            timer.table = this;
            Timer* first = known_.load();
            do {
                timer.next_known = first;
            } while (!known_.compare_exchange_weak(first, &timer));
        }
        word.store(&timer);
    }
    note_idle_owner(dropped);
    // Looked at behind the store: the last user of the map goes and ends all timers, or is seen
    // to have gone.
    if (!map_.has_users()) {
        drop(field - field_offset_);
        return -EPERM;
    }
    return 0;
}

void TimerTable::drop(std::uint8_t* value) const {
    std::atomic<Timer*>& word = timer_of(value + field_offset_);
    Timer* const timer = word.load();
    if (timer == nullptr) {
        return;
    }
    bool dropped = false;
    {
        const HeldLock held(timer->locked);
        if (word.load(std::memory_order_acquire) != timer) {
            return;
        }
        word.store(nullptr, std::memory_order_release);
        dropped = end(*timer);
    }
    note_idle_owner(dropped);
}

void TimerTable::end_all() const {
    for (Timer* timer = known_.load(); timer != nullptr; timer = timer->next_known) {
        bool dropped = false;
        {
            const HeldLock held(timer->locked);
            dropped = end(*timer);
        }
        note_idle_owner(dropped);
    }
}

void TimerTable::drop_all() const {
    for (const Timer* timer = known_.load(); timer != nullptr; timer = timer->next_known) {
        drop(map_.element_place(timer->element).value);
    }
    end_all();  // those, too, whose element was reused without them
}

namespace timers {

Status start_service() {
    return TimerService::instance().start();
}

int set_callback(std::uint8_t* field, Native callback) {
    Timer* const timer = timer_of(field).load(std::memory_order_acquire);
    if (timer == nullptr) {
        return -EINVAL;
    }
    if (!timer->table->map().has_users()) {
        return -EPERM;
    }
    CallbackOwner* const owner = CallbackOwner::share(callback);
    if (owner == nullptr) {
        return -ENOENT;
    }
    bool dropped = false;
    bool is_used = true;
    {
        const HeldLock held(timer->locked);
        is_used = timer->is_used;
        if (is_used) {
            dropped = drop_callback(*timer);
            timer->callback = callback;
            timer->owner = owner;
        }
    }
    if (!is_used) {
        dropped = owner->unshare();
    }
    note_idle_owner(dropped);
    return is_used ? 0 : -EINVAL;
}

int start(std::uint8_t* field, std::uint64_t ns, std::uint64_t flags, std::uint32_t cpu) {
    if ((flags & ~(kAbsolute | kPinned)) != 0) {
        return -EINVAL;
    }
    Timer* const timer = timer_of(field).load(std::memory_order_acquire);
    if (timer == nullptr) {
        return -EINVAL;
    }
    std::uint64_t due = 0;
    {
        const HeldLock held(timer->locked);
        if (!timer->is_used || timer->callback == nullptr) {
            return -EINVAL;
        }
        due = due_of(timer->clock, ns, (flags & kAbsolute) != 0);
        timer->due_ns = due;
        timer->is_armed = true;
        timer->is_pinned = (flags & kPinned) != 0;
        timer->cpu = cpu;
        timer->turn++;
    }
    TimerService::instance().note_change(*timer, due);
    return 0;
}

int cancel(std::uint8_t* field) {
    constexpr std::uint32_t kSpins = 1024;
    Timer* const timer = timer_of(field).load(std::memory_order_acquire);
    if (timer == nullptr) {
        return -EINVAL;
    }
    if (TimerService::current() == timer) {
        return -EDEADLK;
    }
    bool was_armed = false;
    bool dropped = false;
    {
        const HeldLock held(timer->locked);
        was_armed = timer->is_armed;
        disarm(*timer);
        dropped = drop_callback(*timer);
    }
    for (std::uint32_t tried = 0; timer->is_running.load(std::memory_order_acquire); ++tried) {
        if (tried < kSpins) {
            cpu_pause();
        } else {
            sched_yield();
        }
    }
    note_idle_owner(dropped);
    return was_armed ? 1 : 0;
}

}  // namespace timers

}  // namespace crema::ebpf::maps
