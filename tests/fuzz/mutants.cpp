// SPDX-License-Identifier: BSD-3-Clause
//
// See mutants.h.
#include "tests/fuzz/mutants.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <random>

#include "lib/ebpf/loader/object.h"
#include "lib/ebpf/program/structure.h"
#include "lib/ebpf/verifier/verify.h"
#include "tests/fuzz/function_types.h"
#include "tests/fuzz/generator.h"
#include "tests/support/call_dice.h"
#include "tests/support/state_witness.h"
#include "tests/support/verifier_cases.h"
#include "tests/support/verifier_dice.h"

namespace crema::test::fuzz {
namespace {

/// Enough for every program here, and no more than the kernel does in a few milliseconds.
ebpf::verifier::Options effort() {
    return {.log_level = 0, .insns_max = 20'000};
}

constexpr std::size_t kInsnsOfObjects = 2000;

/// The reason without place and numbers, so that equal causes meet.
std::string cause_of(const std::string& message) {
    const std::size_t at = message.find("): ");
    std::string cause = at == std::string::npos ? message : message.substr(at + 3);
    std::erase_if(cause, [](char c) {
        return std::isdigit(static_cast<unsigned char>(c)) != 0 || c == '"' || c == '\\';
    });
    return cause.substr(0, 100);
}

std::string last_line(const std::string& text) {
    return text.substr(text.rfind('\n') + 1);
}

bool takes_too_long(const std::string& reason) {
    return reason.find("too large. Processed") != std::string::npos ||
           reason.find("jumps is too complex") != std::string::npos;
}

/// The instruction that the kernel judged last, by its log; none where it says none.
std::size_t last_instruction(const std::string& log) {
    std::size_t last = std::string::npos;
    for (std::size_t at = 0; at < log.size();
         at = std::min(log.find('\n', at), log.size() - 1) + 1) {
        std::size_t index = 0;
        const char* const end = log.data() + log.size();
        const auto read = std::from_chars(log.data() + at, end, index);
        if (read.ec == std::errc() && std::string_view(read.ptr, end).substr(0, 3) == ": (") {
            last = index;
        }
    }
    return last;
}

/// The kernel follows ways that no run takes and refuses what it finds there: code that is not
/// judged here, since our proof has it that it is not reached. That the proof is right about this
/// is what the campaign of programs is for: each of them runs.
bool is_dead_here(const ebpf::Program& program, const std::string& log) {
    const auto proof = ebpf::verifier::verify(program, effort());
    const std::size_t at = last_instruction(log);
    return proof && at < proof->insns.size() && !proof->insns[at].reachable;
}

/// The kernel takes a loop for endless when a state comes again, as `if r7 s< r7` would lead to
/// one. We walked all of it.
bool is_loop_that_ends(const std::string& log) {
    return log.find("infinite loop detected") != std::string::npos;
}

/// The kernel's reason is what an access may reach, and in many runs every number is one that our
/// verifier holds possible: then ours knows more. Rules that the kernel has are no such reason.
bool is_narrower_here(const ebpf::Program& program, const std::string& log, std::uint64_t seed) {
    static constexpr std::array kOfRanges = {"outside of the", "invalid access to",
                                             "unbounded",      "min value",
                                             "max value",      "invalid variable-offset"};
    const std::string reason = last_line(log);
    const bool is_of_ranges = std::any_of(kOfRanges.begin(), kOfRanges.end(), [&](auto* words) {
        return reason.find(words) != std::string::npos;
    });
    if (!is_of_ranges || program.functions.size() > 1) {
        return false;
    }
    constexpr int kRuns = 500;
    const StateWitness witness(program, effort());
    std::mt19937_64 engine(seed);
    for (int run = 0; run < kRuns; ++run) {
        if (!witness.accepted() || !witness.run(engine).empty()) {
            return false;
        }
    }
    return true;
}

/// Why ours refuses; empty: it does not.
std::string refusal_of(const ebpf::Program& program) {
    const auto proof = ebpf::verifier::verify(program, effort());
    return proof ? "" : proof.error().message;
}

}  // namespace

void MutantTally::add(const MutantTally& other) {
    mutants += other.mutants;
    both_accept += other.both_accept;
    both_refuse += other.both_refuse;
    endless += other.endless;
    kernel_gave_up += other.kernel_gave_up;
    dead_here += other.dead_here;
    narrower_here += other.narrower_here;
    only_ours += other.only_ours;
    stricter += other.stricter;
    unserved += other.unserved;
    for (const auto& [cause, count] : other.causes) {
        causes[cause] += count;
    }
}

bool MutantTally::is_good() const {
    return only_ours == 0 && stricter * 100 <= both_accept + stricter;
}

Mutants::Mutants()
    : families_(load_families()),
      stage_(stay_on_this_cpu()),
      features_(served_features(Way::compiled)) {
    generated_.push_back(family("dice", case_maps()));
    generated_.push_back(family("helper calls", case_maps()));
    generated_.push_back(family("campaign", stage_.maps()));
    generated_.back().has_campaign_types = true;
}

Mutants::Family Mutants::family(std::string name,
                                const std::vector<std::shared_ptr<ebpf::maps::Map>>& maps) {
    Family made;
    made.name = std::move(name);
    made.kernel = std::make_unique<KernelVerifier>(maps);
    return made;
}

std::vector<Mutants::Family> Mutants::load_families() {
    std::vector<Family> families;
    Family table = family("table", case_maps());
    for (const VerifierCase& c : verifier_cases()) {
        if (c.refusal.empty() && c.program.insns.size() < 1000) {
            table.programs.push_back(c.program);
        }
    }
    families.push_back(std::move(table));
    add_objects(families);
    return families;
}

void Mutants::add_objects(std::vector<Family>& families) {
    std::vector<std::string> paths;
    for (const char* folder : {CREMA_BPF_DIR, CREMA_TEST_BPF_DIR, "/usr/lib/x86_64-linux-gnu/bpf",
                               "/usr/lib/bpf", "/usr/lib64/bpf"}) {
        std::error_code none;
        for (const auto& entry : std::filesystem::directory_iterator(folder, none)) {
            if (entry.path().extension() == ".o") {
                paths.push_back(entry.path().string());
            }
        }
    }
    std::sort(paths.begin(), paths.end());
    for (const std::string& path : paths) {
        const auto object = ebpf::loader::Object::judge(path);
        if (!object) {
            continue;
        }
        for (const ebpf::loader::JudgedProgram& judged : object->judged()) {
            ebpf::Program program = judged.program();
            if (program.insns.empty() || program.insns.size() > kInsnsOfObjects ||
                judged.judgement.loaded == nullptr) {
                continue;
            }
            // Its own types would have to change with it, and its source lines are texts of theirs.
            program.btf = nullptr;
            program.functions.clear();
            program.lines.clear();
            Family& added = families.emplace_back(family(
                std::filesystem::path(path).filename().string() + " " + judged.name, program.maps));
            added.programs.push_back(std::move(program));
        }
    }
}

ebpf::Program Mutants::generate_one(std::size_t kind, std::uint64_t seed) const {
    switch (kind) {
        case 0:
            return dice_program(seed);
        case 1:
            return call_dice_program(seed);
        default:
            return generate(seed, features_, stage_.maps());
    }
}

const ebpf::Program& Mutants::generated(std::size_t kind, std::uint64_t base) {
    Family& family = generated_[kind];
    for (std::uint64_t seed = base * 256; family.base != base + 1; ++seed) {
        ebpf::Program program = generate_one(kind, seed);
        ebpf::Program typed = program;
        if (!family.has_campaign_types) {
            typed.functions.clear();
        }
        add_function_types(typed);
        if (refusal_of(typed).empty() &&
            family.kernel->judge(typed, KernelVerifier::Words::no).accepted) {
            family.programs = {std::move(program)};
            family.base = base + 1;
        }
    }
    return family.programs.front();
}

void Mutants::judge(std::uint64_t seed, MutantTally& tally) {
    const std::size_t kind = seed % (kGenerated + 1);
    const std::uint64_t turn = seed / (kGenerated + 1);
    if (kind < kGenerated) {
        const ebpf::Program& base = generated(kind, turn / kOfOneBase);
        judge_in(generated_[kind], mutated(base, seed), seed, tally);
        return;
    }
    // The table has many programs, an object has one.
    const std::size_t pick = turn % 2 == 0 ? 0 : turn / 2 % families_.size();
    const Family& family = families_[pick];
    judge_in(family, mutated(family.programs[turn / 2 % family.programs.size()], seed), seed,
             tally);
}

/// Of a mutant that the kernel refuses and our verifier accepts.
void Mutants::judge_alone(const Family& family,
                          const ebpf::Program& program,
                          const KernelVerdict& kernel,
                          std::uint64_t seed,
                          MutantTally& t) {
    // Its own fault in its own words (EFAULT) is no verdict on the program either.
    const bool gave_up =
        takes_too_long(kernel.reason) || kernel.reason.find("verifier bug") != std::string::npos;
    const bool other_types = kernel.reason.find("pseudo btf_id") != std::string::npos;
    const bool dead = !gave_up && (other_types || is_loop_that_ends(kernel.reason) ||
                                   is_dead_here(program, kernel.reason));
    const bool narrower = !gave_up && !dead && is_narrower_here(program, kernel.reason, seed);
    ++(gave_up ? t.kernel_gave_up : dead ? t.dead_here : narrower ? t.narrower_here : t.only_ours);
    if (!gave_up && !dead) {
        std::printf("%s seed %llu: accepted here alone%s, the kernel says: %s (errno %d)\n",
                    family.name.c_str(), static_cast<unsigned long long>(seed),
                    narrower ? " by narrower numbers" : "", last_line(kernel.reason).c_str(),
                    kernel.error);
    }
}

void Mutants::judge_in(const Family& family,
                       ebpf::Program program,
                       std::uint64_t seed,
                       MutantTally& t) {
    using Words = KernelVerifier::Words;
    ++t.mutants;
    program.btf = nullptr;
    if (!family.has_campaign_types) {
        program.functions.clear();
    }
    ebpf::Program bare = program;
    bare.functions.clear();
    std::string refusal;
    if (const auto wrong = ebpf::find_functions(bare)) {
        refusal = wrong->reason;
        program.functions.clear();
    } else {
        add_function_types(program);
        refusal = refusal_of(program);
    }
    if (takes_too_long(refusal)) {
        ++t.endless;  // a loop that was made endless: seconds for the kernel, nothing to learn
        return;
    }
    KernelVerdict kernel = family.kernel->judge(program, Words::no);
    if (kernel.accepted != refusal.empty() && refusal.empty()) {
        kernel = family.kernel->judge(program, Words::yes);
        judge_alone(family, program, kernel, seed, t);
    } else if (refusal.empty()) {
        ++t.both_accept;
    } else if (!kernel.accepted) {
        ++t.both_refuse;
    } else {
        const bool unserved = refusal.find("not served yet") != std::string::npos;
        ++(unserved ? t.unserved : t.stricter);
        ++t.causes[cause_of(refusal)];
        if (!unserved) {
            std::printf("%s seed %llu: the kernel accepts: %s\n", family.name.c_str(),
                        static_cast<unsigned long long>(seed), refusal.c_str());
        }
    }
}

}  // namespace crema::test::fuzz
