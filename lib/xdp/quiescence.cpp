// SPDX-License-Identifier: BSD-3-Clause
#include "lib/xdp/quiescence.h"

#include <bitset>
#include <cstdlib>
#include <mutex>

#include <rte_rcu_qsbr.h>

#include "lib/base/check.h"
#include "lib/ebpf/maps/reclaim.h"

namespace crema::xdp {
namespace {

// 32 ports x 16 queues, one cpumap poller per lcore, and room for tests.
constexpr std::uint32_t kReadersMax = 1024;

struct Domain {
    rte_rcu_qsbr* qsbr;
    std::mutex lock;  // control threads: registration of readers
    std::bitset<kReadersMax> used;
    std::mutex waiting;  // one wait at a time: the next one may go by what it has seen

    Domain() {
        const std::size_t bytes = rte_rcu_qsbr_get_memsize(kReadersMax);
        qsbr = static_cast<rte_rcu_qsbr*>(std::aligned_alloc(RTE_CACHE_LINE_SIZE, bytes));
        CREMA_CHECK(qsbr != nullptr);
        CREMA_CHECK(rte_rcu_qsbr_init(qsbr, kReadersMax) == 0);
    }
};

/// Lives to the end of the process: readers may be objects with static lifetime.
Domain& domain() {
    static auto& instance = *new Domain;
    return instance;
}

// Maps give up what programs may still look at when the runs of that time have ended.
[[gnu::constructor]] void install_wait() {
    ebpf::maps::set_wait_for_runs(synchronize);
    ebpf::maps::set_run_marks(
        {.make = [] { return static_cast<void*>(new Reader); },
         .end = [](void* reader) { delete static_cast<Reader*>(reader); },
         .enter = [](void* reader) { static_cast<Reader*>(reader)->enter(); },
         .leave = [](void* reader) { static_cast<Reader*>(reader)->leave(); }});
}

}  // namespace

Reader::Reader() : id_(0) {
    Domain& all = domain();
    const std::scoped_lock guard(all.lock);
    while (id_ < kReadersMax && all.used[id_]) {
        ++id_;
    }
    CREMA_CHECK(id_ < kReadersMax);
    all.used.set(id_);
    qsbr_ = all.qsbr;
    CREMA_CHECK(rte_rcu_qsbr_thread_register(all.qsbr, id_) == 0);
}

Reader::~Reader() {
    Domain& all = domain();
    const std::scoped_lock guard(all.lock);
    rte_rcu_qsbr_thread_offline(all.qsbr, id_);
    CREMA_CHECK(rte_rcu_qsbr_thread_unregister(all.qsbr, id_) == 0);
    all.used.reset(id_);
}

void Reader::enter() {
    rte_rcu_qsbr_thread_online(qsbr_, id_);
}

void Reader::leave() {
    rte_rcu_qsbr_thread_offline(qsbr_, id_);
}

void synchronize() {
    // rte_rcu_qsbr_synchronize() in its inlined parts, which ThreadSanitizer sees, with what the
    // algorithm leaves to the processor's order of stores said in locks.
    Domain& all = domain();
    const std::uint64_t token = rte_rcu_qsbr_start(all.qsbr);
    const std::scoped_lock turn(all.waiting);
    rte_rcu_qsbr_check(all.qsbr, token, true);
    const std::scoped_lock guard(all.lock);  // behind readers that have gone meanwhile
}

}  // namespace crema::xdp
