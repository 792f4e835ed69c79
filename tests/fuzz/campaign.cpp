// SPDX-License-Identifier: BSD-3-Clause
//
// See campaign.h.
#include "tests/fuzz/campaign.h"

#include <cstdio>
#include <fmt/format.h>

#include "tests/fuzz/features.h"
#include "tests/fuzz/function_types.h"
#include "tests/fuzz/generator.h"
#include "tests/fuzz/mutate.h"
#include "tests/fuzz/shrink.h"
#include "tests/support/asm.h"

namespace crema::test::fuzz {
namespace {

using Clock = std::chrono::steady_clock;

double since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

/// PROG_LOAD resolves map references before anybody judges: a mutant must have good ones.
bool has_good_references(const ebpf::Program& program) {
    for (std::size_t at = 0; at < program.insns.size(); ++at) {
        const Insn& insn = program.insns[at];
        if (insn.code != op::kLdImm64) {
            continue;
        }
        if (++at == program.insns.size()) {
            return false;
        }
        if (insn.src == 0 || insn.src == op::kPseudoFunc) {
            continue;
        }
        const auto map = static_cast<std::uint32_t>(insn.imm);
        const bool value = insn.src == op::kPseudoMapValue;
        if ((insn.src != op::kPseudoMap && !value) || map >= program.maps.size()) {
            return false;
        }
        const auto offset = static_cast<std::uint32_t>(program.insns[at].imm);
        const ebpf::maps::MapSpec& spec = program.maps[map]->spec();
        if (value ? offset >= spec.value_size || spec.max_entries != 1 : offset != 0) {
            return false;
        }
    }
    return true;
}

class Campaign {
  public:
    explicit Campaign(const CampaignOptions& options)
        : options_(options),
          compiled_(served_features(Way::compiled)),
          interpreted_(served_features(Way::interpreted)),
          judges_(options.with_kernel, options.sabotage) {}

    /// Every fourth program may be one that only the interpreter runs.
    [[nodiscard]] const Features& features(std::uint64_t seed) const {
        return seed % 4 == 3 ? interpreted_ : compiled_;
    }

    void tell_features() const {
        const auto tell = [](const char* what, const Features& features) {
            std::string names;
            for (const std::string& name : features.left_out) {
                names += (names.empty() ? "" : ", ") + name;
            }
            std::printf("%s: %s\n", what, names.empty() ? "nothing" : names.c_str());
        };
        tell("left out, because ours does not compile it", compiled_);
        tell("left out, because ours does not interpret it", interpreted_);
    }

    [[nodiscard]] Case make(std::uint64_t seed, bool* mutant) const {
        Case made{.program = generate(seed, features(seed), judges_.maps()),
                  .packets = make_packets(seed)};
        const auto one_in = static_cast<std::uint64_t>(options_.mutants_one_in);
        *mutant = one_in != 0 && seed % one_in == 0;
        if (*mutant) {
            Dice dice(seed ^ 0x6d757461);
            made.program = mutate(std::move(made.program), dice);
        }
        return made;
    }

    CampaignResult run() {
        const Clock::time_point start = Clock::now();
        double told = 0;
        std::uint64_t seed = options_.seed;
        for (; !ends(start); ++seed) {
            one(seed);
            result_.seconds = since(start);
            if (options_.json && result_.seconds - told >= 10) {
                told = result_.seconds;
                std::puts(figures(result_, seed + 1, true).c_str());
                (void)std::fflush(stdout);
            }
        }
        return std::move(result_);
    }

    [[nodiscard]] static Trust trust_in(std::uint64_t seed, bool mutant) {
        return mutant ? Trust::acceptance : seed % 64 == 1 ? Trust::long_too : Trust::full;
    }

    [[nodiscard]] Judgement judge(const Case& shown, Trust trust) {
        return judges_.judge(shown.program, shown.packets, trust);
    }

  private:
    [[nodiscard]] bool ends(Clock::time_point start) const {
        return (options_.programs != 0 && result_.programs >= options_.programs) ||
               (options_.seconds != 0 && since(start) >= options_.seconds);
    }

    void one(std::uint64_t seed) {
        bool mutant = false;
        const Case made = make(seed, &mutant);
        ++result_.programs;
        if (mutant && !has_good_references(made.program)) {
            ++result_.by_finding[static_cast<std::size_t>(Finding::refused_by_both)];
            return;
        }
        const Judgement judgement = judge(made, trust_in(seed, mutant));
        ++result_.by_finding[static_cast<std::size_t>(judgement.finding)];
        result_.packets += static_cast<std::uint64_t>(judgement.packets);
        if (judgement.finding == Finding::none) {
            ebpf::Program typed = made.program;
            add_function_types(typed);
            result_.census.add(typed);
        }
        if (!mutant && (judgement.finding == Finding::refused_by_both ||
                        judgement.finding == Finding::not_served)) {
            CampaignResult::Refusal& refusal = result_.refusals[judgement.reason];
            refusal = {.times = refusal.times + 1, .seed = seed};
        }
        if (judgement.finding == Finding::kernel_fault) {
            std::printf("seed %llu: fault of the kernel: %s\n",
                        static_cast<unsigned long long>(seed), judgement.text.c_str());
        }
        if (is_mismatch(judgement.finding)) {
            ++result_.mismatches;
            report(seed, made, judgement, mutant);
        }
    }

    /// One case for each kind of finding: the first that shows it.
    void report(std::uint64_t seed, const Case& made, const Judgement& judgement, bool mutant) {
        const bool known =
            !seen_.insert(fmt::format("{} {}", name_of(judgement.finding), judgement.reason))
                 .second;
        if (known || static_cast<int>(result_.cases.size()) >= options_.findings_max) {
            return;
        }
        std::printf("seed %llu%s: %s: %s\n", static_cast<unsigned long long>(seed),
                    mutant ? " (mutant)" : "", name_of(judgement.finding), judgement.text.c_str());
        (void)std::fflush(stdout);
        const Trust trust = mutant ? Trust::acceptance : Trust::outcome;
        const StillShows shows = [&](const Case& smaller) {
            if (!has_good_references(smaller.program)) {
                return false;
            }
            const Judgement now = judge(smaller, trust);
            return now.finding == judgement.finding && now.reason == judgement.reason;
        };
        const Case small = shrink(made, shows);
        result_.case_sizes.push_back(small.program.insns.size());
        result_.cases.push_back(source_form(small, judge(small, trust)));
        std::printf("%s", result_.cases.back().c_str());
        (void)std::fflush(stdout);
    }

    const CampaignOptions& options_;
    Features compiled_;
    Features interpreted_;
    Judges judges_;
    CampaignResult result_;
    std::set<std::string> seen_;
};

}  // namespace

CampaignResult run_campaign(const CampaignOptions& options) {
    Campaign campaign(options);
    if (!options.json && !options.quiet) {
        campaign.tell_features();
    }
    return campaign.run();
}

std::string figures(const CampaignResult& result, std::uint64_t next_seed, bool json) {
    std::string text =
        json ? fmt::format(
                   "{{\"programs\":{},\"packets\":{},\"seconds\":{:.1f},"
                   "\"next_seed\":{},\"mismatches\":{}",
                   result.programs, result.packets, result.seconds, next_seed, result.mismatches)
             : fmt::format(
                   "{} programs, {} packet runs, {:.1f} s ({:.0f} programs/s), "
                   "next seed {}:",
                   result.programs, result.packets, result.seconds,
                   static_cast<double>(result.programs) / result.seconds, next_seed);
    for (std::size_t i = 0; i < result.by_finding.size(); ++i) {
        const char* const name = name_of(static_cast<Finding>(i));
        if (json) {
            text += fmt::format(",\"{}\":{}", name, result.by_finding[i]);
        } else if (result.by_finding[i] != 0) {
            text += fmt::format(" {} {},", result.by_finding[i], name);
        }
    }
    if (json) {
        return text + "}";
    }
    return text + fmt::format(" {} mismatches", result.mismatches);
}

Judgement show_seed(std::uint64_t seed, const CampaignOptions& options) {
    Campaign campaign(options);
    bool mutant = false;
    const Case made = campaign.make(seed, &mutant);
    Judgement judgement = campaign.judge(made, Campaign::trust_in(seed, mutant));
    std::printf("%s", source_form(made, judgement).c_str());
    return judgement;
}

}  // namespace crema::test::fuzz
