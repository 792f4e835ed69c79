// SPDX-License-Identifier: BSD-3-Clause
//
// The verifier's log beside the running kernel's, for every refused case of the table: the reason
// in the same words, and the way there, instruction by instruction, in the same notation. Tools and
// people search these logs. Cases whose text is another one are listed below with the cause; one
// that is listed and equal is a failure, too.
#include <gtest/gtest.h>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "lib/ebpf/verifier/verify.h"
#include "tests/support/kernel_verifier.h"
#include "tests/support/verifier_cases.h"

namespace crema::test {
namespace {

using Lines = std::vector<std::string>;

Lines lines_of(const std::string& log) {
    Lines lines;
    std::istringstream text(log);
    for (std::string line; std::getline(text, line);) {
        if (!line.starts_with("processed ") && !line.empty()) {
            lines.push_back(line);
        }
    }
    return lines;
}

bool is_digit(char letter) {
    return letter >= '0' && letter <= '9';
}

/// Lines of the walk begin with an instruction's number, or are about a change of path or function.
bool is_walk(const std::string& line) {
    const std::size_t digits = line.find_first_not_of("0123456789");
    return (is_digit(line.front()) && digits != std::string::npos && line[digits] == ':') ||
           line.starts_with("from ") || line.starts_with("; ") || line.starts_with(" ") ||
           line == "caller:" || line == "callee:" || line == "returning from callee:" ||
           line.starts_with("to caller at ");
}

/// What stands behind the walk.
Lines reason_of(const Lines& lines) {
    auto first = lines.end();
    while (first != lines.begin() && !is_walk(*(first - 1))) {
        --first;
    }
    return {first, lines.end()};
}

/// Calls of kernel functions carry another number there.
std::string without_kfunc_numbers(std::string line) {
    const std::size_t call = line.find("call bpf_");
    const std::size_t hash = call != std::string::npos ? line.find('#', call) : call;
    const bool kernel_function =
        hash != std::string::npos &&
        (line.find("bpf_dynptr_", call) == call + 5 || line.find("bpf_iter_", call) == call + 5 ||
         line.find("bpf_rcu_", call) == call + 5 || line.find("bpf_preempt_", call) == call + 5 ||
         line.find("bpf_xdp_pull", call) == call + 5);
    if (!kernel_function) {
        return line;
    }
    std::size_t end = hash + 1;
    while (end < line.size() && is_digit(line[end])) {
        ++end;
    }
    line.erase(hash, end - hash);
    const std::size_t state = line.find(';');  // the column depends on the number's length
    if (state != std::string::npos) {
        line = line.substr(0, line.find_last_not_of(' ', state - 1) + 1) + line.substr(state);
    }
    return line;
}

/// Addresses of maps are of the machine.
std::string without_map_addresses(std::string line) {
    const std::size_t load = line.find("(18) r");
    const std::size_t from = load != std::string::npos ? line.find(" = ", load) : load;
    const std::size_t state = line.find(';');
    if (from == std::string::npos || line.find("=map_") == std::string::npos) {
        return line;
    }
    return line.substr(0, from) + line.substr(state);
}

std::string joined(const Lines& lines) {
    std::string text;
    for (const std::string& line : lines) {
        text += line + "\n";
    }
    return text;
}

/// Cases that both refuse for other reasons first, or say the same in other words: see
/// docs/verifier-differences.md.
const std::map<std::string, std::string>& other_reasons() {
    static const std::map<std::string, std::string> all = {
        {"loop decided by the packet", "noticed at another instruction of the loop"},
        {"tail call in a callback", "the kernel calls it a bug of its own verifier"},
    };
    return all;
}

/// Cases whose reason is the same and whose walk differs in some line.
const std::map<std::string, std::string>& other_walks() {
    static const std::map<std::string, std::string> all = {
        {"endless loop with a state at each round", "the state before the loop is noticed"},
        {"what a callback counts is unknown afterwards", "registers shown behind a callback"},
        {"packet moved in a callback", "registers shown behind a callback"},
        {"a sample's dynptr outlives its callback", "registers shown behind a callback"},
        {"packet after a function that tail-calls", "the way back of a tail call"},
        {"result of a function that tail-calls", "the way back of a tail call"},
        {"32-bit sum that comes round", "32-bit bounds of a pointer"},
        {"equal to an object of the kernel", "ptr_ where the kernel writes trusted_ptr_"},
    };
    return all;
}

struct Texts {
    Lines kernel;
    Lines ours;
};

Texts texts_of(const KernelVerifier& verifier, const VerifierCase& c) {
    std::string log;
    ebpf::verifier::Options options;
    options.log_level = 1;
    (void)ebpf::verifier::verify(c.program, options, &log).has_value();
    Texts texts{lines_of(verifier.judge(c.program).reason), lines_of(log)};
    for (Lines* lines : {&texts.kernel, &texts.ours}) {
        for (std::string& line : *lines) {
            line = without_map_addresses(without_kfunc_numbers(line));
        }
    }
    return texts;
}

TEST(VerifierLog, ReadsAsTheKernels) {
    if (!kernel_verifier_available()) {
        GTEST_SKIP() << "bpf(2) PROG_LOAD is not permitted here";
    }
    const KernelVerifier verifier(case_maps());
    std::size_t judged = 0;
    std::size_t same_reason = 0;
    std::size_t same_log = 0;
    for (const VerifierCase& c : verifier_cases()) {
        // A walk over a million instructions is longer than what either keeps.
        if (c.refusal.empty() || !c.kernel_agrees ||
            c.refusal.find("too large") != std::string::npos) {
            continue;
        }
        const Texts texts = texts_of(verifier, c);
        const bool reason = reason_of(texts.kernel) == reason_of(texts.ours);
        const bool all = texts.kernel == texts.ours;
        ++judged;
        same_reason += reason ? 1U : 0U;
        same_log += all ? 1U : 0U;
        EXPECT_NE(reason, other_reasons().contains(c.name)) << c.name << "\nkernel:\n"
                                                            << joined(texts.kernel) << "ours:\n"
                                                            << joined(texts.ours);
        EXPECT_NE(!reason || all, other_walks().contains(c.name))
            << c.name << "\nkernel:\n"
            << joined(texts.kernel) << "ours:\n"
            << joined(texts.ours);
    }
    std::printf("refused cases %zu, same reason %zu, same log in every line %zu\n", judged,
                same_reason, same_log);
    EXPECT_GT(judged, 100U);
}

}  // namespace
}  // namespace crema::test
