// SPDX-License-Identifier: BSD-3-Clause
//
// Many random programs, one after the other, until the time or their number is up. What is wrong is
// made small, printed as a test case, and counted; the campaign goes on.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/fuzz/census.h"
#include "tests/fuzz/trial.h"

namespace crema::test::fuzz {

struct CampaignOptions {
    std::uint64_t seed = 1;      // of the first program; the next has the next
    std::uint64_t programs = 0;  // 0: no limit
    double seconds = 0;          // 0: no limit
    bool with_kernel = true;
    bool json = false;       // a line of JSON with the figures every 10 seconds, and at the end
    int mutants_one_in = 8;  // every so many programs is damaged before; 0: none
    int findings_max = 20;   // shrinks and prints no more than this many
    bool quiet = false;      // does not tell what is left out
    Sabotage sabotage;       // test hook
};

struct CampaignResult {
    std::uint64_t programs = 0;
    std::uint64_t packets = 0;  // runs compared, each on all judges
    std::array<std::uint64_t, kFindings> by_finding{};
    std::uint64_t mismatches = 0;

    /// Undamaged programs that ours refused, by reason: what the generator should not make.
    struct Refusal {
        std::uint64_t times = 0;
        std::uint64_t seed = 0;  // the last one
    };

    std::map<std::string, Refusal> refusals;
    std::vector<std::string> cases;       // source form of what was shrunk
    std::vector<std::size_t> case_sizes;  // their instruction slots
    double seconds = 0;
    Census census;  // of the programs on which all judges agree
};

[[nodiscard]] CampaignResult run_campaign(const CampaignOptions& options);

/// One line of figures: JSON, or for people.
[[nodiscard]] std::string figures(const CampaignResult& result, std::uint64_t next_seed, bool json);

/// The program and packets of one seed, as the campaign makes them.
[[nodiscard]] Judgement show_seed(std::uint64_t seed, const CampaignOptions& options);

}  // namespace crema::test::fuzz
