// SPDX-License-Identifier: BSD-3-Clause
//
// device_fuzz: a hostile device under the driver, most telling in a build with sanitizers.
//
//   device_fuzz [--values N] [--seconds N] [--seed N]
//   device_fuzz --record FILE --commit ID [--chunk N] ...
//       appends a line of JSON per chunk (5000000 values) to FILE, and goes on behind the last one
//
// A value is a descriptor, a word of one, a queue's counters or a register that the device made up.
// A seed is a round, 200000 values with one port (device_rounds.h). Whatever crashes, or a
// sanitizer finds, ends it.
//
// Exit codes: 0 good, 1 something was wrong, or a record that cannot be written, 2 wrong usage.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fmt/format.h>
#include <string>
#include <unistd.h>
#include <vector>

#include <rte_eal.h>
#include <rte_log.h>

#include "tests/fuzz/device_rounds.h"
#include "tests/fuzz/hostile_device.h"
#include "tests/fuzz/record.h"
#include "tests/fuzz/request.h"

namespace crema::test::fuzz {
namespace {

constexpr std::uint64_t kValuesPerRound = 200'000;

bool start_eal() {
    std::vector<std::string> words = {"device_fuzz",
                                      "--no-huge",
                                      "--no-pci",
                                      "--no-shconf",
                                      "--no-telemetry",
                                      "--log-level=crema:alert",
                                      "--log-level=error",
                                      "--file-prefix=crema" + std::to_string(::getpid()),
                                      "-m",
                                      "128",
                                      "-l",
                                      "0"};
    std::vector<char*> argv;
    argv.reserve(words.size());
    for (auto& word : words) {
        argv.push_back(word.data());
    }
    return rte_eal_init(static_cast<int>(argv.size()), argv.data()) >= 0;
}

struct Chunk {
    std::uint64_t first = 0;
    std::uint64_t next = 0;
    HostileTally device;  // before it
    DriverTally driver;
};

RecordLine line_of(const Chunk& chunk, double seconds) {
    const HostileTally& now = HostileDevice::tally;
    return {.first_seed = chunk.first,
            .next_seed = chunk.next,
            .figures = {{"values", now.all() - chunk.device.all()},
                        {"descriptors", now.descriptors - chunk.device.descriptors},
                        {"words", now.words - chunk.device.words},
                        {"counts", now.counts - chunk.device.counts},
                        {"registers", now.registers - chunk.device.registers},
                        {"received", chunk.driver.received},
                        {"sent", chunk.driver.sent},
                        {"refused", chunk.driver.refused},
                        {"count_errors", chunk.driver.lies},
                        {"stops", chunk.driver.stops}},
            .seconds = seconds,
            .tables = {}};
}

int run(const Request& request) {
    using Clock = std::chrono::steady_clock;
    const auto since = [](Clock::time_point start) {
        return std::chrono::duration<double>(Clock::now() - start).count();
    };
    vfio::register_model("neta", HostileDevice::make);
    const Record record(request.record, "devices", request.commit);
    const bool recorded = !request.record.empty();
    std::uint64_t seed =
        recorded && !request.seed_given ? record.next_seed(request.seed) : request.seed;
    const Clock::time_point begin = Clock::now();
    const auto in_time = [&] { return request.seconds == 0 || since(begin) < request.seconds; };
    while (HostileDevice::tally.all() < request.number && in_time()) {
        const Clock::time_point start = Clock::now();
        Chunk chunk{.first = seed, .next = seed, .device = HostileDevice::tally, .driver = {}};
        const std::uint64_t end = std::min(request.number, chunk.device.all() + request.chunk);
        while (HostileDevice::tally.all() < end && in_time()) {
            const std::uint64_t values =
                std::min(kValuesPerRound, end - HostileDevice::tally.all());
            if (const std::string wrong = device_round(seed, values, chunk.driver);
                !wrong.empty()) {
                fmt::print(stderr, "device_fuzz: seed {}: {}\n", seed, wrong);
                return 1;
            }
            chunk.next = ++seed;
        }
        const RecordLine line = line_of(chunk, since(start));
        std::string text;
        for (const auto& [name, value] : line.figures) {
            text += fmt::format("{}{} {}", text.empty() ? "" : ", ", value, name);
        }
        fmt::print("seeds {}..{}: {}, {:.1f} s\n", chunk.first, chunk.next - 1, text, line.seconds);
        (void)std::fflush(stdout);
        if (recorded && !record.add(line)) {
            fmt::print(stderr, "device_fuzz: cannot write {}\n", request.record);
            return 1;
        }
    }
    return 0;
}

}  // namespace
}  // namespace crema::test::fuzz

// NOLINTNEXTLINE(bugprone-exception-escape): memory that runs out ends the program
int main(int argc, char** argv) {
    using namespace crema::test::fuzz;
    Request request{.unit = "--values", .number = 2'000'000, .chunk = 5'000'000};
    if (!request.read(argc, argv) || !request.folders.empty()) {
        (void)std::fprintf(
            stderr,
            "usage: device_fuzz [--values N] [--seconds N] [--seed N] [--record FILE "
            "--commit ID [--chunk N]]\n");
        return 2;
    }
    if (!start_eal()) {
        return 1;
    }
    const int code = run(request);
    (void)rte_eal_cleanup();
    return code;
}
