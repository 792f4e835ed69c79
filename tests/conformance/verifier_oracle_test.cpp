// SPDX-License-Identifier: BSD-3-Clause
//
// The running kernel judges the same programs: the table of rules, and (see verifier_random_test)
// generated ones. Skipped where bpf(2) may not be used.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/kernel_verifier.h"
#include "tests/support/verifier_cases.h"

namespace crema::test {

TEST(VerifierOracle, KernelGivesEveryCaseTheSameVerdict) {
    if (!kernel_verifier_available()) {
        GTEST_SKIP() << "bpf(2) PROG_LOAD is not permitted here";
    }
    const KernelVerifier verifier(case_maps());
    for (const VerifierCase& c : verifier_cases()) {
        const KernelVerdict kernel = verifier.judge(c.program);
        if (c.refusal.empty()) {
            EXPECT_TRUE(kernel.accepted) << c.name << ": " << kernel.reason;
        } else if (c.kernel_agrees) {
            EXPECT_FALSE(kernel.accepted) << c.name << ": the kernel accepts it";
            EXPECT_THAT(kernel.reason, testing::HasSubstr(c.refusal)) << c.name;
        } else {
            EXPECT_TRUE(kernel.accepted) << c.name << ": " << kernel.reason;
        }
    }
}

}  // namespace crema::test
