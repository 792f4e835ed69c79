// SPDX-License-Identifier: BSD-3-Clause
//
// mutant_fuzz: mutants of accepted programs, judged by the kernel's verifier and ours.
//
//   mutant_fuzz [--mutants N] [--seconds N] [--seed N]
//   mutant_fuzz --record FILE --commit ID [--chunk N] ...
//       appends a line of JSON per chunk (20000) to FILE, and goes on behind the last one there
//
// Exit codes: 0 good (mutants.h), 1 not, or a record that cannot be written, 2 wrong usage, 77 no
// kernel to ask.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tests/fuzz/mutants.h"
#include "tests/fuzz/record.h"
#include "tests/fuzz/request.h"

namespace crema::test::fuzz {
namespace {

constexpr int kSkipped = 77;

int wrong_usage() {
    (void)std::fprintf(stderr,
                       "usage: mutant_fuzz [--mutants N] [--seconds N] [--seed N] "
                       "[--record FILE --commit ID [--chunk N]]\n");
    return 2;
}

RecordLine line_of(const MutantTally& tally, std::uint64_t first, double seconds) {
    return {.first_seed = first,
            .next_seed = first + tally.mutants,
            .figures = {{"mutants", tally.mutants},
                        {"both_accept", tally.both_accept},
                        {"both_refuse", tally.both_refuse},
                        {"only_ours", tally.only_ours},
                        {"only_kernel", tally.stricter},
                        {"not_served", tally.unserved},
                        {"endless", tally.endless},
                        {"kernel_gave_up", tally.kernel_gave_up},
                        {"dead_here", tally.dead_here},
                        {"narrower_here", tally.narrower_here}},
            .seconds = seconds,
            .tables = {{"causes", tally.causes}}};
}

void tell(const MutantTally& tally, double seconds, std::uint64_t next_seed) {
    const auto shown = [](std::uint64_t n) { return static_cast<unsigned long long>(n); };
    for (const auto& [cause, count] : tally.causes) {
        std::printf("%6llu  %s\n", shown(count), cause.c_str());
    }
    std::printf(
        "%llu mutants, %.1f s (%.0f/s), next seed %llu: both accept %llu, both refuse %llu, "
        "endless %llu, the kernel gave up %llu, dead here %llu, narrower here %llu, only the "
        "kernel "
        "accepts %llu and "
        "%llu not served, "
        "only we accept %llu\n",
        shown(tally.mutants), seconds, static_cast<double>(tally.mutants) / seconds,
        shown(next_seed), shown(tally.both_accept), shown(tally.both_refuse), shown(tally.endless),
        shown(tally.kernel_gave_up), shown(tally.dead_here), shown(tally.narrower_here),
        shown(tally.stricter), shown(tally.unserved), shown(tally.only_ours));
    (void)std::fflush(stdout);
}

int run(const Request& request) {
    using Clock = std::chrono::steady_clock;
    if (!kernel_verifier_available()) {
        std::puts("bpf(2) PROG_LOAD is not permitted here: no kernel to ask");
        return kSkipped;
    }
    const Record record(request.record, "mutants", request.commit);
    const bool recorded = !request.record.empty();
    Mutants mutants;
    std::printf("mutants of %zu programs and families of programs\n", mutants.families());
    std::uint64_t seed =
        recorded && !request.seed_given ? record.next_seed(request.seed) : request.seed;
    const std::uint64_t mutants_max =
        request.number == 0 && request.seconds == 0 ? 20'000 : request.number;
    MutantTally all;
    double seconds = 0;
    const auto goes_on = [&](std::uint64_t more, double more_seconds) {
        return (mutants_max == 0 || all.mutants + more < mutants_max) &&
               (request.seconds == 0 || seconds + more_seconds < request.seconds);
    };
    while (goes_on(0, 0)) {
        const Clock::time_point start = Clock::now();
        const auto spent = [start] {
            return std::chrono::duration<double>(Clock::now() - start).count();
        };
        MutantTally chunk;
        const std::uint64_t first = seed;
        while (chunk.mutants < request.chunk && goes_on(chunk.mutants, spent())) {
            mutants.judge(seed++, chunk);
        }
        tell(chunk, spent(), seed);
        if (recorded && !record.add(line_of(chunk, first, spent()))) {
            (void)std::fprintf(stderr, "mutant_fuzz: cannot write to %s\n", request.record.c_str());
            return 1;
        }
        all.add(chunk);
        seconds += spent();
    }
    tell(all, seconds, seed);
    return all.is_good() && all.both_accept > all.mutants / 20 ? 0 : 1;
}

}  // namespace
}  // namespace crema::test::fuzz

int main(int argc, char** argv) {
    crema::test::fuzz::Request request{.unit = "--mutants", .number = 0, .chunk = 20'000};
    if (!request.read(argc, argv) || !request.folders.empty()) {
        return crema::test::fuzz::wrong_usage();
    }
    return crema::test::fuzz::run(request);
}
