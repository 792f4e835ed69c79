// SPDX-License-Identifier: BSD-3-Clause
//
// The kernel's own verifier cases, as XDP programs: what it refuses is refused here, and nearly all
// that it accepts is proved. `selftests_cases_test --page FILE` writes the figures and the lists.
//
// The table comes from scripts/selftests (CREMA_SELFTESTS_DIR, default .deps/selftests); without
// it, or without bpf(2), everything here skips by name. CREMA_SELFTESTS_TRACE=1 names each case.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <gtest/gtest.h>
#include <string_view>

#include "tests/selftests/survey.h"
#include "tests/support/kernel_bpf.h"

namespace crema::test {
namespace {

constexpr double kAcceptedShare = 0.98;

std::string table_path() {
    const char* folder = std::getenv("CREMA_SELFTESTS_DIR");
    return std::string(folder != nullptr ? folder : CREMA_SELFTESTS_DIR) + "/cases.txt";
}

Result<std::vector<TableCase>> cases_here() {
    if (!kernel::available()) {
        return fail(EPERM, "bpf(2) is not permitted here");
    }
    return read_cases(table_path());
}

const Result<std::vector<TableCase>>& cases() {
    static const Result<std::vector<TableCase>> the_cases = cases_here();
    return the_cases;
}

const Survey& survey() {
    static const Survey the_survey =
        Survey::run(*cases(), std::getenv("CREMA_SELFTESTS_TRACE") != nullptr);
    return the_survey;
}

const Causes& causes() {
    static const auto the_causes = read_causes(CREMA_KNOWN_DIFFERENCES);
    static const Causes none;
    return the_causes ? *the_causes : none;
}

class VerifierTable : public testing::Test {
  protected:
    void SetUp() override {
        if (!cases()) {
            GTEST_SKIP() << cases().error().message;
        }
        ASSERT_GT(cases()->size(), 1000U);
    }
};

TEST_F(VerifierTable, ExpectedRefusalsAreRefused) {
    const auto refusals = survey().expected(false);
    ASSERT_GT(refusals.size(), 100U);
    for (const Compared* c : refusals) {
        EXPECT_FALSE(c->crema.is_safe()) << c->of->full_name() << ": " << c->kernel.reason;
    }
}

// A case with a map that is not served says nothing about the verifier: counted, not judged.
TEST_F(VerifierTable, ExpectedAcceptancesAreProved) {
    auto acceptances = survey().expected(true);
    const auto unserved =
        std::erase_if(acceptances, [](const Compared* c) { return c->finding == Finding::no_map; });
    RecordProperty("with_a_map_not_served", static_cast<int>(unserved));
    ASSERT_GT(acceptances.size(), 300U);
    std::size_t proved = 0;
    for (const Compared* c : acceptances) {
        proved += c->crema.is_safe() ? 1U : 0U;
        EXPECT_TRUE(c->crema.is_safe() || causes().contains(c->of->full_name()))
            << c->of->full_name() << ": " << c->crema.reason;
    }
    EXPECT_GE(static_cast<double>(proved), kAcceptedShare * static_cast<double>(acceptances.size()))
        << proved << " of " << acceptances.size();
}

// Cases of other program types are programs, too: the running kernel's verdict on them as XDP.
TEST_F(VerifierTable, NothingIsProvedThatTheRunningKernelRefuses) {
    for (const Compared* c : survey().with(Finding::wrong_acceptance)) {
        ADD_FAILURE() << c->of->full_name() << ": the kernel says " << c->kernel.reason;
    }
}

TEST_F(VerifierTable, KnownDifferencesAreDifferences) {
    ASSERT_TRUE(read_causes(CREMA_KNOWN_DIFFERENCES).has_value());
    Causes stale = causes();
    // Lines about objects ("NAME.o: ...") are objects_test's.
    std::erase_if(stale,
                  [](const auto& entry) { return entry.first.find(".o: ") != std::string::npos; });
    for (const Compared* c : survey().with(Finding::wrong_refusal)) {
        stale.erase(c->of->full_name());
    }
    for (const auto& [name, cause] : stale) {
        ADD_FAILURE() << name << " is listed in known_differences.txt, but is none";
    }
}

int write_page(const char* path) {
    if (!cases()) {
        (void)std::fputs((cases().error().message + "\n").c_str(), stderr);
        return 1;
    }
    std::ofstream file(path);
    file << survey().page(causes());
    return file.flush() ? 0 : 1;
}

}  // namespace
}  // namespace crema::test

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    if (argc == 3 && std::string_view(argv[1]) == "--page") {
        return crema::test::write_page(argv[2]);
    }
    return RUN_ALL_TESTS();
}
