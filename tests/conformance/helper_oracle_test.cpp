// SPDX-License-Identifier: BSD-3-Clause
//
// Helper prototypes beside the kernel's: the set of helpers, their licence rule, and calls with
// arguments by dice, whose verdicts agree.
#include <cstdio>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <string>

#include "lib/ebpf/helpers/prototypes.h"
#include "lib/ebpf/verifier/verify.h"
#include "tests/support/asm.h"
#include "tests/support/call_dice.h"
#include "tests/support/kernel_verifier.h"
#include "tests/support/rounds.h"
#include "tests/support/verifier_cases.h"

namespace crema::test {

namespace {

std::string last_line(const std::string& text) {
    return text.substr(text.rfind('\n') + 1);
}

/// The reason alone, without where.
std::string reason_of(const Error& error) {
    const std::size_t at = error.message.find("): ");
    return at == std::string::npos ? error.message : error.message.substr(at + 3);
}

}  // namespace

TEST(HelperOracle, XdpMayCallTheSameHelpers) {
    if (!kernel_verifier_available()) {
        GTEST_SKIP() << "bpf(2) PROG_LOAD is not permitted here";
    }
    const KernelVerifier verifier({});
    for (int id = 0; id < 230; ++id) {
        for (const bool gpl : {true, false}) {
            ebpf::Program program = program_of({call(id), exit_insn()});
            program.gpl_compatible = gpl;
            const KernelVerdict kernel = verifier.judge(program);
            const auto ours = ebpf::verifier::verify(program, {});
            EXPECT_EQ(ours.has_value(), kernel.accepted)
                << "helper " << id << ": " << kernel.reason;
            if (!ours && !kernel.accepted) {
                EXPECT_EQ(reason_of(ours.error()), last_line(kernel.reason)) << "helper " << id;
                EXPECT_EQ(ours.error().code, kernel.error) << "helper " << id;
            }
        }
    }
}

TEST(HelperOracle, CallsByDiceGetTheSameVerdict) {
    if (!kernel_verifier_available()) {
        GTEST_SKIP() << "bpf(2) PROG_LOAD is not permitted here";
    }
    const KernelVerifier verifier(case_maps());
    std::uint64_t both_accept = 0;
    std::uint64_t both_refuse = 0;
    std::map<std::string, std::uint64_t> stricter;
    std::map<std::string, std::uint64_t> not_served;
    std::map<std::string, std::uint64_t> other_words;
    const std::uint64_t rounds = scaled_rounds(3000);
    for (std::uint64_t seed = first_seed(); seed < first_seed() + rounds; ++seed) {
        const ebpf::Program program = call_dice_program(seed);
        const KernelVerdict kernel = verifier.judge(program);
        const auto ours = ebpf::verifier::verify(program, {});
        if (ours) {
            EXPECT_TRUE(kernel.accepted)
                << "seed " << seed << ": we accept, the kernel: " << kernel.reason;
            both_accept += kernel.accepted ? 1 : 0;
        } else if (kernel.accepted) {
            const bool unserved = ours.error().message.find("not served yet") != std::string::npos;
            ++(unserved ? not_served : stricter)[ours.error().message];
        } else {
            ++both_refuse;
            if (reason_of(ours.error()).find(last_line(kernel.reason)) == std::string::npos) {
                ++other_words[ours.error().message + "  |  " + last_line(kernel.reason)];
            }
        }
    }
    std::uint64_t only_kernel = 0;
    for (const auto& [message, count] : stricter) {
        only_kernel += count;
        std::printf("the kernel accepts %llu: %s\n", static_cast<unsigned long long>(count),
                    message.c_str());
    }
    std::uint64_t worded = 0;
    for (const auto& [message, count] : other_words) {
        worded += count;
        std::printf("other words %llu: %s\n", static_cast<unsigned long long>(count),
                    message.c_str());
    }
    std::printf(
        "both accept %llu, both refuse %llu (%llu in other words), only the kernel %llu\n",
        static_cast<unsigned long long>(both_accept), static_cast<unsigned long long>(both_refuse),
        static_cast<unsigned long long>(worded), static_cast<unsigned long long>(only_kernel));
    EXPECT_GT(both_accept, rounds / 20);
    EXPECT_LE(only_kernel * 100, both_accept);
}

}  // namespace crema::test
