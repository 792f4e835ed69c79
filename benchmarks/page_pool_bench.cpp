// SPDX-License-Identifier: BSD-3-Clause
//
// page_pool beside its twins, rte_mempools with ring_mp_mc and a per-lcore cache of 250: take a
// burst of pages and give it back on the same core, and take on one core, give back on the other.
// All pools hold the same number of elements; the twins' are of DPDK's default size (2k) and of
// about a page (4k). `window` bursts are out at a time, as in a ring; `touch` writes the first line
// of the frame, as a NIC's DMA or a driver would: page-aligned buffers that share cache sets show
// only then.
#include <array>
#include <atomic>
#include <benchmark/benchmark.h>
#include <cstdio>
#include <cstdlib>

#include <rte_cycles.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_ring.h>

#include "benchmarks/common/machine.h"
#include "lib/page_pool/page_pool.h"

namespace {

namespace page_pool = crema::page_pool;

constexpr std::uint32_t kBurst = 32;
constexpr std::uint32_t kPages = 8191;
constexpr std::uint32_t kWindowBursts = 32;  // bursts out at once when rotating

struct PagePool {
    const char* name;
    rte_mempool* pool;

    bool take(rte_mbuf** pages) const {
        return page_pool::alloc_bulk(pool, pages, kBurst) == kBurst;
    }

    void give(rte_mbuf* const* pages) const { page_pool::recycle_bulk(pool, pages, kBurst); }

    static std::uint8_t* frame(rte_mbuf* page) {
        return page_pool::buffer_of(page) + page_pool::kDmaOffset;
    }
};

struct RingPool {
    const char* name;
    rte_mempool* pool;

    bool take(rte_mbuf** pages) const {
        return rte_mempool_get_bulk(pool, reinterpret_cast<void**>(pages), kBurst) == 0;
    }

    void give(rte_mbuf* const* pages) const {
        rte_mempool_put_bulk(pool, const_cast<void**>(reinterpret_cast<void* const*>(pages)),
                             kBurst);
    }

    static std::uint8_t* frame(rte_mbuf* page) {
        // Not through page->buf_addr: pools are compared here, not loads of the mbuf header.
        return reinterpret_cast<std::uint8_t*>(page + 1) + RTE_PKTMBUF_HEADROOM;
    }
};

/// cpu_ns of the taking core; given in cycles of the TSC, as everywhere else.
void report(benchmark::State& state, std::uint64_t pages, std::uint64_t cpu_ns) {
    state.SetItemsProcessed(static_cast<std::int64_t>(pages));
    const double cycles =
        static_cast<double>(cpu_ns) * static_cast<double>(rte_get_tsc_hz()) * 1e-9;
    state.counters["cycles_per_page"] = cycles / static_cast<double>(pages);
}

/// One core takes a burst and gives it back; `window` bursts are out at a time, so that with 1 the
/// same pages come back at once and with more the pool rotates.
template <typename Pool>
void same_core(benchmark::State& state, Pool pool) {
    const auto window = static_cast<std::size_t>(state.range(0));
    const bool touch = state.range(1) != 0;
    std::vector<std::array<rte_mbuf*, kBurst>> bursts(window);
    for (auto& burst : bursts) {
        if (!pool.take(burst.data())) {
            state.SkipWithError("the pool is empty");
            return;
        }
    }
    std::size_t at = 0;
    std::uint64_t pages = 0;
    const std::uint64_t start_ns = crema::bench::cpu_time_ns();
    for (auto _ : state) {
        auto& burst = bursts[at];
        at = at + 1 == window ? 0 : at + 1;
        pool.give(burst.data());
        if (!pool.take(burst.data())) {
            state.SkipWithError("the pool is empty");
            break;
        }
        if (touch) {
            for (rte_mbuf* page : burst) {
                *reinterpret_cast<std::uint64_t*>(Pool::frame(page)) = pages;
            }
        }
        pages += kBurst;
    }
    report(state, pages, crema::bench::cpu_time_ns() - start_ns);
    for (auto& burst : bursts) {
        pool.give(burst.data());
    }
}

/// What the other lcore does: gives back every burst that comes through `ring`.
template <typename Pool>
struct Returner {
    Pool pool;
    rte_ring* ring;
    std::atomic<bool> stop{false};

    static int run(void* self) {
        auto& returner = *static_cast<Returner*>(self);
        std::array<rte_mbuf*, kBurst> burst{};
        auto** raw = reinterpret_cast<void**>(burst.data());
        while (true) {
            const bool is_last = returner.stop.load(std::memory_order_acquire);
            if (rte_ring_sc_dequeue_bulk(returner.ring, raw, kBurst, nullptr) != 0) {
                returner.pool.give(burst.data());
            } else if (is_last) {
                return 0;
            }
        }
    }
};

template <typename Pool>
void across_cores(benchmark::State& state, Pool pool) {
    const unsigned other = rte_get_next_lcore(rte_lcore_id(), 1, 0);
    if (other == RTE_MAX_LCORE) {
        state.SkipWithError("needs two CPUs");
        return;
    }
    rte_ring* ring =
        rte_ring_create("bench_returns", 1024, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
    if (ring == nullptr) {
        state.SkipWithError("no memory for a ring");
        return;
    }
    Returner<Pool> returner{.pool = pool, .ring = ring};
    rte_eal_remote_launch(Returner<Pool>::run, &returner, other);
    std::array<rte_mbuf*, kBurst> burst{};
    auto** raw = reinterpret_cast<void**>(burst.data());
    std::uint64_t pages = 0;
    const std::uint64_t start_ns = crema::bench::cpu_time_ns();
    for (auto _ : state) {
        while (!pool.take(burst.data())) {
            rte_pause();
        }
        while (rte_ring_sp_enqueue_bulk(ring, raw, kBurst, nullptr) == 0) {
            rte_pause();
        }
        pages += kBurst;
    }
    report(state, pages, crema::bench::cpu_time_ns() - start_ns);
    returner.stop.store(true, std::memory_order_release);
    rte_eal_wait_lcore(other);
    rte_ring_free(ring);
}

template <typename Pool>
void register_pool(Pool pool) {
    const std::string name = pool.name;
    benchmark::RegisterBenchmark(("BM_PagePoolSameCore/" + name).c_str(),
                                 [pool](benchmark::State& state) { same_core(state, pool); })
        ->ArgNames({"window", "touch"})
        ->Args({1, 0})
        ->Args({kWindowBursts, 1});
    benchmark::RegisterBenchmark(("BM_PagePoolAcrossCores/" + name).c_str(),
                                 [pool](benchmark::State& state) { across_cores(state, pool); })
        ->UseRealTime();
}

}  // namespace

int main(int argc, char** argv) {
    std::vector<std::uint32_t> cpus = crema::bench::allowed_cpus();
    if (cpus.size() > 2) {
        cpus.resize(2);
    }
    crema::bench::start_eal(cpus);
    const auto pages = page_pool::create({.name = "bench_pages", .pages = kPages});
    if (!pages) {
        (void)std::fprintf(stderr, "bench: %s\n", pages.error().message.c_str());
        return 1;
    }
    page_pool::set_owner(*pages, rte_lcore_id());
    register_pool(PagePool{"page_pool", *pages});
    // The stride decides which cache sets the frames share, so the twin comes in two sizes.
    const std::array<std::pair<const char*, std::uint16_t>, 2> twins = {{
        {"ring_mp_mc_2k", RTE_MBUF_DEFAULT_BUF_SIZE},
        {"ring_mp_mc_4k", 4096 - 64 - sizeof(rte_mbuf)},
    }};
    for (const auto& [name, data_room] : twins) {
        rte_mempool* twin = rte_pktmbuf_pool_create_by_ops(name, kPages, 250, 0, data_room,
                                                           SOCKET_ID_ANY, "ring_mp_mc");
        if (twin == nullptr) {
            (void)std::fprintf(stderr, "bench: no memory for the twin pool\n");
            return 1;
        }
        register_pool(RingPool{name, twin});
    }
    return crema::bench::run_benchmarks(argc, argv, "page_pool beside rte_mempool, bursts of 32");
}
