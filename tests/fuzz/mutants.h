// SPDX-License-Identifier: BSD-3-Clause
//
// Mutants of accepted programs, judged by the kernel's verifier and by ours: the table of rules,
// generated programs of three kinds, real objects, with a few bytes, fields or instructions
// changed. Nothing may be accepted here that the kernel refuses; what it accepts and we refuse is
// counted by cause. Nothing is run.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "lib/ebpf/program/program.h"
#include "tests/fuzz/features.h"
#include "tests/fuzz/stage.h"
#include "tests/support/kernel_verifier.h"

namespace crema::test::fuzz {

struct MutantTally {
    std::uint64_t mutants = 0;
    std::uint64_t both_accept = 0;
    std::uint64_t both_refuse = 0;
    std::uint64_t endless = 0;  // takes ours too long: the kernel is not asked
    // Accepted here; the kernel's limits on effort are no safety, nor are bugs that it reports.
    std::uint64_t kernel_gave_up = 0;
    // Accepted here; the kernel refuses code that is dead by our proof, or a type by its number,
    // which names another one there.
    std::uint64_t dead_here = 0;
    // Accepted here; the kernel knows a number less narrowly, and runs keep to what we know of it.
    std::uint64_t narrower_here = 0;
    std::uint64_t only_ours = 0;                  // accepted here alone: a fault
    std::uint64_t stricter = 0;                   // accepted by the kernel alone
    std::uint64_t unserved = 0;                   // the same, and ours says that it is legal
    std::map<std::string, std::uint64_t> causes;  // of the last two

    void add(const MutantTally& other);

    /// Nothing accepted alone, and less than one in a hundred refused alone.
    [[nodiscard]] bool is_good() const;
};

class Mutants {
  public:
    /// Needs the kernel.
    Mutants();

    /// The mutant of that seed: the same for the same objects on the same machine.
    void judge(std::uint64_t seed, MutantTally& tally);

    [[nodiscard]] std::size_t families() const { return families_.size() + kGenerated; }

  private:
    static constexpr std::size_t kGenerated = 3;     // kinds of generated programs
    static constexpr std::uint64_t kOfOneBase = 64;  // mutants of one generated program

    /// Programs that share a set of maps.
    struct Family {
        std::string name;
        std::unique_ptr<KernelVerifier> kernel;
        std::vector<ebpf::Program> programs;
        std::uint64_t base = 0;           // generated: which one `programs` holds, from 1
        bool has_campaign_types = false;  // functions know theirs: function_types.h
    };

    [[nodiscard]] static Family family(std::string name,
                                       const std::vector<std::shared_ptr<ebpf::maps::Map>>& maps);
    /// The table of rules first, then objects.
    [[nodiscard]] static std::vector<Family> load_families();
    static void add_objects(std::vector<Family>& families);
    /// A program that both accept, of generator `kind`.
    [[nodiscard]] const ebpf::Program& generated(std::size_t kind, std::uint64_t base);
    [[nodiscard]] ebpf::Program generate_one(std::size_t kind, std::uint64_t seed) const;
    static void judge_alone(const Family& family,
                            const ebpf::Program& program,
                            const KernelVerdict& kernel,
                            std::uint64_t seed,
                            MutantTally& t);
    void judge_in(const Family& family, ebpf::Program program, std::uint64_t seed, MutantTally& t);

    std::vector<Family> families_;  // loaded before the stage tells maps its own descriptors
    OurStage stage_;
    Features features_;
    std::vector<Family> generated_;
};

}  // namespace crema::test::fuzz
