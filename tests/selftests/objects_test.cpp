// SPDX-License-Identifier: BSD-3-Clause
//
// XDP programs of others against the kernel: those of its selftests (scripts/selftests) and those
// that Debian's xdp-tools and libxdp install. Same verdict, and where both load, the same results
// on hundreds of packets. What is not there is skipped by name. CREMA_TEST_ROUNDS multiplies the
// random packets.
#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <string_view>
#include <unistd.h>

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

std::vector<std::string> objects_of(const std::string& folder) {
    return std::filesystem::is_directory(folder) ? objects_in(folder) : std::vector<std::string>{};
}

/// File name without folders and extensions.
std::string object_name(const std::string& path) {
    const std::string file = std::filesystem::path(path).filename();
    return file.substr(0, file.find('.'));
}

std::string test_name(const testing::TestParamInfo<std::string>& info) {
    std::string name = object_name(info.param);
    std::replace_if(
        name.begin(), name.end(), [](char letter) { return std::isalnum(letter) == 0; }, '_');
    // Two objects may share everything before the first dot of their names.
    return fmt::format("{}_{}", name, info.index);
}

class ForeignObjects : public testing::TestWithParam<std::string> {};

TEST_P(ForeignObjects, DoAsInTheKernel) {
    if (!kernel_ready()) {
        GTEST_SKIP() << kernel_ready().error().message;
    }
    ASSERT_TRUE(crema_ready().has_value()) << crema_ready().error().message;
    static const auto causes = read_causes(CREMA_KNOWN_DIFFERENCES);
    ASSERT_TRUE(causes.has_value()) << causes.error().message;
    std::size_t packets = 0;
    for (const Encounter& each : meet(GetParam(), scaled_rounds(kRandomPackets))) {
        const std::string program = each.program.empty() ? "the object" : each.program;
        const std::string name = object_name(GetParam()) + ".o: " + program;
        EXPECT_NE(each.meeting, Meeting::wrong_acceptance) << name << ": " << each.kernel_reason;
        EXPECT_NE(each.meeting, Meeting::differ) << name << ": " << each.difference;
        EXPECT_EQ(each.meeting == Meeting::wrong_refusal, causes->contains(name))
            << name << ": " << each.crema_reason;
        packets += each.packets;
    }
    RecordProperty("packets", static_cast<int>(packets));
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(ForeignObjects);
INSTANTIATE_TEST_SUITE_P(Selftests,
                         ForeignObjects,
                         testing::ValuesIn(objects_of(selftest_objects())),
                         test_name);
INSTANTIATE_TEST_SUITE_P(XdpTools,
                         ForeignObjects,
                         testing::ValuesIn(objects_of(xdp_tools_objects())),
                         test_name);

/// drop.bpf.o with the eight bytes of its instruction "w0 = 1" replaced, as a file of its own.
class Changed {
  public:
    explicit Changed(std::string_view instruction)
        : path_(testing::TempDir() + fmt::format("crema_changed_{}.o", getpid())) {
        using namespace std::string_view_literals;
        std::ifstream file(CREMA_DROP_OBJECT, std::ios::binary);
        std::string bytes{std::istreambuf_iterator<char>(file), {}};
        const std::size_t at = bytes.find("\xb4\0\0\0\x01\0\0\0"sv);
        if (at != std::string::npos) {
            bytes.replace(at, instruction.size(), instruction);
            std::ofstream(path_, std::ios::binary) << bytes;
        }
    }

    Changed(const Changed&) = delete;
    Changed& operator=(const Changed&) = delete;

    ~Changed() { unlink(path_.c_str()); }

    [[nodiscard]] const std::string& path() const { return path_; }

  private:
    std::string path_;
};

class Comparison : public testing::Test {
  protected:
    void SetUp() override {
        if (!kernel_ready()) {
            GTEST_SKIP() << kernel_ready().error().message;
        }
        ASSERT_TRUE(crema_ready().has_value()) << crema_ready().error().message;
    }

    static Encounter only(const std::string& kernel, const std::string& crema) {
        const auto met = meet(kernel, crema, 10);
        EXPECT_EQ(met.size(), 1U);
        return met.empty() ? Encounter() : met.front();
    }
};

TEST_F(Comparison, TheSameIsTheSame) {
    const Encounter met = only(CREMA_DROP_OBJECT, CREMA_DROP_OBJECT);
    EXPECT_EQ(met.meeting, Meeting::same) << met.difference;
    EXPECT_EQ(met.verdicts, (std::map<std::uint32_t, std::size_t>{{1, met.packets}}));
    EXPECT_GT(met.packets, 150U);
}

TEST_F(Comparison, SeesAnotherVerdict) {
    const Changed passes(std::string_view("\xb4\0\0\0\x02\0\0\0", 8));
    const Encounter met = only(CREMA_DROP_OBJECT, passes.path());
    EXPECT_EQ(met.meeting, Meeting::differ);
    EXPECT_NE(met.difference.find("the kernel's verdict 1"), std::string::npos) << met.difference;
    EXPECT_NE(met.difference.find("Crema's verdict 2"), std::string::npos) << met.difference;
}

TEST_F(Comparison, SeesWhoRefuses) {
    const Changed unreadable(std::string_view("\xbc\x90\0\0\0\0\0\0", 8));  // w0 = w9
    const Encounter here = only(CREMA_DROP_OBJECT, unreadable.path());
    EXPECT_EQ(here.meeting, Meeting::wrong_refusal);
    EXPECT_FALSE(here.crema_reason.empty());
    const Encounter there = only(unreadable.path(), CREMA_DROP_OBJECT);
    EXPECT_EQ(there.meeting, Meeting::wrong_acceptance);
    EXPECT_EQ(there.kernel_error, EACCES);
    EXPECT_FALSE(there.kernel_reason.empty());
    EXPECT_EQ(only(unreadable.path(), unreadable.path()).meeting, Meeting::both_refuse);
}

// One case each that says why there is nothing above.
TEST(ForeignFolders, OfTheSelftestsAreHere) {
    if (objects_of(selftest_objects()).empty()) {
        GTEST_SKIP() << selftest_objects() << " has no objects: run scripts/selftests";
    }
}

TEST(ForeignFolders, OfXdpToolsAreHere) {
    if (objects_of(xdp_tools_objects()).empty()) {
        GTEST_SKIP() << xdp_tools_objects() << " has no objects: install xdp-tools and libxdp1";
    }
}

}  // namespace
}  // namespace crema::test
