// SPDX-License-Identifier: BSD-3-Clause
//
// program_fuzz: the differential campaign over random XDP programs, as a command.
//
//   program_fuzz [--seconds N] [--programs N] [--seed N] [--no-kernel] [--mutants N] [--json]
//   program_fuzz --show SEED [--no-kernel]     print and judge the program of one seed
//
// Exit codes: 0 no mismatch, 1 mismatches (printed as test cases), 2 wrong usage, 77 no kernel to
// compare with (bpf(2) is not permitted) and --no-kernel not given.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "tests/fuzz/campaign.h"
#include "tests/support/kernel_bpf.h"

namespace {

constexpr int kSkipped = 77;

int wrong_usage(const char* what) {
    std::fprintf(stderr,
                 "program_fuzz: %s\nusage: program_fuzz [--seconds N] [--programs N] [--seed N] "
                 "[--no-kernel] [--mutants N] [--json] [--show SEED]\n",
                 what);
    return 2;
}

bool read_number(const char* text, double* number) {
    char* end = nullptr;
    *number = std::strtod(text, &end);
    return end != text && *end == '\0' && *number >= 0;
}

}  // namespace

int main(int argc, char** argv) {
    crema::test::fuzz::CampaignOptions options;
    bool shows = false;
    for (int i = 1; i < argc; ++i) {
        const std::string name = argv[i];
        if (name == "--no-kernel") {
            options.with_kernel = false;
            continue;
        }
        if (name == "--json") {
            options.json = true;
            continue;
        }
        double number = 0;
        if (i + 1 == argc || !read_number(argv[++i], &number)) {
            return wrong_usage((name + ": unknown, or without its number").c_str());
        }
        const auto whole = static_cast<std::uint64_t>(number);
        if (name == "--seconds") {
            options.seconds = number;
        } else if (name == "--programs") {
            options.programs = whole;
        } else if (name == "--seed") {
            options.seed = whole;
        } else if (name == "--mutants") {
            options.mutants_one_in = static_cast<int>(whole);
        } else if (name == "--show") {
            options.seed = whole;
            shows = true;
        } else {
            return wrong_usage((name + ": unknown").c_str());
        }
    }
    if (options.with_kernel && !crema::test::kernel::available()) {
        std::puts("bpf(2) is not permitted here: no kernel to compare with (--no-kernel: without)");
        return kSkipped;
    }
    if (shows) {
        const auto judgement = crema::test::fuzz::show_seed(options.seed, options);
        return crema::test::fuzz::is_mismatch(judgement.finding) ? 1 : 0;
    }
    if (options.seconds == 0 && options.programs == 0) {
        options.seconds = 60;
    }
    const auto result = crema::test::fuzz::run_campaign(options);
    std::puts(
        crema::test::fuzz::figures(result, options.seed + result.programs, options.json).c_str());
    if (!options.json) {
        for (const auto& [reason, refusal] : result.refusals) {
            std::printf("refused %llu times, as seed %llu: %s\n",
                        static_cast<unsigned long long>(refusal.times),
                        static_cast<unsigned long long>(refusal.seed), reason.c_str());
        }
    }
    return result.mismatches == 0 ? 0 : 1;
}
