// SPDX-License-Identifier: BSD-3-Clause
#include "lib/xdp/event_log.h"

#include <algorithm>
#include <chrono>
#include <compare>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <unordered_map>

#include <rte_alarm.h>
#include <rte_cycles.h>
#include <rte_lcore.h>

#include "lib/base/log.h"
#include "lib/ebpf/program/run_config.h"
#include "lib/ebpf/syscall/object_ids.h"
#include "lib/xdp/event_text.h"

namespace crema::xdp {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::duration_cast;
using std::chrono::nanoseconds;

constexpr std::uint64_t kLookUs = 1'000'000;
constexpr std::chrono::seconds kPause{10};  // between two lines of one kind
constexpr std::size_t kKindsMax = 256;      // that are kept apart

/// Failures that are told together.
struct Kind {
    EventKind kind;
    std::uint32_t program_id;
    std::uint32_t act;
    std::int32_t err;
    std::uint32_t ifindex;
    std::uint32_t queue;
    std::uint32_t to;

    auto operator<=>(const Kind&) const = default;
};

struct Told {
    std::uint64_t frames = 0;  // since the last line
    std::optional<Clock::time_point> last;
    Event event;
};

struct Log {
    std::mutex mutex;
    std::optional<EventReader> reader;
    std::map<Kind, Told> kinds;
    std::unordered_map<std::uint32_t, LastError> last;  // by program
    std::uint64_t missed = 0;                           // since the last line about them
    std::uint32_t users = 0;
};

Log& the_log() {
    static auto& instance = *new Log;
    return instance;
}

std::uint64_t unix_ns() {
    return static_cast<std::uint64_t>(
        duration_cast<nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count());
}

bool is_there(std::uint32_t program_id) {
    using namespace ebpf::syscall;
    return object_ids::find(object_ids::Kind::program, program_id).has_value();
}

std::string name_of(std::uint32_t program_id) {
    using namespace ebpf::syscall;
    const auto object = object_ids::find(object_ids::Kind::program, program_id);
    const auto* const program = object ? std::get_if<ProgramObject>(&*object) : nullptr;
    return program != nullptr ? std::string(ebpf::full_name_of(program->program->program))
                              : std::string();
}

void note(Log& log, const Event& event, std::uint64_t now_tsc, std::uint64_t now_ns) {
    const std::uint64_t behind = now_tsc > event.tsc ? now_tsc - event.tsc : 0;
    const double behind_s = static_cast<double>(behind) / static_cast<double>(rte_get_tsc_hz());
    if (event.program_id != 0) {
        log.last[event.program_id] = {
            .event = event, .unix_ns = now_ns - static_cast<std::uint64_t>(behind_s * 1e9)};
    }
    const Kind kind{.kind = event.kind,
                    .program_id = event.program_id,
                    .act = event.act,
                    .err = event.err,
                    .ifindex = event.ifindex,
                    .queue = event.queue,
                    .to = event.to};
    if (log.kinds.size() >= kKindsMax && !log.kinds.contains(kind)) {
        ++log.missed;
        return;
    }
    Told& told = log.kinds[kind];
    told.event = event;
    told.frames += std::max(event.drops, 1U);
}

void look(Log& log) {
    const EventBoard* const board = event_board();
    if (board == nullptr) {
        return;
    }
    if (!log.reader) {
        log.reader.emplace(*board, false);
    }
    const std::uint64_t now_ns = unix_ns();
    const std::uint64_t now_tsc = rte_rdtsc();
    log.reader->read([&](const Event& event) { note(log, event, now_tsc, now_ns); }, log.missed);
}

void tell(Log& log) {
    const Clock::time_point now = Clock::now();
    bool told_any = false;
    for (auto& [kind, told] : log.kinds) {
        if (told.frames == 0 || (told.last && now - *told.last < kPause)) {
            continue;
        }
        log::warning("{}{}", text_of(told.event, name_of(kind.program_id)),
                     told.frames == 1 ? "" : fmt::format(" ({} frames)", told.frames));
        told.frames = 0;
        told.last = now;
        told_any = true;
    }
    if (told_any && log.missed != 0) {
        log::warning("{} more events came too fast to be looked at; counters have all", log.missed);
        log.missed = 0;
    }
    std::erase_if(log.kinds, [now](const auto& each) {
        return each.second.frames == 0 && each.second.last && now - *each.second.last > kPause;
    });
    std::erase_if(log.last, [](const auto& each) { return !is_there(each.first); });
}

void on_alarm(void* /*unused*/) {
    look_at_events();
    (void)rte_eal_alarm_set(kLookUs, on_alarm, nullptr);
}

}  // namespace

EventLog::EventLog() {
    Log& log = the_log();
    const std::scoped_lock guard(log.mutex);
    // Without EAL there is no such thread, and ports only stand for numbers.
    if (log.users++ == 0 && rte_lcore_count() != 0) {
        (void)rte_eal_alarm_set(kLookUs, on_alarm, nullptr);
    }
}

EventLog::~EventLog() {
    Log& log = the_log();
    {
        const std::scoped_lock guard(log.mutex);
        if (--log.users != 0 || rte_lcore_count() == 0) {
            return;
        }
    }
    // Waits for one that runs, which takes the lock.
    (void)rte_eal_alarm_cancel(on_alarm, nullptr);
}

void look_at_events() {
    Log& log = the_log();
    const std::scoped_lock guard(log.mutex);
    look(log);
    tell(log);
}

std::optional<LastError> last_error_of(std::uint32_t program_id) {
    Log& log = the_log();
    const std::scoped_lock guard(log.mutex);
    look(log);
    const auto found = log.last.find(program_id);
    return found != log.last.end() ? std::optional(found->second) : std::nullopt;
}

}  // namespace crema::xdp
