// SPDX-License-Identifier: BSD-3-Clause
//
// XDP programs of others against the kernel: those of its selftests (scripts/selftests) and those
// that Debian's xdp-tools and libxdp install. Same verdict, and where both load, the same results
// on hundreds of packets. What is not there is skipped by name. CREMA_TEST_ROUNDS multiplies the
// random packets.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <gtest/gtest.h>

#include "tests/selftests/foreign_objects.h"
#include "tests/selftests/known_differences.h"
#include "tests/support/machine.h"
#include "tests/support/rounds.h"

namespace crema::test {
namespace {

constexpr std::size_t kRandomPackets = 500;

const Status& kernel_ready() {
    static const Status status = prepare_kernel();
    return status;
}

const Status& crema_ready() {
    static const Status status = prepare_crema();
    return status;
}

std::string selftest_objects() {
    const char* folder = std::getenv("CREMA_SELFTESTS_DIR");
    return std::string(folder != nullptr ? folder : CREMA_SELFTESTS_DIR) + "/objects";
}

/// Where Debian's multiarch packages put BPF objects.
std::string xdp_tools_objects() {
    return CREMA_LIB_DIR "/bpf";
}

std::vector<ForeignProgram> programs_in(const std::string& folder) {
    std::vector<std::string> unreadable;
    return std::filesystem::is_directory(folder) ? xdp_programs_in(folder, &unreadable)
                                                 : std::vector<ForeignProgram>{};
}

std::string test_name(const testing::TestParamInfo<ForeignProgram>& info) {
    std::string name = info.param.object + "_" + info.param.name;
    std::replace_if(
        name.begin(), name.end(), [](char letter) { return std::isalnum(letter) == 0; }, '_');
    // Two objects may share everything before the first dot of their names.
    return fmt::format("{}_{}", name, info.index);
}

class ForeignPrograms : public testing::TestWithParam<ForeignProgram> {};

TEST_P(ForeignPrograms, DoAsInTheKernel) {
    if (!kernel_ready()) {
        GTEST_SKIP() << kernel_ready().error().message;
    }
    ASSERT_TRUE(crema_ready().has_value()) << crema_ready().error().message;
    static const auto causes = read_causes(CREMA_KNOWN_DIFFERENCES);
    ASSERT_TRUE(causes.has_value()) << causes.error().message;
    const std::string name = GetParam().object + ".o: " + GetParam().name;
    const Encounter encounter = meet(GetParam(), scaled_rounds(kRandomPackets));
    EXPECT_NE(encounter.meeting, Meeting::wrong_acceptance) << encounter.kernel_reason;
    EXPECT_NE(encounter.meeting, Meeting::differ) << encounter.difference;
    EXPECT_EQ(encounter.meeting == Meeting::wrong_refusal, causes->contains(name))
        << name << ": " << encounter.crema_reason;
    RecordProperty("packets", static_cast<int>(encounter.packets));
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(ForeignPrograms);
INSTANTIATE_TEST_SUITE_P(Selftests,
                         ForeignPrograms,
                         testing::ValuesIn(programs_in(selftest_objects())),
                         test_name);
INSTANTIATE_TEST_SUITE_P(XdpTools,
                         ForeignPrograms,
                         testing::ValuesIn(programs_in(xdp_tools_objects())),
                         test_name);

// One case each that says why there is nothing above.
TEST(ForeignObjects, OfTheSelftestsAreHere) {
    if (programs_in(selftest_objects()).empty()) {
        GTEST_SKIP() << selftest_objects() << " has no objects: run scripts/selftests";
    }
}

TEST(ForeignObjects, OfXdpToolsAreHere) {
    if (programs_in(xdp_tools_objects()).empty()) {
        GTEST_SKIP() << xdp_tools_objects() << " has no objects: install xdp-tools and libxdp1";
    }
}

}  // namespace
}  // namespace crema::test
