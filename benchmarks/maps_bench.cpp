// SPDX-License-Identifier: BSD-3-Clause
//
// Map operations of a program, ours beside the running kernel's (maps/sides.h), net of the same
// program without them: by type, size and key on one core, then by the number of cores that use one
// map at the same time. CPU time, so that others on the core do not count; short rounds in turns,
// so that what slows the machine down meets both sides; per call the median of the rounds, and of
// the rounds' ratios the median, the least and the largest. --json FILE writes the rows, for
// scripts/plot-maps.
#include <algorithm>
#include <array>
#include <barrier>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "benchmarks/common/machine.h"
#include "benchmarks/maps/sides.h"
#include "tests/support/kernel_bpf.h"

namespace crema::bench {
namespace {

using Json = nlohmann::ordered_json;
using ebpf::maps::MapSpec;
using ebpf::maps::MapType;

struct Settings {
    std::uint32_t rounds;
    double round_ns;  // about, of each program
};

struct Type {
    const char* name;
    MapType type;
    std::uint32_t flags;
    std::vector<std::uint32_t> keys;
    std::uint32_t usual_key;  // of comparisons that keep the key
};

const std::vector<Type>& types() {
    static const std::vector<Type> the_types = {
        {"array", MapType::array, 0, {4}, 4},
        {"percpu_array", MapType::percpu_array, 0, {4}, 4},
        {"hash", MapType::hash, 0, {4, 8, 16, 40, 64}, 16},
        {"percpu_hash", MapType::percpu_hash, 0, {4, 8, 16, 40, 64}, 16},
        {"lru_hash", MapType::lru_hash, 0, {4, 8, 16, 40, 64}, 16},
        {"lpm_trie", MapType::lpm_trie, ebpf::maps::kNoPrealloc, {8, 20}, 8}};
    return the_types;
}

MapSpec spec_of(const Type& type, std::uint32_t elements, std::uint32_t key) {
    return {.type = type.type,
            .key_size = key,
            .value_size = kValueBytes,
            .max_entries = elements,
            .flags = type.flags,
            .name = "bench"};
}

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

/// ns per run on all of the CPUs at once, their mean.
double measure_together(Side& side,
                        Operation operation,
                        std::uint32_t runs,
                        std::span<const std::uint32_t> cpus) {
    std::barrier start(static_cast<std::ptrdiff_t>(cpus.size()));
    std::vector<double> spent(cpus.size());
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < cpus.size(); i++) {
        threads.emplace_back([&, i] {
            static_cast<void>(pin_this_thread(cpus[i]));
            start.arrive_and_wait();
            spent[i] = measure(side, operation, runs);
        });
    }
    double sum = 0;
    for (std::size_t i = 0; i < cpus.size(); i++) {
        threads[i].join();
        sum += spent[i];
    }
    return sum / static_cast<double>(cpus.size());
}

/// Per round.
struct Rounds {
    std::vector<double> ours, theirs;
};

/// Rows so far, for JSON, and the logarithms of ratios by the line of the summary they belong to.
struct Report {
    Json rows = Json::array();
    std::map<std::string, std::vector<double>> logs;
};

void add_row(const Type& type,
             const MapSpec& spec,
             std::size_t cores,
             Operation operation,
             const Rounds& net,
             Report& report) {
    std::vector<double> ratios;
    for (std::size_t i = 0; i < net.ours.size(); i++) {
        if (net.theirs[i] > 0) {
            ratios.push_back(net.ours[i] / net.theirs[i]);
        }
    }
    if (ratios.empty()) {
        return;
    }
    const char* const name = kOperationNames[static_cast<std::size_t>(operation)];
    const double ratio = median(ratios);
    const double least = *std::min_element(ratios.begin(), ratios.end());
    const double most = *std::max_element(ratios.begin(), ratios.end());
    std::printf("%-12s %8u %4u %5zu  %-18s %8.1f %8.1f  %5.2f (%.2f..%.2f)\n", type.name,
                spec.max_entries, spec.key_size, cores, name, median(net.ours), median(net.theirs),
                ratio, least, most);
    Json row;
    row["map"] = type.name;
    row["elements"] = spec.max_entries;
    row["key_bytes"] = spec.key_size;
    row["cores"] = cores;
    row["operation"] = name;
    row["crema_ns"] = median(net.ours);
    row["kernel_ns"] = median(net.theirs);
    row["ratio"] = ratio;
    row["ratio_least"] = least;
    row["ratio_most"] = most;
    report.rows.push_back(std::move(row));
    if (ratio > 0 && cores == 1) {
        report.logs[std::string(type.name) + ", " + name].push_back(std::log(ratio));
    }
}

bool compare(const Type& type,
             const MapSpec& spec,
             std::span<const std::uint32_t> cpus,
             const Settings& settings,
             Report& report) {
    const auto theirs = kernel_side(spec);
    const auto ours = our_side(spec);
    if (theirs == nullptr || ours == nullptr) {
        return false;
    }
    std::array<Rounds, kOperations> all;
    std::array<std::uint32_t, kOperations> our_runs{};
    std::array<std::uint32_t, kOperations> their_runs{};
    const auto runs_of = [&](Side& side, Operation operation) {
        constexpr std::uint32_t kFirst = 200;
        static_cast<void>(measure_together(side, operation, kFirst, cpus));
        const double ns = std::max(1.0, measure_together(side, operation, kFirst, cpus));
        return std::max<std::uint32_t>(kFirst, static_cast<std::uint32_t>(settings.round_ns / ns));
    };
    for (std::size_t i = 0; i < kOperations; i++) {
        if (is_measured(spec, static_cast<Operation>(i))) {
            our_runs[i] = runs_of(*ours, static_cast<Operation>(i));
            their_runs[i] = runs_of(*theirs, static_cast<Operation>(i));
        }
    }
    for (std::uint32_t round = 0; round < settings.rounds; round++) {
        for (std::size_t i = 0; i < kOperations; i++) {
            const auto operation = static_cast<Operation>(i);
            if (is_measured(spec, operation)) {
                all[i].ours.push_back(measure_together(*ours, operation, our_runs[i], cpus));
                all[i].theirs.push_back(measure_together(*theirs, operation, their_runs[i], cpus));
            }
        }
    }
    for (std::size_t i = 1; i < kOperations; i++) {
        Rounds net;
        for (std::size_t round = 0; round < all[i].ours.size(); round++) {
            net.ours.push_back((all[i].ours[round] - all[0].ours[round]) / kCallsPerRun);
            net.theirs.push_back((all[i].theirs[round] - all[0].theirs[round]) / kCallsPerRun);
        }
        add_row(type, spec, cpus.size(), static_cast<Operation>(i), net, report);
    }
    (void)std::fflush(stdout);
    return true;
}

/// On one core.
bool compare_sizes(bool smoke, const Settings& settings, Report& report) {
    const std::vector<std::uint32_t> last_cpu = {allowed_cpus().back()};
    for (const Type& type : types()) {
        for (const std::uint32_t elements : {100U, 10'000U, 1'000'000U}) {
            for (const std::uint32_t key : type.keys) {
                const bool every_size = type.keys.size() <= 2 || key == type.usual_key;
                const bool chosen = smoke ? elements == 100 : every_size || elements == 10'000;
                if (chosen &&
                    !compare(type, spec_of(type, elements, key), last_cpu, settings, report)) {
                    return false;
                }
            }
        }
    }
    return true;
}

/// So few elements that cores meet in most of what they do.
bool compare_cores(const Settings& settings, Report& report) {
    constexpr std::uint32_t kElements = 100;
    const std::vector<std::uint32_t> cpus = allowed_cpus();
    for (const Type& type : types()) {
        for (std::size_t cores = 2; cores <= cpus.size(); cores *= 2) {
            const MapSpec spec = spec_of(type, kElements, type.usual_key);
            if (!compare(type, spec, std::span(cpus).last(cores), settings, report)) {
                return false;
            }
        }
    }
    return true;
}

int run(bool smoke, const char* json) {
    if (!test::kernel::available()) {
        std::printf("maps_bench: bpf(2) is not permitted here: no kernel to compare with\n");
        return 0;
    }
    const Settings settings =
        smoke ? Settings{.rounds = 1, .round_ns = 1e4} : Settings{.rounds = 11, .round_ns = 5e6};
    static_cast<void>(pin_this_thread(allowed_cpus().back()));
    const double clock = clock_ratio();
    std::printf("clock ratio %.2f; ns per call, net of the program without calls\n", clock);
    std::printf("map          elements  key cores  operation             crema   kernel  ratio\n");
    Report report;
    if (!compare_sizes(smoke, settings, report) || !compare_cores(settings, report)) {
        return 1;
    }
    std::printf("\ngeometric means of the ratios on one core\n");
    for (const auto& [name, logs] : report.logs) {
        double sum = 0;
        for (const double one : logs) {
            sum += one;
        }
        std::printf("%-32s %5.2f\n", name.c_str(),
                    std::exp(sum / static_cast<double>(logs.size())));
    }
    if (json != nullptr) {
        Json document;
        document["clock_ratio"] = clock;
        document["rows"] = report.rows;
        std::ofstream out(json);
        out << document.dump(1) << '\n';
        if (!out) {
            (void)std::fprintf(stderr, "maps_bench: %s cannot be written\n", json);
            return 1;
        }
    }
    return 0;
}

}  // namespace
}  // namespace crema::bench

int main(int argc, char** argv) {
    bool smoke = false;
    const char* json = nullptr;
    for (int i = 1; i < argc; i++) {
        const std::string_view argument = argv[i];
        if (argument == "--smoke") {
            smoke = true;
        } else if (argument == "--json" && i + 1 < argc) {
            json = argv[++i];
        } else {
            (void)std::fprintf(stderr, "usage: maps_bench [--smoke] [--json FILE]\n");
            return 2;
        }
    }
    try {
        return crema::bench::run(smoke, json);
    } catch (const std::exception& failure) {  // no memory, no more threads
        (void)std::fprintf(stderr, "maps_bench: %s\n", failure.what());
        return 1;
    }
}
