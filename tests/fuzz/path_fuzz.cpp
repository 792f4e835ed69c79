// SPDX-License-Identifier: BSD-3-Clause
//
// path_fuzz: frames through ports, maps and workers while all of that changes at random, most
// telling in a build with AddressSanitizer or ThreadSanitizer.
//
//   path_fuzz ORDERS_OBJECT [--frames N] [--seconds N] [--seed N]
//   path_fuzz ORDERS_OBJECT --record FILE --commit ID [--chunk N] ...
//       appends a line of JSON per chunk (1000000 frames) to FILE, and goes on behind the last one
//
// A seed is a round of 250000 frames (path_round.h). Threads make every run another one; what a
// seed repeats are the frames and the changes, not when they meet.
//
// Exit codes: 0 good, 1 something was wrong, or a record that cannot be written, 2 wrong usage.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fmt/format.h>
#include <string>
#include <unistd.h>
#include <vector>

#include <rte_eal.h>
#include <rte_log.h>

#include "tests/fuzz/path_round.h"
#include "tests/fuzz/record.h"
#include "tests/fuzz/request.h"

namespace crema::test::fuzz {
namespace {

constexpr std::uint64_t kFramesPerRound = 250'000;

// One campaign for each way of building.
#if defined(__SANITIZE_THREAD__)
constexpr const char* kCampaign = "paths, ThreadSanitizer";
#elif defined(__SANITIZE_ADDRESS__)
constexpr const char* kCampaign = "paths, AddressSanitizer";
#else
constexpr const char* kCampaign = "paths";
#endif

bool start_eal() {
    // Five lcores on whatever CPUs there are.
    const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    std::vector<std::string> words = {
        "path_fuzz",
        "--no-huge",
        "--no-pci",
        "--no-shconf",
        "--no-telemetry",
        "--log-level=crema:error",
        "--log-level=error",
        "--file-prefix=crema" + std::to_string(::getpid()),
        "-m",
        "192",
        "--lcores",
        cpus > 1 ? "0@0,1@1,2@0,3@0,4@1" : "(0-4)@0",
    };
    std::vector<char*> argv;
    argv.reserve(words.size());
    for (auto& word : words) {
        argv.push_back(word.data());
    }
    return rte_eal_init(static_cast<int>(argv.size()), argv.data()) >= 0;
}

RecordLine line_of(std::uint64_t first,
                   std::uint64_t next,
                   const PathTally& tally,
                   double seconds) {
    return {.first_seed = first,
            .next_seed = next,
            .figures = {{"frames", tally.frames},
                        {"arrived", tally.arrived},
                        {"attachments", tally.attachments},
                        {"map_changes", tally.map_changes},
                        {"queue_changes", tally.queue_changes},
                        {"mtu_changes", tally.mtu_changes},
                        {"port_stops", tally.port_stops},
                        {"objects", tally.objects}},
            .seconds = seconds,
            .tables = {}};
}

int run(const Request& request) {
    using Clock = std::chrono::steady_clock;
    const auto since = [](Clock::time_point start) {
        return std::chrono::duration<double>(Clock::now() - start).count();
    };
    const Record record(request.record, kCampaign, request.commit);
    const bool recorded = !request.record.empty();
    std::uint64_t seed =
        recorded && !request.seed_given ? record.next_seed(request.seed) : request.seed;
    const Clock::time_point begin = Clock::now();
    const auto in_time = [&] { return request.seconds == 0 || since(begin) < request.seconds; };
    std::uint64_t frames = 0;
    while (frames < request.number && in_time()) {
        const Clock::time_point start = Clock::now();
        const std::uint64_t first = seed;
        PathTally tally;
        const std::uint64_t wanted = std::min(request.chunk, request.number - frames);
        while (tally.frames < wanted && in_time()) {
            const std::uint64_t round = std::min(kFramesPerRound, wanted - tally.frames);
            if (const std::string wrong = path_round(request.folders.front(), seed, round, tally);
                !wrong.empty()) {
                fmt::print(stderr, "path_fuzz: seed {}: {}\n", seed, wrong);
                return 1;
            }
            ++seed;
        }
        frames += tally.frames;
        const RecordLine line = line_of(first, seed, tally, since(start));
        std::string text;
        for (const auto& [name, value] : line.figures) {
            text += fmt::format("{}{} {}", text.empty() ? "" : ", ", value, name);
        }
        fmt::print("seeds {}..{}: {}, {:.1f} s\n", first, seed - 1, text, line.seconds);
        (void)std::fflush(stdout);
        if (recorded && !record.add(line)) {
            fmt::print(stderr, "path_fuzz: cannot write {}\n", request.record);
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
    Request request{.unit = "--frames", .number = 250'000, .chunk = 1'000'000};
    if (!request.read(argc, argv) || request.folders.size() != 1) {
        (void)std::fprintf(stderr,
                           "usage: path_fuzz ORDERS_OBJECT [--frames N] [--seconds N] [--seed N] "
                           "[--record FILE --commit ID [--chunk N]]\n");
        return 2;
    }
    if (!start_eal()) {
        return 1;
    }
    const int code = run(request);
    (void)rte_eal_cleanup();
    return code;
}
