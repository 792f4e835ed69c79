// SPDX-License-Identifier: BSD-3-Clause
//
// Mutants: accepted programs (the table of rules, generated ones, real objects) with a few bytes,
// fields or instructions changed, judged by the kernel and by us. Nothing is accepted here that the
// kernel refuses; of what it accepts we refuse less than one in a hundred, and the causes are
// printed (docs/verifier-differences.md explains them).
//
// CREMA_TEST_ROUNDS lengthens it: 1 is 6000 mutants.
#include <algorithm>
#include <cctype>
#include <cstdio>
#include <filesystem>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "lib/ebpf/loader/object.h"
#include "lib/ebpf/program/structure.h"
#include "lib/ebpf/verifier/verify.h"
#include "tests/support/call_dice.h"
#include "tests/support/kernel_verifier.h"
#include "tests/support/rounds.h"
#include "tests/support/verifier_cases.h"
#include "tests/support/verifier_dice.h"

namespace crema::test {

namespace {

/// Enough for every program here.
const ebpf::verifier::Options kEffort{.log_level = 0, .insns_max = 50'000};

/// Programs that share a set of maps.
struct Family {
    std::string name;
    std::unique_ptr<KernelVerifier> kernel;
    std::vector<ebpf::Program> programs;
};

struct Tally {
    std::uint64_t mutants = 0;
    std::uint64_t both_accept = 0;
    std::uint64_t both_refuse = 0;
    std::uint64_t endless = 0;
    std::uint64_t unserved = 0;
    std::uint64_t stricter = 0;
    std::map<std::string, std::uint64_t> causes;
};

/// The reason without numbers, so that equal causes meet.
std::string cause_of(const std::string& message) {
    const std::size_t at = message.find("): ");
    std::string cause = at == std::string::npos ? message : message.substr(at + 3);
    const auto is_digit = [](char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; };
    cause.erase(std::remove_if(cause.begin(), cause.end(), is_digit), cause.end());
    return cause.substr(0, 100);
}

std::string last_line(const std::string& text) {
    return text.substr(text.rfind('\n') + 1);
}

/// Limits on effort are no safety: the kernel may give up where we do not.
bool is_effort(const KernelVerdict& kernel) {
    return kernel.reason.find("too large. Processed") != std::string::npos ||
           kernel.reason.find("jumps is too complex") != std::string::npos;
}

void judge(const Family& family, ebpf::Program program, std::uint64_t seed, Tally& tally) {
    ++tally.mutants;
    program.btf = nullptr;
    program.functions.clear();
    std::string refusal;
    if (const auto wrong = ebpf::find_functions(program)) {
        refusal = wrong->reason;
    } else if (const auto proof = ebpf::verifier::verify(program, kEffort); !proof) {
        refusal = proof.error().message;
    }
    if (refusal.find("too large. Processed") != std::string::npos) {
        ++tally.endless;  // a loop that was made endless: seconds for the kernel, nothing to learn
        return;
    }
    const KernelVerdict kernel = family.kernel->judge(program);
    if (refusal.empty()) {
        tally.both_accept += kernel.accepted ? 1 : 0;
        if (!kernel.accepted && !is_effort(kernel)) {
            ADD_FAILURE() << family.name << " seed " << seed << " (" << program.insns.size()
                          << " instructions): we accept, the kernel says: "
                          << last_line(kernel.reason) << " (errno " << kernel.error << ")";
        }
    } else if (!kernel.accepted) {
        ++tally.both_refuse;
    } else {
        const bool unserved = refusal.find("not served yet") != std::string::npos;
        ++(unserved ? tally.unserved : tally.stricter);
        ++tally.causes[cause_of(refusal)];
        if (!unserved) {
            std::printf("%s seed %llu: the kernel accepts: %s\n", family.name.c_str(),
                        static_cast<unsigned long long>(seed), refusal.c_str());
        }
    }
}

std::vector<Family> families() {
    std::vector<Family> result;
    Family table{"table", std::make_unique<KernelVerifier>(case_maps()), {}};
    for (const VerifierCase& c : verifier_cases()) {
        if (c.refusal.empty() && c.program.insns.size() < 1000) {
            table.programs.push_back(c.program);
        }
    }
    result.push_back(std::move(table));
    Family generated{"generated", std::make_unique<KernelVerifier>(case_maps()), {}};
    for (std::uint64_t seed = 0; seed < 400; ++seed) {
        generated.programs.push_back(dice_program(seed));
        generated.programs.push_back(call_dice_program(seed));
    }
    result.push_back(std::move(generated));
    for (const char* folder : {CREMA_BPF_DIR, CREMA_TEST_BPF_DIR, "/usr/lib/x86_64-linux-gnu/bpf",
                               "/usr/lib/bpf", "/usr/lib64/bpf"}) {
        std::error_code none;
        for (const auto& entry : std::filesystem::directory_iterator(folder, none)) {
            if (entry.path().extension() != ".o") {
                continue;
            }
            const auto object = ebpf::loader::Object::judge(entry.path().string());
            if (!object) {
                continue;
            }
            for (const ebpf::loader::JudgedProgram& judged : object->judged()) {
                const ebpf::Program& program = judged.program();
                if (program.insns.empty() || program.insns.size() > 2000) {
                    continue;
                }
                Family family{entry.path().filename().string() + " " + judged.name,
                              std::make_unique<KernelVerifier>(program.maps),
                              {program}};
                result.push_back(std::move(family));
            }
        }
    }
    return result;
}

}  // namespace

TEST(VerifierMutants, NothingPassesHereThatTheKernelRefuses) {
    if (!kernel_verifier_available()) {
        GTEST_SKIP() << "bpf(2) PROG_LOAD is not permitted here";
    }
    const std::vector<Family> all = families();
    Tally tally;
    const std::uint64_t rounds = scaled_rounds(6000);
    for (std::uint64_t n = 0; n < rounds; ++n) {
        const std::uint64_t seed = first_seed() + n;
        // Tables and generators have many programs, an object has one.
        const std::size_t pick = seed % 4 < 2 ? seed % 2 : 2 + seed / 4 % (all.size() - 2);
        const Family& family = all[std::min(pick, all.size() - 1)];
        if (!family.programs.empty()) {
            judge(family, mutated(family.programs[seed / 7 % family.programs.size()], seed), seed,
                  tally);
        }
    }
    for (const auto& [cause, count] : tally.causes) {
        std::printf("%6llu  %s\n", static_cast<unsigned long long>(count), cause.c_str());
    }
    std::printf(
        "%llu mutants of %zu families, %llu of them endless: both accept %llu, both refuse %llu, "
        "only the kernel accepts %llu, of these not served yet %llu\n",
        static_cast<unsigned long long>(tally.mutants), all.size(),
        static_cast<unsigned long long>(tally.endless),
        static_cast<unsigned long long>(tally.both_accept),
        static_cast<unsigned long long>(tally.both_refuse),
        static_cast<unsigned long long>(tally.stricter + tally.unserved),
        static_cast<unsigned long long>(tally.unserved));
    EXPECT_GT(tally.both_accept, tally.mutants / 20);
    EXPECT_LE(tally.stricter * 100, tally.both_accept + tally.stricter);
}

}  // namespace crema::test
