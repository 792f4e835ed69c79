// SPDX-License-Identifier: BSD-3-Clause
//
// Every rule of the verifier on the smallest program that shows it: accepted, or refused with the
// kernel's words. The same table is put to the running kernel in tests/conformance.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/ebpf/verifier/verify.h"
#include "tests/support/verifier_cases.h"

namespace crema::test {

TEST(VerifierRules, EveryCaseGetsItsVerdict) {
    for (const VerifierCase& c : verifier_cases()) {
        std::string log;
        ebpf::verifier::Options options;
        options.log_level = c.refusal.find("too large") == std::string::npos ? 1 : 0;
        const auto proof = ebpf::verifier::verify(c.program, options, &log);
        if (c.refusal.empty()) {
            EXPECT_TRUE(proof.has_value())
                << c.name << ": " << (proof ? "" : proof.error().message) << "\n"
                << log;
        } else if (proof.has_value()) {
            ADD_FAILURE() << c.name << ": accepted, expected: " << c.refusal;
        } else {
            EXPECT_THAT(proof.error().message, testing::HasSubstr(c.refusal)) << c.name;
            EXPECT_THAT(proof.error().message, testing::StartsWith("program test: instruction "));
            EXPECT_EQ(proof.error().message.find('\n'), std::string::npos) << c.name;
            EXPECT_GT(proof.error().code, 0) << c.name;
        }
    }
}

}  // namespace crema::test
