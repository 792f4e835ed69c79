// SPDX-License-Identifier: BSD-3-Clause
#include "lib/page_pool/retire.h"

#include <algorithm>
#include <chrono>
#include <mutex>

#include <rte_alarm.h>
#include <rte_cycles.h>

#include "lib/base/log.h"
#include "lib/page_pool/fragments.h"
#include "lib/page_pool/holders.h"
#include "lib/page_pool/page_pool.h"

namespace crema::page_pool {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kSayEvery(60);
constexpr std::uint64_t kLookEveryUs = 1'000'000;
/// Whoever gave the last page back may still be on his way out of the pool, or of a lcore cache
/// that has counted the page and not stored it yet.
constexpr std::chrono::milliseconds kGrace(100);
constexpr unsigned kGraceAtOnceUs = 1000;

struct Waiting {
    rte_mempool* pool;
    Clock::time_point since;
    Clock::time_point say_at;
    Clock::time_point complete_at{};  // all pages were seen at home first; epoch: not yet
};

struct List {
    std::mutex lock;
    std::vector<Waiting> waiting;
    bool alarm_is_set = false;
};

List& list() {
    static auto& the_list = *new List;  // EAL's thread may look until the process ends
    return the_list;
}

void set_alarm(List& all);

/// Notes which pools are complete now; true: some are that were not before.
bool note_complete(List& all, Clock::time_point now) {
    bool are_new = false;
    for (Waiting& each : all.waiting) {
        drop_fragment_page(each.pool);
        if (stats(each.pool).in_flight != 0) {
            each.complete_at = {};
        } else if (each.complete_at == Clock::time_point{}) {
            each.complete_at = now;
            are_new = true;
        }
    }
    return are_new;
}

/// Under the lock: destroys what is complete for `grace`, says what waits for long.
void look(List& all, Clock::time_point now, Clock::duration grace) {
    std::erase_if(all.waiting, [now, grace](const Waiting& each) {
        return each.complete_at != Clock::time_point{} && now - each.complete_at >= grace &&
               destroy(each.pool).has_value();
    });
    for (Waiting& each : all.waiting) {
        if (now < each.say_at || each.complete_at != Clock::time_point{}) {
            continue;
        }
        each.say_at = now + kSayEvery;
        log::warning("page pool {} waits since {} s for {} pages: {}",
                     static_cast<const char*>(each.pool->name),
                     std::chrono::duration_cast<std::chrono::seconds>(now - each.since).count(),
                     stats(each.pool).in_flight, describe(holders_of(each.pool)));
    }
}

void on_alarm(void* /*arg*/) {
    List& all = list();
    const std::scoped_lock guard(all.lock);
    all.alarm_is_set = false;
    const Clock::time_point now = Clock::now();
    note_complete(all, now);
    look(all, now, kGrace);
    set_alarm(all);
}

/// Where EAL has no control thread (yet), whoever comes next looks.
void set_alarm(List& all) {
    if (!all.waiting.empty() && !all.alarm_is_set) {
        all.alarm_is_set = rte_eal_alarm_set(kLookEveryUs, on_alarm, nullptr) == 0;
    }
}

}  // namespace

void retire(rte_mempool* pool) {
    if (pool == nullptr) {
        return;
    }
    drop_fragment_page(pool);
    if (stats(pool).in_flight == 0) {
        rte_delay_us_sleep(kGraceAtOnceUs);
    }
    const Status gone = destroy(pool);
    if (gone) {
        return;
    }
    log::warning("{}; the pool stays until then", gone.error().message);
    List& all = list();
    const std::scoped_lock guard(all.lock);
    const Clock::time_point now = Clock::now();
    all.waiting.push_back({pool, now, now + kSayEvery});
    set_alarm(all);
}

std::vector<Retired> reap_retired() {
    List& all = list();
    const std::scoped_lock guard(all.lock);
    const Clock::time_point now = Clock::now();
    if (note_complete(all, now)) {
        rte_delay_us_sleep(kGraceAtOnceUs);
    }
    look(all, now, Clock::duration::zero());
    std::vector<Retired> left;
    for (const Waiting& each : all.waiting) {
        left.push_back(
            {.name = each.pool->name,
             .in_flight = stats(each.pool).in_flight,
             .waits_s = static_cast<std::uint64_t>(
                 std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - each.since)
                     .count()),
             .holders = describe(holders_of(each.pool))});
    }
    return left;
}

}  // namespace crema::page_pool
