// SPDX-License-Identifier: BSD-3-Clause
//
// What a page costs to take and to give back, in nanoseconds: page_pool by its owner's way
// (direct.h) and by the calls that any thread may use, beside rte_mempools with ring_mp_mc, with a
// per-lcore cache of 250 and without. All in one run: each round gives every subject one turn, in
// another order each time, so that a ratio is of neighbours in time.
//
//   single        one page is taken and given back
//   burst         32 are, the same ones each time
//   rotating      32 bursts of 32 are out at once, and the first line of each frame is written, as
//   a
//                 NIC does: buffers that share cache sets show only here
//   across cores  32 are taken on one core and given back on another one; both ends are counted,
//                 and the ring between them is not. A take that finds too few is left out
//
// "two rings": pages that go round between the two cores through rings of one writer and one
// reader, which is the least that any pool across cores could cost.
//
// Other processes may use the machine: a turn measures in several short windows and keeps the best,
// which was disturbed least; medians and spreads are of these.
//
//   page_pool_bench [--smoke] [--rounds N] [--windows N] [--milliseconds N] [--json FILE]
#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <rte_cycles.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_ring.h>

#include "benchmarks/common/machine.h"
#include "lib/page_pool/direct.h"
#include "lib/page_pool/page_pool.h"

namespace {

namespace page_pool = crema::page_pool;
namespace bench = crema::bench;

constexpr std::uint32_t kBurst = 32;
constexpr std::uint32_t kPages = 4095;
constexpr std::uint32_t kWindowBursts = 32;  // bursts out at once when rotating
constexpr std::uint32_t kRingPages = 256;    // between the cores

struct Options {
    int rounds = 15;
    int windows = 10;
    int milliseconds = 2;  // each
    std::string json{};
};

/// The pool's own ways, for the owner.
struct Direct {
    rte_mempool* pool;

    bool take(rte_mbuf** pages, std::uint32_t n) const {
        return page_pool::alloc_bulk_direct(pool, pages, n) == n;
    }

    void give(rte_mbuf* const* pages, std::uint32_t n) const {
        page_pool::recycle_bulk_direct(pool, pages, n);
    }

    [[nodiscard]] rte_mbuf* take_one() const { return page_pool::alloc_direct(pool); }

    void give_one(rte_mbuf* page) const { page_pool::recycle_direct(pool, page); }
};

/// Those of any thread.
struct AnyThread {
    rte_mempool* pool;

    bool take(rte_mbuf** pages, std::uint32_t n) const {
        return page_pool::alloc_bulk(pool, pages, n) == n;
    }

    void give(rte_mbuf* const* pages, std::uint32_t n) const {
        page_pool::recycle_bulk(pool, pages, n);
    }

    [[nodiscard]] rte_mbuf* take_one() const {
        rte_mbuf* page = nullptr;
        return page_pool::alloc_bulk(pool, &page, 1) == 1 ? page : nullptr;
    }

    void give_one(rte_mbuf* page) const { page_pool::recycle_bulk(pool, &page, 1); }
};

struct Mempool {
    rte_mempool* pool;

    bool take(rte_mbuf** pages, std::uint32_t n) const {
        return rte_mempool_get_bulk(pool, reinterpret_cast<void**>(pages), n) == 0;
    }

    void give(rte_mbuf* const* pages, std::uint32_t n) const {
        rte_mempool_put_bulk(pool, reinterpret_cast<void* const*>(pages), n);
    }

    [[nodiscard]] rte_mbuf* take_one() const {
        void* page = nullptr;
        return rte_mempool_get(pool, &page) == 0 ? static_cast<rte_mbuf*>(page) : nullptr;
    }

    void give_one(rte_mbuf* page) const { rte_mempool_put(pool, page); }
};

/// Pages that wait in a ring, put there by one core and taken by another one.
struct TwoRings {
    rte_ring* ring;

    bool take(rte_mbuf** pages, std::uint32_t n) const {
        return rte_ring_sc_dequeue_bulk(ring, reinterpret_cast<void**>(pages), n, nullptr) == n;
    }

    void give(rte_mbuf* const* pages, std::uint32_t n) const {
        rte_ring_sp_enqueue_bulk(ring, reinterpret_cast<void* const*>(pages), n, nullptr);
    }
};

/// One window, and what a page cost in it, TSC cycles; 0: nothing was moved.
using Work = std::function<double(std::uint64_t cycles)>;

struct Subject {
    const char* name;
    std::array<Work, 4> works;  // in the order of kWorks; empty: has none
};

struct Row {
    const char* name;
    double goal_ns;  // of page_pool; 0: none
};

constexpr std::array kWorks = {Row{"single", 2.9}, Row{"burst of 32", 0.3},
                               Row{"rotating, touched", 0}, Row{"across cores", 10}};
constexpr std::size_t kOwner = 0;  // in the list of subjects

void keep(const void* value) {
    asm volatile("" : : "r"(value) : "memory");
}

/// Repeats `step`, which moves `pages` pages, for about `cycles`.
template <typename Step>
double per_page(std::uint64_t cycles, std::uint32_t pages, Step step) {
    constexpr int kAtOnce = 512;
    std::uint64_t steps = 0;
    const std::uint64_t start = rte_rdtsc();
    std::uint64_t now = start;
    while (now - start < cycles) {
        for (int i = 0; i < kAtOnce; ++i) {
            step();
        }
        steps += kAtOnce;
        now = rte_rdtsc();
    }
    return static_cast<double>(now - start) / static_cast<double>(steps * pages);
}

template <typename Pool>
double single(Pool pool, std::uint64_t cycles) {
    return per_page(cycles, 1, [pool] {
        rte_mbuf* const page = pool.take_one();
        keep(page);
        pool.give_one(page);
        keep(page);
    });
}

template <typename Pool>
double burst(Pool pool, std::uint64_t cycles) {
    std::array<rte_mbuf*, kBurst> pages{};
    return per_page(cycles, kBurst, [pool, &pages] {
        keep(pool.take(pages.data(), kBurst) ? pages.data() : nullptr);
        pool.give(pages.data(), kBurst);
        keep(pages.data());
    });
}

template <typename Pool>
double rotating(Pool pool, std::uint64_t cycles) {
    std::vector<std::array<rte_mbuf*, kBurst>> bursts(kWindowBursts);
    for (auto& each : bursts) {
        if (!pool.take(each.data(), kBurst)) {
            return 0;
        }
    }
    std::size_t at = 0;
    const double cost = per_page(cycles, kBurst, [&] {
        auto& each = bursts[at];
        at = (at + 1) % kWindowBursts;
        pool.give(each.data(), kBurst);
        keep(pool.take(each.data(), kBurst) ? each.data() : nullptr);
        for (rte_mbuf* page : each) {
            // Not by buf_addr: pools are compared here, not loads of headers.
            *(reinterpret_cast<std::uint64_t*>(page + 1) + 32) = at;
        }
    });
    for (auto& each : bursts) {
        pool.give(each.data(), kBurst);
    }
    return cost;
}

/// What the clock itself costs, TSC cycles.
std::uint64_t clock_cost() {
    std::uint64_t best = ~0ULL;
    for (int i = 0; i < 1000; ++i) {
        const std::uint64_t start = rte_rdtsc();
        best = std::min(best, rte_rdtsc() - start);
    }
    return best;
}

/// Time of calls, without the clock's.
class Stopwatch {
  public:
    explicit Stopwatch(std::uint64_t clock) : clock_(clock) {}

    template <typename Call>
    bool run(Call call) {
        const std::uint64_t start = rte_rdtsc();
        const bool counts = call();
        const std::uint64_t spent = rte_rdtsc() - start;
        if (counts) {
            cycles_ += spent - std::min(spent, clock_);
            ++calls_;
        }
        return counts;
    }

    [[nodiscard]] double per_page() const {
        return calls_ == 0 ? 0
                           : static_cast<double>(cycles_) / static_cast<double>(calls_ * kBurst);
    }

  private:
    std::uint64_t clock_;
    std::uint64_t cycles_ = 0;
    std::uint64_t calls_ = 0;
};

template <typename Pool>
struct OtherCore {
    Pool pool;
    rte_ring* ring;
    Stopwatch watch;
    std::atomic<bool> stop{false};

    static int run(void* self) {
        auto& other = *static_cast<OtherCore*>(self);
        std::array<rte_mbuf*, kBurst> pages{};
        for (;;) {
            const bool is_last = other.stop.load(std::memory_order_acquire);
            if (rte_ring_sc_dequeue_bulk(other.ring, reinterpret_cast<void**>(pages.data()), kBurst,
                                         nullptr) != 0) {
                other.watch.run([&] {
                    other.pool.give(pages.data(), kBurst);
                    return true;
                });
            } else if (is_last) {
                return 0;
            }
        }
    }
};

/// taker: on this core, giver: on the other one; of the same pool.
template <typename Taker, typename Giver>
double across(Taker taker, Giver giver, rte_ring* ring, std::uint64_t cycles) {
    const std::uint64_t clock = clock_cost();
    OtherCore<Giver> other{.pool = giver, .ring = ring, .watch = Stopwatch(clock)};
    Stopwatch watch(clock);
    rte_eal_remote_launch(OtherCore<Giver>::run, &other, rte_get_next_lcore(rte_lcore_id(), 1, 0));
    std::array<rte_mbuf*, kBurst> pages{};
    const std::uint64_t start = rte_rdtsc();
    while (rte_rdtsc() - start < cycles) {
        if (!watch.run([&] { return taker.take(pages.data(), kBurst); })) {
            rte_pause();
            continue;
        }
        while (rte_ring_sp_enqueue_bulk(ring, reinterpret_cast<void* const*>(pages.data()), kBurst,
                                        nullptr) == 0) {
            rte_pause();
        }
    }
    other.stop.store(true, std::memory_order_release);
    rte_eal_wait_lcore(rte_get_next_lcore(rte_lcore_id(), 1, 0));
    return watch.per_page() + other.watch.per_page();
}

template <typename Pool, typename Giver = Pool>
Subject subject(const char* name, Pool pool, Giver giver, rte_ring* ring) {
    return {.name = name,
            .works = {[pool](std::uint64_t cycles) { return single(pool, cycles); },
                      [pool](std::uint64_t cycles) { return burst(pool, cycles); },
                      [pool](std::uint64_t cycles) { return rotating(pool, cycles); },
                      [=](std::uint64_t cycles) { return across(pool, giver, ring, cycles); }}};
}

[[noreturn]] void refuse(const char* what, int code = 2) {
    (void)std::fprintf(stderr, "page_pool_bench: %s\n", what);
    std::exit(code);
}

int number(std::string_view word) {
    int value = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (error != std::errc{} || end != word.data() + word.size() || value < 1) {
        refuse("numbers are at least 1");
    }
    return value;
}

Options read_options(int argc, char** argv) {
    Options options;
    for (int i = 1; i < argc; ++i) {
        const std::string_view word = argv[i];
        const bool has_value = i + 1 < argc;
        if (word == "--smoke") {
            options.rounds = 1;
            options.windows = 1;
        } else if (word == "--rounds" && has_value) {
            options.rounds = number(argv[++i]);
        } else if (word == "--windows" && has_value) {
            options.windows = number(argv[++i]);
        } else if (word == "--milliseconds" && has_value) {
            options.milliseconds = number(argv[++i]);
        } else if (word == "--json" && has_value) {
            options.json = argv[++i];
        } else {
            refuse(
                "usage: page_pool_bench [--smoke] [--rounds N] [--windows N] [--milliseconds N] "
                "[--json FILE]");
        }
    }
    return options;
}

rte_ring* make_ring(const char* name, std::uint32_t pages) {
    rte_ring* const ring =
        rte_ring_create(name, pages, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
    return ring != nullptr ? ring : (refuse("no memory for a ring", 1), nullptr);
}

rte_mempool* make_twin(const char* name, std::uint32_t cache, std::uint16_t data_room) {
    rte_mempool* const pool = rte_pktmbuf_pool_create_by_ops(name, kPages, cache, 0, data_room,
                                                             SOCKET_ID_ANY, "ring_mp_mc");
    return pool != nullptr ? pool : (refuse("no memory for a twin", 1), nullptr);
}

std::vector<Subject> make_subjects(bool has_two_cores) {
    const auto made = page_pool::create({.name = "bench_pages", .pages = kPages});
    if (!made) {
        refuse(made.error().message.c_str(), 1);
    }
    rte_mempool* const pages = *made;
    page_pool::set_owner(pages, rte_lcore_id());
    rte_ring* const between = make_ring("between", kRingPages);
    constexpr std::uint16_t kPageRoom = 4096 - 64 - sizeof(rte_mbuf);
    const Mempool cached{make_twin("cached_4k", 250, kPageRoom)};
    const Mempool cached_2k{make_twin("cached_2k", 250, RTE_MBUF_DEFAULT_BUF_SIZE)};
    const Mempool plain{make_twin("plain_4k", 0, kPageRoom)};
    std::vector<Subject> subjects;
    subjects.push_back(subject("page_pool, owner", Direct{pages}, AnyThread{pages}, between));
    subjects.push_back(
        subject("page_pool, any thread", AnyThread{pages}, AnyThread{pages}, between));
    subjects.push_back(subject("rte_mempool, cache", cached, cached, between));
    subjects.push_back(subject("the same, 2k buffers", cached_2k, cached_2k, between));
    subjects.push_back(subject("rte_mempool, no cache", plain, plain, between));
    const TwoRings back{make_ring("back", 2 * kRingPages)};
    std::array<rte_mbuf*, kRingPages> some{};
    if (!plain.take(some.data(), kRingPages)) {
        refuse("a pool is empty", 1);
    }
    back.give(some.data(), kRingPages);
    subjects.push_back(
        {.name = "two rings", .works = {nullptr, nullptr, nullptr, [=](std::uint64_t cycles) {
                                            return across(back, back, between, cycles);
                                        }}});
    if (!has_two_cores) {
        for (Subject& each : subjects) {
            each.works.back() = nullptr;
        }
    }
    return subjects;
}

/// ns per page, by subject, work and round.
using Table = std::vector<std::array<std::vector<double>, kWorks.size()>>;

double quantile(std::vector<double> values, double q) {
    std::sort(values.begin(), values.end());
    return values.empty()
               ? 0
               : values[static_cast<std::size_t>(q * static_cast<double>(values.size() - 1))];
}

void give_turn(const Subject& subject,
               std::array<std::vector<double>, kWorks.size()>& costs,
               const Options& options) {
    const double hz = static_cast<double>(rte_get_tsc_hz());
    const auto cycles =
        static_cast<std::uint64_t>(hz / 1000) * static_cast<std::uint64_t>(options.milliseconds);
    for (std::size_t w = 0; w < kWorks.size(); ++w) {
        if (!subject.works.at(w)) {
            continue;
        }
        double best = 0;
        for (int window = 0; window < options.windows; ++window) {
            const double now = subject.works.at(w)(cycles);
            best = best == 0 || (now != 0 && now < best) ? now : best;
        }
        costs.at(w).push_back(best / hz * 1e9);
    }
}

/// To the owner's cost in the same round.
double median_ratio(const std::vector<double>& costs, const std::vector<double>& owner) {
    std::vector<double> ratios;
    for (std::size_t i = 0; i < std::min(costs.size(), owner.size()); ++i) {
        if (owner[i] != 0) {
            ratios.push_back(costs[i] / owner[i]);
        }
    }
    return quantile(ratios, 0.5);
}

void print(const std::vector<Subject>& subjects, const Table& table) {
    std::printf("%-18s %-22s %7s %7s  %-16s %s\n", "ns per page", "pool", "best", "median",
                "spread (10-90%)", "x page_pool, owner: median of rounds");
    for (std::size_t w = 0; w < kWorks.size(); ++w) {
        for (std::size_t s = 0; s < subjects.size(); ++s) {
            const std::vector<double>& costs = table.at(s).at(w);
            if (costs.empty()) {
                continue;
            }
            std::printf("%-18s %-22s %7.3f %7.3f  %6.3f .. %-6.3f  %.2f", kWorks.at(w).name,
                        subjects[s].name, quantile(costs, 0), quantile(costs, 0.5),
                        quantile(costs, 0.1), quantile(costs, 0.9),
                        median_ratio(costs, table.at(kOwner).at(w)));
            if (s == kOwner && kWorks.at(w).goal_ns != 0) {
                std::printf("  goal %.1f: %s", kWorks.at(w).goal_ns,
                            quantile(costs, 0.5) <= kWorks.at(w).goal_ns ? "reached" : "missed");
            }
            std::puts("");
        }
    }
}

void write_json(const std::string& path, const std::vector<Subject>& subjects, const Table& table) {
    nlohmann::json rows = nlohmann::json::array();
    for (std::size_t s = 0; s < subjects.size(); ++s) {
        for (std::size_t w = 0; w < kWorks.size(); ++w) {
            rows.push_back({{"pool", subjects[s].name},
                            {"work", kWorks.at(w).name},
                            {"ns_per_page", table.at(s).at(w)}});
        }
    }
    std::ofstream(path) << rows.dump(1) << '\n';
}

void probe(const char* when, const std::vector<std::uint32_t>& cpus) {
    std::printf("probes %s: clock %.2f x TSC (%.2f GHz), line round trip %.0f TSC cycles\n", when,
                bench::clock_ratio(), static_cast<double>(rte_get_tsc_hz()) / 1e9,
                cpus.size() > 1 ? bench::line_round_trip(cpus[1]) : 0.0);
}

int run_all(const Options& options) {
    std::vector<std::uint32_t> cpus = bench::allowed_cpus();
    if (cpus.size() > 2) {
        cpus.resize(2);
    }
    bench::start_eal(cpus);
    const std::vector<Subject> subjects = make_subjects(cpus.size() > 1);
    probe("before", cpus);
    Table table(subjects.size());
    std::vector<std::size_t> order(subjects.size());
    for (std::size_t i = 0; i < order.size(); ++i) {
        order[i] = i;
    }
    std::mt19937 dice(1);
    for (int round = 0; round < options.rounds; ++round) {
        std::shuffle(order.begin(), order.end(), dice);
        for (const std::size_t s : order) {
            give_turn(subjects[s], table[s], options);
        }
    }
    print(subjects, table);
    probe("after", cpus);
    if (!options.json.empty()) {
        write_json(options.json, subjects, table);
    }
    return quantile(table.at(kOwner).at(0), 0.5) == 0 ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
    try {
        return run_all(read_options(argc, argv));
    } catch (const std::exception& failure) {
        (void)std::fprintf(stderr, "page_pool_bench: %s\n", failure.what());
        return 1;
    }
}
