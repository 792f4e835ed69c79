// SPDX-License-Identifier: BSD-3-Clause
//
// program_fuzz: the differential campaign over random XDP programs, as a command.
//
//   program_fuzz [--seconds N] [--programs N] [--seed N] [--no-kernel] [--mutants N] [--json]
//   program_fuzz --record FILE --commit ID [--chunk N] [--seconds N] [--programs N] [--seed N]
//       appends a line of JSON per chunk of programs (10000) to FILE, and goes on behind the last
//       one there; needs the kernel; damages no programs unless --mutants says so
//   program_fuzz --show SEED [--no-kernel]     print and judge the program of one seed
//
// Exit codes: 0 no mismatch, 1 mismatches (printed as test cases) or a record that cannot be
// written, 2 wrong usage, 77 no kernel to compare with (bpf(2) is not permitted) and --no-kernel
// not given.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>

#include "tests/fuzz/campaign.h"
#include "tests/fuzz/record.h"
#include "tests/support/kernel_bpf.h"

namespace crema::test::fuzz {
namespace {

constexpr int kSkipped = 77;

struct Request {
    CampaignOptions options;
    std::optional<std::uint64_t> show;
    std::string record, commit;
    std::uint64_t chunk = 10'000;
    bool seed_given = false;
};

int wrong_usage(const std::string& what) {
    (void)std::fprintf(
        stderr,
        "program_fuzz: %s\nusage: program_fuzz [--seconds N] [--programs N] [--seed N] "
        "[--no-kernel] [--mutants N] [--json] [--show SEED] [--record FILE --commit ID "
        "[--chunk N]]\n",
        what.c_str());
    return 2;
}

bool read_number(const char* text, double* number) {
    char* end = nullptr;
    *number = std::strtod(text, &end);
    return end != text && *end == '\0' && *number >= 0;
}

/// False: there is no such option, or not with such a number.
bool set_number(Request& request, const std::string& name, const char* text) {
    double number = 0;
    if (!read_number(text, &number)) {
        return false;
    }
    const auto whole = static_cast<std::uint64_t>(number);
    CampaignOptions& options = request.options;
    if (name == "--seconds") {
        options.seconds = number;
    } else if (name == "--programs") {
        options.programs = whole;
    } else if (name == "--seed") {
        options.seed = whole;
        request.seed_given = true;
    } else if (name == "--mutants") {
        options.mutants_one_in = static_cast<int>(whole);
    } else if (name == "--chunk" && whole > 0) {
        request.chunk = whole;
    } else if (name == "--show") {
        request.show = whole;
    } else {
        return false;
    }
    return true;
}

/// What is wrong with the command line, or nothing.
std::optional<std::string> read_arguments(int argc, char** argv, Request& request) {
    for (int i = 1; i < argc; ++i) {
        const std::string name = argv[i];
        if (name == "--no-kernel") {
            request.options.with_kernel = false;
        } else if (name == "--json") {
            request.options.json = true;
        } else if (i + 1 == argc) {
            return name + ": unknown, or without its value";
        } else if (name == "--record") {
            request.record = argv[++i];
            request.options.mutants_one_in = 0;
        } else if (name == "--commit") {
            request.commit = argv[++i];
        } else if (!set_number(request, name, argv[++i])) {
            return name + ": unknown, or not with such a number";
        }
    }
    if (!request.record.empty() && (request.commit.empty() || !request.options.with_kernel)) {
        return std::string("--record needs --commit and the kernel");
    }
    return std::nullopt;
}

void tell(const CampaignResult& result, const CampaignOptions& options) {
    std::puts(figures(result, options.seed + result.programs, options.json).c_str());
    if (!options.json) {
        for (const auto& [reason, refusal] : result.refusals) {
            std::printf("refused %llu times, as seed %llu: %s\n",
                        static_cast<unsigned long long>(refusal.times),
                        static_cast<unsigned long long>(refusal.seed), reason.c_str());
        }
    }
    (void)std::fflush(stdout);
}

RecordLine line_of(const CampaignResult& result, std::uint64_t first_seed) {
    std::map<std::string, std::uint64_t> findings;
    for (std::size_t i = 0; i < result.by_finding.size(); ++i) {
        if (result.by_finding[i] != 0) {
            findings[name_of(static_cast<Finding>(i))] = result.by_finding[i];
        }
    }
    return {.first_seed = first_seed,
            .next_seed = first_seed + result.programs,
            .figures = {{"programs", result.programs},
                        {"equal", result.by_finding[static_cast<std::size_t>(Finding::none)]},
                        {"packets", result.packets},
                        {"mismatches", result.mismatches}},
            .seconds = result.seconds,
            .tables = {{"findings", findings}, {"contain", result.census.counts()}}};
}

/// Chunk by chunk, until programs or seconds are used up.
int run_recorded(const Request& request) {
    const Record record(request.record, "programs", request.commit);
    CampaignOptions options = request.options;
    options.seed = request.seed_given ? options.seed : record.next_seed(1);
    std::uint64_t programs = 0, mismatches = 0;
    double seconds = 0;
    const auto left = [&] {
        return request.options.programs == 0 ? request.chunk : request.options.programs - programs;
    };
    while (left() > 0 && (request.options.seconds == 0 || seconds < request.options.seconds)) {
        options.programs = std::min(request.chunk, left());
        options.seconds = request.options.seconds == 0 ? 0 : request.options.seconds - seconds;
        options.quiet = programs != 0;
        const CampaignResult result = run_campaign(options);
        tell(result, options);
        if (!record.add(line_of(result, options.seed))) {
            (void)std::fprintf(stderr, "program_fuzz: cannot write to %s\n",
                               request.record.c_str());
            return 1;
        }
        options.seed += result.programs;
        programs += result.programs;
        mismatches += result.mismatches;
        seconds += result.seconds;
    }
    return mismatches == 0 ? 0 : 1;
}

int run(Request& request) {
    CampaignOptions& options = request.options;
    if (options.with_kernel && !kernel::available()) {
        std::puts("bpf(2) is not permitted here: no kernel to compare with (--no-kernel: without)");
        return kSkipped;
    }
    if (request.show) {
        options.seed = *request.show;
        return is_mismatch(show_seed(options.seed, options).finding) ? 1 : 0;
    }
    if (!request.record.empty()) {
        return run_recorded(request);
    }
    if (options.seconds == 0 && options.programs == 0) {
        options.seconds = 60;
    }
    const CampaignResult result = run_campaign(options);
    tell(result, options);
    return result.mismatches == 0 ? 0 : 1;
}

}  // namespace
}  // namespace crema::test::fuzz

int main(int argc, char** argv) {
    crema::test::fuzz::Request request;
    if (const auto wrong = crema::test::fuzz::read_arguments(argc, argv, request)) {
        return crema::test::fuzz::wrong_usage(*wrong);
    }
    return crema::test::fuzz::run(request);
}
