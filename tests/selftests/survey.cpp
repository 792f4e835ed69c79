// SPDX-License-Identifier: BSD-3-Clause
#include "tests/selftests/survey.h"

#include <algorithm>
#include <cstdio>

namespace crema::test {
namespace {

/// Counts of walked instructions that differ more than this are listed.
constexpr double kCountRatio = 1.5;
constexpr std::uint64_t kCountsMatter = 100;

Finding finding_of(const Judgement& kernel, const Judgement& crema) {
    if (kernel.verdict == Verdict::no_map || kernel.verdict == Verdict::no_btf) {
        return Finding::not_judged;
    }
    if (kernel.is_safe() == crema.is_safe()) {
        return Finding::same;
    }
    if (crema.is_safe()) {
        return Finding::wrong_acceptance;
    }
    return crema.verdict == Verdict::no_map ? Finding::no_map : Finding::wrong_refusal;
}

const char* what_claim(Claim claim) {
    switch (claim) {
        case Claim::xdp:
            return "XDP programs";
        case Claim::any_type:
            return "of no type or socket filters, same verdict as XDP in the running kernel";
        case Claim::other_type:
            return "excluded: of another program type";
        case Claim::not_for_xdp:
            return "excluded: of no type or socket filters, XDP's rules differ in the running "
                   "kernel";
        default:
            return "excluded: XDP programs that the running kernel judges differently";
    }
}

/// For a cell of a table.
std::string cell(std::string text) {
    constexpr std::size_t kLongest = 160;
    for (char& letter : text) {
        if (letter == '|' || letter == '\n' || letter == '\t') {
            letter = ' ';
        }
    }
    if (text.size() > kLongest) {
        text.resize(kLongest);
        text += "...";
    }
    return text;
}

std::size_t count(const std::vector<Compared>& all, Claim claim, bool accepted) {
    return static_cast<std::size_t>(std::count_if(all.begin(), all.end(), [&](const Compared& c) {
        return c.finding != Finding::not_judged && c.claim == claim && c.of->accepted == accepted;
    }));
}

/// The kernel may say in two lines what is one here ("...; R1 offset is outside of the packet").
bool same_words(const Judgement& kernel, const Judgement& crema) {
    return crema.reason.ends_with(kernel.reason) &&
           (crema.reason.size() == kernel.reason.size() ||
            crema.reason.substr(0, crema.reason.size() - kernel.reason.size()).ends_with(": ") ||
            crema.reason.substr(0, crema.reason.size() - kernel.reason.size()).ends_with("; "));
}

std::string figures(const Survey& survey) {
    std::string text = "| cases | expected accepted | expected refused |\n|---|---|---|\n";
    for (const Claim claim : {Claim::xdp, Claim::any_type, Claim::not_for_xdp, Claim::other_type,
                              Claim::kernel_differs}) {
        text += fmt::format("| {} | {} | {} |\n", what_claim(claim),
                            count(survey.all(), claim, true), count(survey.all(), claim, false));
    }
    const auto unjudged = survey.with(Finding::not_judged);
    const auto unjudged_accepted = static_cast<std::size_t>(std::count_if(
        unjudged.begin(), unjudged.end(), [](const Compared* c) { return c->of->accepted; }));
    text += fmt::format(
        "| excluded: the running kernel cannot make a map or type of the case | {} | "
        "{} |\n",
        unjudged_accepted, unjudged.size() - unjudged_accepted);
    return text;
}

std::string results(const Survey& survey) {
    std::string text = "| measured | cases | as expected | % |\n|---|---|---|---|\n";
    const auto line = [&text](const std::string& name, std::size_t of, std::size_t good) {
        text += fmt::format(
            "| {} | {} | {} | {:.2f} |\n", name, of, good,
            of == 0 ? 100.0 : 100.0 * static_cast<double>(good) / static_cast<double>(of));
    };
    for (const bool accepted : {false, true}) {
        const auto cases = survey.expected(accepted);
        const auto good = std::count_if(cases.begin(), cases.end(), [&](const Compared* c) {
            return c->crema.is_safe() == accepted;
        });
        line(accepted ? "the table's acceptances, proved" : "the table's refusals, refused",
             cases.size(), static_cast<std::size_t>(good));
    }
    std::size_t of[2] = {};
    std::size_t good[2] = {};
    std::size_t compiled = 0;
    std::size_t alike = 0;
    for (const Compared& c : survey.all()) {
        if (c.finding == Finding::not_judged) {
            continue;
        }
        const bool safe = c.kernel.is_safe();
        ++of[safe ? 1 : 0];
        good[safe ? 1 : 0] += c.crema.is_safe() == safe ? 1U : 0U;
        compiled += safe && c.crema.verdict == Verdict::accepted ? 1U : 0U;
        alike += !safe && same_words(c.kernel, c.crema) ? 1U : 0U;
    }
    line("all cases as XDP: what the running kernel refuses, refused", of[0], good[0]);
    line("of these, in the kernel's very words", of[0], alike);
    line("all cases as XDP: what the running kernel accepts, proved", of[1], good[1]);
    line("of these, compiled too", of[1], compiled);
    return text;
}

std::string list(const std::vector<const Compared*>& cases, const Causes& causes) {
    if (cases.empty()) {
        return "None.\n";
    }
    std::string text = "| case | the kernel says | Crema says | cause |\n|---|---|---|---|\n";
    for (const Compared* c : cases) {
        const auto cause = causes.find(c->of->full_name());
        text += fmt::format("| {} | {} | {} | {} |\n", cell(c->of->full_name()),
                            c->kernel.is_safe() ? "accepted" : cell(c->kernel.reason),
                            c->crema.is_safe() ? "proved" : cell(c->crema.reason),
                            cause == causes.end() ? "" : cell(cause->second));
    }
    return text;
}

std::string counts_that_differ(const Survey& survey) {
    std::string text;
    for (const Compared& c : survey.all()) {
        const std::uint64_t kernel = c.kernel.processed;
        const std::uint64_t crema = c.crema.processed;
        if (!c.kernel.is_safe() || !c.crema.is_safe() || std::max(kernel, crema) < kCountsMatter) {
            continue;
        }
        const double ratio = static_cast<double>(crema) / static_cast<double>(kernel);
        if (ratio > kCountRatio || ratio < 1 / kCountRatio) {
            text += fmt::format("| {} | {} | {} |\n", cell(c.of->full_name()), kernel, crema);
        }
    }
    return text.empty() ? "None.\n" : "| case | kernel | Crema |\n|---|---|---|\n" + text;
}

/// Both refuse, but for what looks like different reasons: numbers of objects differ by machine.
std::string words_that_differ(const Survey& survey) {
    std::string text;
    for (const Compared& c : survey.all()) {
        if (c.finding == Finding::same && c.kernel.verdict == Verdict::refused &&
            !same_words(c.kernel, c.crema)) {
            text += fmt::format("| {} | {} | {} |\n", cell(c.of->full_name()),
                                cell(c.kernel.reason), cell(c.crema.reason));
        }
    }
    return text.empty() ? "None.\n"
                        : "| case | the kernel says | Crema says |\n|---|---|---|\n" + text;
}

}  // namespace

Survey Survey::run(const std::vector<TableCase>& cases, bool trace) {
    const auto kernel = kernel_face();
    Survey survey;
    for (const TableCase& c : cases) {
        if (trace) {
            fmt::print(stderr, "{}\n", c.full_name());
        }
        Compared compared{.of = &c, .kernel = judge(*kernel, c), .crema = {}};
        // A session of its own: what a case makes goes with it.
        compared.crema = judge(*crema_face(), c);
        compared.claim = claim_of(c, compared.kernel);
        compared.finding = finding_of(compared.kernel, compared.crema);
        survey.all_.push_back(std::move(compared));
    }
    return survey;
}

std::vector<const Compared*> Survey::expected(bool accepted) const {
    std::vector<const Compared*> found;
    for (const Compared& c : all_) {
        if (c.counts() && c.of->accepted == accepted) {
            found.push_back(&c);
        }
    }
    return found;
}

std::vector<const Compared*> Survey::with(Finding finding) const {
    std::vector<const Compared*> found;
    for (const Compared& c : all_) {
        if (c.finding == finding) {
            found.push_back(&c);
        }
    }
    return found;
}

std::string Survey::page(const Causes& causes) const {
    std::string text = figures(*this) + "\n" + results(*this);
    text += "\n## Proved here, refused by the running kernel\n\n" +
            list(with(Finding::wrong_acceptance), causes);
    text += "\n## Refused here, accepted by the running kernel\n\n" +
            list(with(Finding::wrong_refusal), causes);
    text += "\n## Accepted by the running kernel, with a map that is not served\n\n" +
            list(with(Finding::no_map), causes);
    text += "\n## Refused by both, in other words\n\n" + words_that_differ(*this);
    text += "\n## Instructions walked, where the counts differ\n\n" + counts_that_differ(*this);
    return text;
}

}  // namespace crema::test
