// SPDX-License-Identifier: BSD-3-Clause
//
// How often a program ran and for how long, while somebody wants to know: by ENABLE_STATS, or by
// the kernel's sysctl kernel.bpf_stats_enabled. Whoever runs a burst asks once whether anybody
// does.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "lib/ebpf/syscall/replacement.h"

namespace crema::ebpf {

/// Of one program; kept when nobody counts any more. Threads: any.
class RunStats {
  public:
    void add(std::uint64_t runs, std::uint64_t ns) {
        runs_.fetch_add(runs, std::memory_order_relaxed);
        ns_.fetch_add(ns, std::memory_order_relaxed);
    }

    [[nodiscard]] std::uint64_t runs() const { return runs_.load(std::memory_order_relaxed); }

    [[nodiscard]] std::uint64_t ns() const { return ns_.load(std::memory_order_relaxed); }

  private:
    std::atomic<std::uint64_t> runs_{0};
    std::atomic<std::uint64_t> ns_{0};
};

namespace run_stats {

inline constinit std::atomic<std::uint32_t> g_users{0};

[[nodiscard]] inline bool wanted() {
    return g_users.load(std::memory_order_relaxed) != 0;
}

/// Runs are counted as long as one of these lives.
class User {
  public:
    User() { g_users.fetch_add(1, std::memory_order_relaxed); }

    ~User() { g_users.fetch_sub(1, std::memory_order_relaxed); }

    User(const User&) = delete;
    User& operator=(const User&) = delete;
};

/// Counts, or stops, as the sysctl says at the moment. For who looks after objects now and then.
void follow_sysctl(const char* path = "/proc/sys/kernel/bpf_stats_enabled");

/// The runs of one burst.
class Measured {
  public:
    Measured(const Start& start, RunStats& stats) : start_(start), stats_(stats) {}

    ~Measured() { stats_.add(runs_, ns_); }

    Measured(const Measured&) = delete;
    Measured& operator=(const Measured&) = delete;

    std::uint64_t operator()(XdpBuff& buff) {
        using std::chrono::duration_cast, std::chrono::nanoseconds, std::chrono::steady_clock;
        const auto before = steady_clock::now();
        const std::uint64_t result = start_.entry(&buff, start_.self);
        const auto spent = duration_cast<nanoseconds>(steady_clock::now() - before);
        ns_ += static_cast<std::uint64_t>(spent.count());
        ++runs_;
        return result;
    }

  private:
    const Start& start_;
    RunStats& stats_;
    std::uint64_t runs_ = 0;
    std::uint64_t ns_ = 0;
};

}  // namespace run_stats

/// Calls body(run), where run(buff) is one run of the program: for the runs of one burst.
template <typename Program, typename Body>
void with_runs_of(const Program& program, Body body) {
    const Start start = program.start();
    if (run_stats::wanted()) [[unlikely]] {
        body(run_stats::Measured(start, program.stats));
    } else {
        body([&start](XdpBuff& buff) { return start.entry(&buff, start.self); });
    }
}

}  // namespace crema::ebpf
