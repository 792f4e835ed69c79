// SPDX-License-Identifier: BSD-3-Clause
//
// What it costs the polling core to move a frame, in TSC cycles: net_neta with the device model's
// engine on the other core, beside the raw limit of two threads that pass the same descriptors, and
// beside ports of stock DPDK whose other end is on the other core, too (net_virtio_user with
// net_vhost, net_memif). All in one run: each round gives every subject one turn, in another order
// each time, so that a ratio is of neighbours in time. ports/poll.h says what is counted.
//
// Other processes may use the machine: a turn measures each case in several short windows and keeps
// the best of them, which is the one that was disturbed least; medians and spreads are of these.
//
//   port_bench [--smoke] [--huge-pages] [--rounds N] [--windows N] [--milliseconds N] [--json FILE]
//
// The other ends differ. The model does a whole NIC's work for each frame and is slower than the
// driver, which therefore never measures a burst before it is there; its registers are calls that
// share counters with the other core, so net_neta stands here a second time on a device that does
// the least there can be (ports/bare_device.h). No statement about a board.
#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "benchmarks/common/machine.h"
#include "benchmarks/ports/subject.h"

namespace {

namespace bench = crema::bench;
using crema::bench::Cost;
using crema::bench::Subject;
using crema::bench::Work;

struct Options {
    int rounds = 15;
    int windows = 10;
    int milliseconds = 2;  // each
    std::string json{};
    bench::Pages pages = bench::Pages::small;
};

struct Named {
    const char* name;
    std::unique_ptr<Subject> subject;
    std::string failure{};
};

struct Cell {
    std::vector<double> cycles;  // per frame, by round
    std::vector<int> rounds;     // in which
};

constexpr std::array kBursts = {8U, 32U, 64U};
constexpr std::array kWorks = {Work::rx, Work::rx_free, Work::tx, Work::swap};
constexpr std::uint64_t kPollsMin = 20;  // fewer in a window say nothing
constexpr std::array kWorkNames = {"rx", "rx + free", "tx", "rx + tx, MACs swapped"};
constexpr std::size_t kNeta = 1;  // in the list of subjects

using Table = std::vector<std::array<std::array<Cell, kBursts.size()>, kWorks.size()>>;

[[noreturn]] void refuse(const char* what) {
    (void)std::fprintf(stderr, "port_bench: %s\n", what);
    std::exit(2);
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
        } else if (word == "--huge-pages") {
            options.pages = bench::Pages::huge;
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
                "usage: port_bench [--smoke] [--huge-pages] [--rounds N] [--windows N] "
                "[--milliseconds N] [--json FILE]");
        }
    }
    return options;
}

double quantile(std::vector<double> values, double q) {
    std::sort(values.begin(), values.end());
    return values.empty()
               ? 0
               : values[static_cast<std::size_t>(q * static_cast<double>(values.size() - 1))];
}

void give_turn(Named& named, std::size_t index, const Options& options, int round, Table& table) {
    if (!named.failure.empty()) {
        return;
    }
    const crema::Status up = named.subject->up();
    if (up) {
        const std::uint64_t cycles =
            rte_get_tsc_hz() / 1000 * static_cast<std::uint64_t>(options.milliseconds);
        for (std::size_t w = 0; w < kWorks.size(); ++w) {
            for (std::size_t b = 0; b < kBursts.size(); ++b) {
                double best = 0;
                for (int window = 0; window < options.windows; ++window) {
                    const Cost cost = named.subject->run(kWorks.at(w), kBursts.at(b), cycles);
                    const double now = cost.polls >= kPollsMin ? cost.per_frame() : 0;
                    best = best == 0 || (now != 0 && now < best) ? now : best;
                }
                if (best != 0) {
                    Cell& cell = table.at(index).at(w).at(b);
                    cell.cycles.push_back(best);
                    cell.rounds.push_back(round);
                }
            }
        }
    } else {
        named.failure = up.error().message;
    }
    named.subject->down();
}

/// Of one subject's cost to another's, round by round.
std::vector<double> ratios(const Cell& one, const Cell& other) {
    std::vector<double> found;
    for (std::size_t i = 0; i < one.rounds.size(); ++i) {
        const auto same = std::find(other.rounds.begin(), other.rounds.end(), one.rounds[i]);
        if (same != other.rounds.end()) {
            const auto at = static_cast<std::size_t>(same - other.rounds.begin());
            found.push_back(one.cycles[i] / other.cycles[at]);
        }
    }
    return found;
}

void print(const std::vector<Named>& subjects, const Table& table) {
    std::printf("%-22s %5s  %-16s %7s %7s  %-15s %s\n", "TSC cycles per frame", "burst", "port",
                "best", "median", "spread (10-90%)", "x net_neta, bare: median of rounds");
    for (std::size_t w = 0; w < kWorks.size(); ++w) {
        for (std::size_t b = 0; b < kBursts.size(); ++b) {
            for (std::size_t s = 0; s < subjects.size(); ++s) {
                const Cell& cell = table.at(s).at(w).at(b);
                if (cell.cycles.empty()) {
                    std::printf("%-22s %5u  %-16s not measured\n", kWorkNames.at(w), kBursts.at(b),
                                subjects[s].name);
                    continue;
                }
                const double ratio = quantile(ratios(cell, table.at(kNeta).at(w).at(b)), 0.5);
                std::printf("%-22s %5u  %-16s %7.1f %7.1f  %6.1f .. %-6.1f  %.2f\n",
                            kWorkNames.at(w), kBursts.at(b), subjects[s].name,
                            quantile(cell.cycles, 0), quantile(cell.cycles, 0.5),
                            quantile(cell.cycles, 0.1), quantile(cell.cycles, 0.9), ratio);
            }
        }
    }
    for (const Named& named : subjects) {
        if (!named.failure.empty()) {
            std::printf("not measured: %s: %s\n", named.name, named.failure.c_str());
        }
    }
}

void write_json(const std::string& path, const std::vector<Named>& subjects, const Table& table) {
    nlohmann::json rows = nlohmann::json::array();
    for (std::size_t s = 0; s < subjects.size(); ++s) {
        for (std::size_t w = 0; w < kWorks.size(); ++w) {
            for (std::size_t b = 0; b < kBursts.size(); ++b) {
                rows.push_back({{"port", subjects[s].name},
                                {"work", kWorkNames.at(w)},
                                {"burst", kBursts.at(b)},
                                {"cycles_per_frame", table.at(s).at(w).at(b).cycles}});
            }
        }
    }
    std::ofstream(path) << rows.dump(1) << '\n';
}

void probe(const char* when, unsigned other_cpu) {
    std::printf("probes %s: clock %.2f x TSC (%.2f GHz), line round trip %.0f TSC cycles\n", when,
                bench::clock_ratio(), static_cast<double>(rte_get_tsc_hz()) / 1e9,
                bench::line_round_trip(other_cpu));
}

int run_all(const Options& options) {
    const std::vector<std::uint32_t> cpus = bench::allowed_cpus();
    if (cpus.size() < 2) {
        std::puts("skipped: two CPUs are needed, one for each end");
        return 77;
    }
    // The packed ring's vectors are AVX-512, which DPDK uses only where it is told.
    bench::start_eal({cpus[0], cpus[1]},
                     {"-d", "librte_net_vhost.so", "-d", "librte_net_virtio.so", "-d",
                      "librte_net_memif.so", "--force-max-simd-bitwidth=512"},
                     options.pages);
    std::vector<Named> subjects;
    subjects.push_back({.name = "raw limit", .subject = bench::make_raw_limit()});
    subjects.push_back({.name = "net_neta, bare", .subject = bench::make_bare_neta()});
    subjects.push_back({.name = "net_neta, model", .subject = bench::make_neta(cpus[1])});
    subjects.push_back({.name = "net_virtio_user", .subject = bench::make_virtio_user()});
    subjects.push_back({.name = "net_memif", .subject = bench::make_memif()});
    probe("before", cpus[1]);
    Table table(subjects.size());
    std::vector<std::size_t> order = {0, 1, 2, 3, 4};
    std::mt19937 dice(1);
    for (int round = 0; round < options.rounds; ++round) {
        std::shuffle(order.begin(), order.end(), dice);
        for (const std::size_t s : order) {
            give_turn(subjects[s], s, options, round, table);
        }
    }
    print(subjects, table);
    probe("after", cpus[1]);
    if (!options.json.empty()) {
        write_json(options.json, subjects, table);
    }
    return table.at(kNeta).at(0).at(1).cycles.empty() ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
    try {
        return run_all(read_options(argc, argv));
    } catch (const std::exception& failure) {
        (void)std::fprintf(stderr, "port_bench: %s\n", failure.what());
        return 1;
    }
}
