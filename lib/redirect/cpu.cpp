// SPDX-License-Identifier: BSD-3-Clause
//
// cpumap: a ring per slot, filled by any core, emptied by the one worker on the slot's CPU. The
// worker sees the slots of its CPU as an immutable list that control threads replace, so neither
// side locks. The slot's second program runs on the receiving core, in bursts.
#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <mutex>
#include <new>
#include <vector>

#include "lib/base/check.h"
#include "lib/ebpf/abi/run_scope.h"
#include "lib/ebpf/maps/map.h"
#include "lib/page_pool/holders.h"
#include "lib/page_pool/page_pool.h"
#include "lib/redirect/cpu_poller.h"
#include "lib/redirect/target.h"
#include "lib/topology/this_cpu.h"
#include "lib/xdp/events.h"
#include "lib/xdp/quiescence.h"
#include "lib/xdp/run.h"
#include "lib/xdp/trace_points.h"

namespace crema::redirect {

using TargetList = std::vector<CpuTarget*>;

/// One kernel CPU number: the slots that lead to it, and what happened there. Padded on purpose:
/// what senders write and what the poller writes lie in lines of their own.
// NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding)
struct alignas(64) Cpu {
    std::atomic<const TargetList*> targets{nullptr};  // null: none
    std::atomic<bool> has_poller{false};
    std::uint32_t number = 0;
    std::atomic<std::uint64_t> enqueue_drops{0};  // written by senders
    alignas(64) std::uint64_t received = 0;       // from here on written by the poller
    xdp::VerdictCounters verdicts;
};

namespace {

std::mutex g_control;  // lists and pollers

std::vector<Cpu>& cpus() {
    static auto& all = *[] {
        auto* made = new std::vector<Cpu>(ebpf::maps::possible_cpu_ids().back() + 1);
        for (std::uint32_t number = 0; Cpu & cpu : *made) {
            cpu.number = number++;
        }
        return made;
    }();
    return all;
}

CpumapCounters counters_of(std::uint64_t received, const xdp::VerdictCounters& verdicts) {
    return {.received = received,
            .pass = xdp::peek(verdicts.pass),
            .drop = xdp::peek(verdicts.drop),
            .aborted = xdp::peek(verdicts.aborted),
            .redirect = xdp::peek(verdicts.redirect),
            .redirect_errors = xdp::peek(verdicts.redirect_errors)};
}

/// Counts what became of one burst, at the CPU and at the slot.
void count(Cpu& cpu, const CpuTarget& target, const xdp::VerdictCounters& burst) {
    for (xdp::VerdictCounters* const sum : {&cpu.verdicts, &target.verdicts}) {
        xdp::bump(sum->pass, burst.pass);
        xdp::bump(sum->drop, burst.drop);
        xdp::bump(sum->aborted, burst.aborted);
        xdp::bump(sum->redirect, burst.redirect);
        xdp::bump(sum->redirect_errors, burst.redirect_errors);
    }
}

FrameHeader* header_of(rte_mbuf* page) {
    return reinterpret_cast<FrameHeader*>(page_pool::buffer_of(page) + kFrameHeaderOffset);
}

/// The frame that send_to_cpu() put into a ring as `page`.
xdp::Frame frame_in(rte_mbuf* page) {
    const FrameHeader& header = *header_of(page);
    return {.page = page,
            .data = page_pool::hard_start_of(page) + header.data_offset,
            .len = header.len,
            .meta_len = header.meta_len,
            .fragments = header.fragments};
}

/// A ring in memory of its own: no name to clash, no EAL needed to make one.
rte_ring* make_ring(std::uint32_t frames) {
    const unsigned slots = rte_align32pow2(frames + 1);
    const ssize_t bytes = rte_ring_get_memsize(slots);
    if (bytes < 0) {
        return nullptr;
    }
    void* memory = std::aligned_alloc(
        RTE_CACHE_LINE_SIZE, RTE_ALIGN_CEIL(static_cast<std::size_t>(bytes), RTE_CACHE_LINE_SIZE));
    if (memory == nullptr) {
        return nullptr;
    }
    auto* ring = static_cast<rte_ring*>(memory);
    if (rte_ring_init(ring, "crema_cpumap", frames, RING_F_SC_DEQ | RING_F_EXACT_SZ) != 0) {
        std::free(memory);
        return nullptr;
    }
    return ring;
}

/// Recycles what waits in a ring that nobody fills or empties any more.
std::uint32_t drain(rte_ring* ring) {
    std::array<void*, xdp::kBurstMax> pages;
    std::uint32_t total = 0;
    while (const unsigned n =
               rte_ring_sc_dequeue_burst(ring, pages.data(), xdp::kBurstMax, nullptr)) {
        for (std::uint32_t i = 0; i < n; ++i) {
            const xdp::Frame frame = frame_in(static_cast<rte_mbuf*>(pages[i]));
            xdp::recycle(&frame, 1);
        }
        total += n;
    }
    return total;
}

/// What waits in the ring, for who asks where pages are; others fill and empty it meanwhile.
#if defined(__SANITIZE_THREAD__)
[[gnu::no_sanitize_thread]]
#endif
void list_waiting(const void* self, page_pool::HeldPages& held) {
    const rte_ring& ring = *static_cast<const CpuTarget*>(self)->ring;
    const auto* const slots = reinterpret_cast<const rte_mbuf* const*>(&ring + 1);
    const std::uint32_t first = __atomic_load_n(&ring.cons.tail, __ATOMIC_RELAXED);
    const std::uint32_t end = __atomic_load_n(&ring.prod.tail, __ATOMIC_ACQUIRE);
    for (std::uint32_t at = first; at != end && at - first < ring.size; ++at) {
        held.add(__atomic_load_n(&slots[at & ring.mask], __ATOMIC_RELAXED));
    }
}

/// Publishes the list of a CPU after `change` and frees the old one. Caller holds g_control.
template <typename Change>
void change_list(Cpu& cpu, Change change) {
    const TargetList* const old = cpu.targets.load(std::memory_order_relaxed);
    auto next =
        old == nullptr ? std::make_unique<TargetList>() : std::make_unique<TargetList>(*old);
    change(*next);
    cpu.targets.store(next->empty() ? nullptr : next.release(), std::memory_order_release);
    xdp::synchronize();
    delete old;
}

}  // namespace

std::uint32_t send_to_cpu(const CpuTarget& target, const Parcels& parcels) {
    const std::uint32_t n = parcels.n;
    Cpu& cpu = *target.cpu;
    std::uint32_t taken = 0;
    if (cpu.has_poller.load(std::memory_order_acquire)) [[likely]] {
        std::array<void*, xdp::kBurstMax> pages;
        for (std::uint32_t i = 0; i < n; ++i) {
            const xdp::Frame& frame = parcels.frames[i];
            *header_of(frame.page) = {
                .data_offset =
                    static_cast<std::uint32_t>(frame.data - page_pool::hard_start_of(frame.page)),
                .len = frame.len,
                .meta_len = frame.meta_len,
                .fragments = frame.fragments,
                .ingress_ifindex = parcels.ingress_ifindexes[i],
            };
            pages[i] = frame.page;
        }
        taken = rte_ring_mp_enqueue_burst(target.ring, pages.data(), n, nullptr);
    }
    target.counters.add(taken, n - taken);
    crema_trace_xdp_cpumap_enqueue(topology::cpu_of_this_thread(), cpu.number, taken, n - taken);
    if (taken != n) [[unlikely]] {
        cpu.enqueue_drops.fetch_add(n - taken, std::memory_order_relaxed);
        xdp::record({.kind = xdp::EventKind::cpumap_enqueue,
                     .ifindex = parcels.ingress_ifindexes[0],
                     .to = cpu.number,
                     .sent = taken,
                     .drops = n - taken,
                     .cpu = topology::cpu_of_this_thread()});
    }
    return taken;
}

int acquire_cpu(const ebpf::maps::CpuSlot& slot, void** target) {
    if (!ebpf::maps::cpu_is_possible(slot.cpu) || slot.queue_size == 0) {
        return -EINVAL;
    }
    auto made = std::unique_ptr<CpuTarget>(new (std::nothrow) CpuTarget);
    if (made == nullptr) {
        return -ENOMEM;
    }
    if (!made->counters.make()) {
        return -ENOMEM;
    }
    made->kind = Target::Kind::cpu;
    made->program = slot.program;
    made->cpu = &cpus()[slot.cpu];
    made->ring = make_ring(slot.queue_size);
    if (made->ring == nullptr) {
        return -ENOMEM;
    }
    CpuTarget* const raw = made.release();
    {
        const std::scoped_lock guard(g_control);
        change_list(*raw->cpu, [raw](TargetList& list) { list.push_back(raw); });
    }
    page_pool::register_holder(raw, fmt::format("in a queue of CPU {}", slot.cpu), list_waiting);
    *target = static_cast<Target*>(raw);
    return 0;
}

void release_cpu(void* target) {
    auto* const cpu_target = static_cast<CpuTarget*>(static_cast<Target*>(target));
    Cpu& cpu = *cpu_target->cpu;
    // First the senders: the slot does not show this target any more.
    xdp::synchronize();
    {
        // Then the receiver: not in its list any more when this returns.
        const std::scoped_lock guard(g_control);
        change_list(cpu, [cpu_target](TargetList& list) { std::erase(list, cpu_target); });
    }
    page_pool::unregister_holder(cpu_target);
    cpu.enqueue_drops.fetch_add(drain(cpu_target->ring), std::memory_order_relaxed);
    std::free(cpu_target->ring);
    delete cpu_target;
}

struct CpuPoller::State {
    Cpu* cpu = nullptr;
    std::uint32_t next = 0;  // slot that is asked first, so that no slot starves
    xdp::Outbound* outbound = nullptr;
    xdp::Reader reader;
};

namespace {

/// Runs the slot's program over frames that were taken from its ring and makes mbufs of what it
/// passes. Returns how many. ingress: of each page, by its header.
std::uint32_t deliver(Cpu& cpu,
                      const CpuTarget& target,
                      xdp::Outbound* outbound,
                      rte_mbuf* const* pages,
                      std::uint32_t n,
                      rte_mbuf** mbufs) {
    std::array<xdp::Frame, xdp::kBurstMax> frames;
    for (std::uint32_t i = 0; i < n; ++i) {
        rte_prefetch0(header_of(pages[i]));
    }
    for (std::uint32_t i = 0; i < n; ++i) {
        frames[i] = frame_in(pages[i]);
    }
    std::uint32_t passed = n;
    xdp::VerdictCounters burst;
    if (target.program == nullptr) {
        burst.pass = n;
    } else {
        ebpf::XdpBuff buff;
        xdp::set_constants(buff, 0, 0);
        xdp::Dispatch dispatch(
            frames.data(), {.tx = nullptr, .outbound = outbound, .program_id = target.program->id});
        const ebpf::RunScope scope(buff);
        xdp::forget_lengths(*target.program, frames.data(), n);
        ebpf::with_runs_of(*target.program, [&](auto&& run) {
            for (std::uint32_t i = 0; i < n; ++i) {
                buff.ingress_ifindex = header_of(pages[i])->ingress_ifindex;
                xdp::run_one(*target.program, run, buff, frames[i], false, dispatch);
            }
        });
        passed = dispatch.finish(burst);
    }
    count(cpu, target, burst);
    crema_trace_xdp_cpumap_kthread(cpu.number, n, passed,
                                   static_cast<std::uint32_t>(burst.drop + burst.aborted),
                                   static_cast<std::uint32_t>(burst.redirect));
    for (std::uint32_t i = 0; i < passed; ++i) {
        const std::uint32_t ifindex = header_of(frames[i].page)->ingress_ifindex;
        mbufs[i] = xdp::to_mbuf(frames[i], static_cast<std::uint16_t>(xdp::port_id_of(ifindex)));
    }
    return passed;
}

}  // namespace

Result<std::unique_ptr<CpuPoller>> CpuPoller::create(std::uint32_t cpu) {
    if (!ebpf::maps::cpu_is_possible(cpu)) {
        return fail(EINVAL, "cpumap: CPU {}: this host has {} possible CPUs", cpu,
                    ebpf::maps::possible_cpus());
    }
    const std::scoped_lock guard(g_control);
    Cpu& own = cpus()[cpu];
    if (own.has_poller.load(std::memory_order_relaxed)) {
        return fail(EBUSY, "cpumap: CPU {} has a poller: one worker per CPU", cpu);
    }
    auto poller = std::unique_ptr<CpuPoller>(new CpuPoller);
    poller->state_ = std::make_unique<State>();
    poller->state_->cpu = &own;
    poller->state_->outbound = xdp::redirector().create();
    own.has_poller.store(true, std::memory_order_release);
    return poller;
}

CpuPoller::~CpuPoller() {
    const std::scoped_lock guard(g_control);
    Cpu& own = *state_->cpu;
    own.has_poller.store(false, std::memory_order_release);
    xdp::synchronize();  // from here on no sender fills a ring of this CPU
    if (const TargetList* list = own.targets.load(std::memory_order_relaxed)) {
        for (const CpuTarget* target : *list) {
            own.enqueue_drops.fetch_add(drain(target->ring), std::memory_order_relaxed);
        }
    }
    xdp::redirector().destroy(state_->outbound);
}

std::uint32_t CpuPoller::poll(rte_mbuf** mbufs, std::uint32_t n) {
    State& state = *state_;
    Cpu& cpu = *state.cpu;
    if (cpu.targets.load(std::memory_order_relaxed) == nullptr) {
        return 0;
    }
    state.reader.enter();
    std::uint32_t got = 0;
    if (const TargetList* const list = cpu.targets.load(std::memory_order_acquire)) {
        const auto targets = static_cast<std::uint32_t>(list->size());
        std::uint32_t budget = std::min(n, xdp::kBurstMax);
        for (std::uint32_t i = 0; i < targets && budget != 0; ++i) {
            const CpuTarget& target = *(*list)[(state.next + i) % targets];
            std::array<void*, xdp::kBurstMax> pages;
            const unsigned taken =
                rte_ring_sc_dequeue_burst(target.ring, pages.data(), budget, nullptr);
            if (taken == 0) {
                continue;
            }
            budget -= taken;
            xdp::bump(cpu.received, taken);
            xdp::bump(target.taken, taken);
            got += deliver(cpu, target, state.outbound, reinterpret_cast<rte_mbuf**>(pages.data()),
                           taken, mbufs + got);
        }
        state.next = (state.next + 1) % targets;
    }
    state.reader.leave();
    return got;
}

CpumapCounters cpumap_counters(std::uint32_t cpu) {
    if (cpu >= cpus().size()) {
        return {};
    }
    const Cpu& own = cpus()[cpu];
    CpumapCounters sum = counters_of(xdp::peek(own.received), own.verdicts);
    sum.enqueue_drops = own.enqueue_drops.load(std::memory_order_relaxed);
    return sum;
}

CpumapCounters CpuTarget::received() const {
    CpumapCounters sum = counters_of(xdp::peek(taken), verdicts);
    sum.enqueue_drops = counters.sum().drops;
    return sum;
}

}  // namespace crema::redirect
