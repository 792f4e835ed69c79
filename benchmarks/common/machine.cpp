// SPDX-License-Identifier: BSD-3-Clause
//
// Probes, pinning, EAL without privileges.
#include "benchmarks/common/machine.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <benchmark/benchmark.h>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <sched.h>
#include <string_view>
#include <thread>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_pause.h>

namespace crema::bench {
namespace {

constexpr std::string_view kSmoke = "--smoke";

bool is_smoke(int argc, char** argv) {
    return std::any_of(argv, argv + argc, [](const char* word) { return word == kSmoke; });
}

std::string probes(const std::vector<std::uint32_t>& cpus) {
    std::array<char, 96> text{};
    (void)std::snprintf(text.data(), text.size(),
                        "clock %.2f x TSC, line round trip %.0f TSC cycles", clock_ratio(),
                        cpus.size() > 1 ? line_round_trip(cpus[1]) : 0.0);
    return text.data();
}

}  // namespace

double clock_ratio() {
    constexpr int kInversions = 64 * 1024;
    double best = 0;
    for (int round = 0; round < 16; ++round) {
        std::uint64_t value = rte_rdtsc();
        const std::uint64_t start = rte_rdtsc_precise();
        for (int i = 0; i < kInversions; i += 8) {
            // One cycle each, each waits for the one before.
            // (Recent cores do chains of additions of a constant in no time at all.)
            asm volatile(
#if defined(__x86_64__)
                "not %0\n\tnot %0\n\tnot %0\n\tnot %0\n\t"
                "not %0\n\tnot %0\n\tnot %0\n\tnot %0"
#else
                "mvn %0, %0\n\tmvn %0, %0\n\tmvn %0, %0\n\tmvn %0, %0\n\t"
                "mvn %0, %0\n\tmvn %0, %0\n\tmvn %0, %0\n\tmvn %0, %0"
#endif
                : "+r"(value));
        }
        const std::uint64_t cycles = rte_rdtsc_precise() - start;
        best = std::max(best, static_cast<double>(kInversions) / static_cast<double>(cycles));
    }
    return best;
}

double line_round_trip(std::uint32_t other_cpu) {
    constexpr std::uint32_t kTrips = 2000;
    constexpr int kRounds = 9;

    struct alignas(64) Line {
        std::atomic<std::uint32_t> value{0};
    } line;

    std::thread other([&line, other_cpu] {
        if (!pin_this_thread(other_cpu)) {
            line.value.store(UINT32_MAX);
            return;
        }
        for (std::uint32_t odd = 1; odd < 2 * kTrips * kRounds; odd += 2) {
            while (line.value.load(std::memory_order_acquire) != odd) {
                rte_pause();
            }
            line.value.store(odd + 1, std::memory_order_release);
        }
    });
    std::vector<double> rounds;
    std::uint32_t next = 1;
    bool is_broken = false;
    for (int round = 0; round < kRounds && !is_broken; ++round) {
        const std::uint64_t start = rte_rdtsc_precise();
        for (std::uint32_t trip = 0; trip < kTrips && !is_broken; ++trip, next += 2) {
            line.value.store(next, std::memory_order_release);
            std::uint32_t seen = next;
            while (seen != next + 1 && !is_broken) {
                rte_pause();
                seen = line.value.load(std::memory_order_acquire);
                is_broken = seen == UINT32_MAX;
            }
        }
        rounds.push_back(static_cast<double>(rte_rdtsc_precise() - start) / kTrips);
    }
    other.join();
    std::sort(rounds.begin(), rounds.end());
    return is_broken ? 0 : rounds[rounds.size() / 2];
}

std::vector<std::uint32_t> allowed_cpus() {
    // Asked once: EAL pins the thread that starts it.
    static const std::vector<std::uint32_t> cpus = [] {
        cpu_set_t set;
        CPU_ZERO(&set);
        std::vector<std::uint32_t> found;
        if (sched_getaffinity(0, sizeof(set), &set) == 0) {
            for (std::uint32_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
                if (CPU_ISSET(cpu, &set)) {
                    found.push_back(cpu);
                }
            }
        }
        return found;
    }();
    return cpus;
}

std::uint64_t cpu_time_ns() {
    timespec now = {};
    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) != 0) {
        return 0;
    }
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
           static_cast<std::uint64_t>(now.tv_nsec);
}

Status pin_this_thread(std::uint32_t cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof(set), &set) != 0) {
        return fail(errno, "cannot pin to CPU {}: {}", cpu, std::strerror(errno));
    }
    return {};
}

void start_eal(const std::vector<std::uint32_t>& cpus,
               const std::vector<std::string>& more,
               Pages pages) {
    std::string lcores;
    for (std::size_t i = 0; i < cpus.size(); ++i) {
        lcores += fmt::format("{}{}@{}", i == 0 ? "" : ",", i, cpus[i]);
    }
    std::vector<std::string> words = {"bench",
                                      "-m",
                                      "256",
                                      "--no-pci",
                                      "--iova-mode=va",
                                      fmt::format("--file-prefix=crema_bench_{}", getpid()),
                                      "--no-telemetry",
                                      "--log-level=error",
                                      "--lcores=" + lcores};
    if (pages == Pages::huge) {
        // One file, so that another end of a port can take it whole.
        words.insert(words.end(), {"--in-memory", "--single-file-segments"});
    } else {
        words.insert(words.end(), {"--no-huge", "--no-shconf"});
    }
    words.insert(words.end(), more.begin(), more.end());
    // EAL keeps pointers into its arguments.
    static std::vector<std::string> kept;
    kept = std::move(words);
    std::vector<char*> arguments;
    arguments.reserve(kept.size());
    for (std::string& word : kept) {
        arguments.push_back(word.data());
    }
    if (rte_eal_init(static_cast<int>(arguments.size()), arguments.data()) < 0) {
        (void)std::fprintf(stderr, "bench: EAL does not start; its message is above\n");
        std::exit(1);
    }
}

int run_benchmarks(int argc, char** argv, const std::string& about) {
    const std::vector<std::uint32_t> cpus = allowed_cpus();
    // Ours first, so that the command line may say otherwise.
    std::vector<std::string> flags = {argv[0]};
    if (is_smoke(argc, argv)) {
        flags.insert(flags.end(), {"--benchmark_min_time=0.01", "--benchmark_repetitions=1"});
    } else {
        flags.insert(flags.end(), {"--benchmark_min_time=0.1", "--benchmark_repetitions=10",
                                   "--benchmark_report_aggregates_only=true",
                                   "--benchmark_enable_random_interleaving=true"});
    }
    for (int i = 1; i < argc; ++i) {
        if (argv[i] != kSmoke) {
            flags.emplace_back(argv[i]);
        }
    }
    std::vector<char*> words;
    words.reserve(flags.size() + 1);
    for (std::string& flag : flags) {
        words.push_back(flag.data());
    }
    auto count = static_cast<int>(words.size());
    words.push_back(nullptr);
    benchmark::AddCustomContext("about", about);
    benchmark::AddCustomContext("probes before", probes(cpus));
    benchmark::Initialize(&count, words.data());
    if (benchmark::ReportUnrecognizedArguments(count, words.data())) {
        return 2;
    }
    const std::size_t ran = benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    (void)std::fprintf(stderr, "probes after: %s\n", probes(cpus).c_str());
    return ran > 0 ? 0 : 1;
}

}  // namespace crema::bench
