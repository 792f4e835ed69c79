// SPDX-License-Identifier: BSD-3-Clause
//
// Generated programs, judged by the kernel and by us. What we accept the kernel accepts; of what
// the kernel accepts we may refuse little, and the test says how much and why.
#include <cstdio>
#include <gtest/gtest.h>

#include "lib/ebpf/verifier/verify.h"
#include "tests/support/kernel_verifier.h"
#include "tests/support/rounds.h"
#include "tests/support/verifier_cases.h"
#include "tests/support/verifier_dice.h"

namespace crema::test {

namespace {

struct Tally {
    std::uint64_t both_accept = 0;
    std::uint64_t both_refuse = 0;
    std::uint64_t only_kernel = 0;
};

void judge(const KernelVerifier& oracle,
           const ebpf::Program& program,
           std::uint64_t seed,
           Tally& tally) {
    const auto ours = ebpf::verifier::verify(program, {});
    const KernelVerdict kernel = oracle.judge(program);
    if (ours.has_value() && kernel.accepted) {
        ++tally.both_accept;
    } else if (!ours.has_value() && !kernel.accepted) {
        ++tally.both_refuse;
    } else if (ours.has_value()) {
        ADD_FAILURE() << "seed " << seed << ": we accept, the kernel says: "
                      << kernel.reason.substr(kernel.reason.rfind('\n') + 1);
    } else if (ours.error().message.find("not served yet") == std::string::npos) {
        ++tally.only_kernel;
        std::printf("seed %llu: the kernel accepts: %s\n", static_cast<unsigned long long>(seed),
                    ours.error().message.c_str());
    }
}

}  // namespace

TEST(VerifierRandom, KernelAndWeAgreeOnGeneratedPrograms) {
    if (!kernel_verifier_available()) {
        GTEST_SKIP() << "bpf(2) PROG_LOAD is not permitted here";
    }
    const KernelVerifier oracle(case_maps());
    Tally tally;
    for (std::uint64_t seed = 1; seed <= scaled_rounds(200); ++seed) {
        const ebpf::Program program = dice_program(seed);
        judge(oracle, program, seed, tally);
        judge(oracle, mutated(program, seed), seed, tally);
    }
    std::printf("both accept %llu, both refuse %llu, only the kernel accepts %llu\n",
                static_cast<unsigned long long>(tally.both_accept),
                static_cast<unsigned long long>(tally.both_refuse),
                static_cast<unsigned long long>(tally.only_kernel));
    EXPECT_GT(tally.both_accept, scaled_rounds(200) / 5);
    EXPECT_LE(tally.only_kernel * 100, tally.both_accept);
}

}  // namespace crema::test
