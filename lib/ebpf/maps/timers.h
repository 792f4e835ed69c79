// SPDX-License-Identifier: BSD-3-Clause
//
// struct bpf_timer: sixteen bytes in a map value that stand for a timer, whose expiry runs a
// function of a program as callback(map, key, value).
//
// The timers of a map lie side by side, one for each element, in memory that is backed when it is
// first used; the field of a value holds the address of its timer from init until the element goes.
// So programs need no allocation. What they change they change under the timer's own lock, for a
// few instructions, and leave word of it in a list without a lock; one service thread takes the
// list, keeps the order of expiries, sleeps, and runs the callbacks, one at a time. Waking it is a
// system call, made only for a timer that is due before what it sleeps for.
//
// A timer with a callback keeps the program of the callback (callback_owner.h), as in the kernel,
// and therefore the maps of that program, perhaps its own. That circle ends when the last user of
// the map goes: all its timers are cancelled then, and no new ones start (EPERM).
//
// Callbacks run on whatever CPU the service thread is, but for timers that are pinned to theirs.
// A clock that somebody sets moves no timer that is running.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "lib/base/result.h"
#include "lib/ebpf/abi/native.h"
#include "lib/ebpf/maps/memory.h"

namespace crema::ebpf::maps {

class CallbackOwner;
class Map;
class TimerTable;

/// Memory of zeros is a timer that is not in use.
struct Timer {
    std::uint32_t locked;  // HeldLock; what follows up to `next_known` is under it
    bool is_used;          // between init and the end of its element
    bool is_armed;
    bool is_pinned;
    bool is_known;  // in the table's list; element and table stay then
    std::int32_t clock;
    std::uint32_t cpu;      // where it was started
    std::uint32_t element;  // number in its map
    std::uint64_t due_ns;   // by the monotonic clock
    std::uint64_t turn;     // changes when it is armed, disarmed, run
    Native callback;
    CallbackOwner* owner;  // of the callback: counts this timer
    TimerTable* table;
    Timer* next_known;
    std::atomic<bool> is_running;
    std::atomic<bool> has_changed;  // is in the service's list
    Timer* next_changed;
};

/// The timers of one map. Functions that programs call take the address of the field in a value.
class TimerTable {
  public:
    /// elements: highest number of one, plus one. field_offset: in values. ENOMEM.
    [[nodiscard]] static Result<std::unique_ptr<TimerTable>> make(Map& map,
                                                                  std::uint64_t elements,
                                                                  std::uint32_t field_offset);

    TimerTable(Map& map, std::uint32_t field_offset, Memory memory)
        : map_(map), field_offset_(field_offset), memory_(std::move(memory)) {}

    /// Waits for a callback that is running. Nothing may use the map any more.
    ~TimerTable();
    TimerTable(const TimerTable&) = delete;
    TimerTable& operator=(const TimerTable&) = delete;

    [[nodiscard]] Map& map() const { return map_; }

    [[nodiscard]] std::uint32_t field_offset() const { return field_offset_; }

    /// The timer whose field is at `field` is in use from now on. 0; -EBUSY: it is; -EPERM: the map
    /// has no user; -EINVAL: the field lies in no value of this map.
    [[nodiscard]] int init(std::uint8_t* field, std::int32_t clock);

    /// The element of the value goes: its timer is cancelled, and the field is zero. A callback
    /// that is running goes on. Any thread.
    void drop(std::uint8_t* value) const;

    /// All of them. Any thread.
    void drop_all() const;

  private:
    [[nodiscard]] Timer& at(std::uint32_t element) const {
        return reinterpret_cast<Timer*>(memory_.data())[element];
    }

    void end_all() const;

    Map& map_;
    std::uint32_t field_offset_;
    Memory memory_;                       // element_count() timers
    std::atomic<Timer*> known_{nullptr};  // all that were ever used
};

namespace timers {

/// Starts the service thread, once. EAGAIN: there is no room for another thread. Control threads.
[[nodiscard]] Status start_service();

// What programs ask of a timer in use; -EINVAL: the field has none.

/// -EPERM: the map has no user; -ENOENT: the callback's program is on its way out.
[[nodiscard]] int set_callback(std::uint8_t* field, Native callback);

inline constexpr std::uint64_t kAbsolute = 1, kPinned = 2;  // flags of start

/// -EINVAL also without a callback. ns: until it expires, or with kAbsolute when by its clock.
[[nodiscard]] int start(std::uint8_t* field,
                        std::uint64_t ns,
                        std::uint64_t flags,
                        std::uint32_t cpu);

/// 1: it was armed; 0: it was not. Waits for a callback that is running; -EDEADLK: from that
/// callback itself. Afterwards it has no callback.
[[nodiscard]] int cancel(std::uint8_t* field);

}  // namespace timers

}  // namespace crema::ebpf::maps
