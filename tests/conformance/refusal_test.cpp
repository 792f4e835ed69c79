// SPDX-License-Identifier: BSD-3-Clause
//
// What must not run, does not: unsafe programs are refused by the kernel and by Crema, programs
// beyond what Crema serves are refused when they are loaded, packets that do not fit a page leave
// no trace.
#include <cerrno>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/conformance/conformance.h"

namespace crema::test {
namespace {

std::string case_path(const std::string& name) {
    return fmt::format("{}/oracle_{}.bpf.o", CREMA_TEST_BPF_DIR, name);
}

std::string test_name(const testing::TestParamInfo<const char*>& info) {
    std::string name;
    bool is_start = true;
    for (const char* letter = info.param; *letter != '\0'; ++letter) {
        if (*letter == '_') {
            is_start = true;
            continue;
        }
        name += is_start ? static_cast<char>(std::toupper(*letter)) : *letter;
        is_start = false;
    }
    return name;
}

class UnsafePrograms : public testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(All,
                         UnsafePrograms,
                         testing::Values("oob_read",
                                         "oob_write",
                                         "negative_read",
                                         "unchecked_index",
                                         "stale_pointer",
                                         "packet_end_read",
                                         "no_null_check",
                                         "map_value_overrun",
                                         "map_value_index",
                                         "rodata_write",
                                         "context_write",
                                         "context_width",
                                         "context_egress",
                                         "stack_overrun",
                                         "frame_pointer_write",
                                         "uninitialised_register",
                                         "endless_loop",
                                         "unknown_helper",
                                         "foreign_helper",
                                         "helper_argument",
                                         "map_argument",
                                         "key_argument",
                                         "pointer_multiply",
                                         "scalar_pointer"),
                         test_name);

TEST_P(UnsafePrograms, AreRefusedByBoth) {
    const std::string path = case_path(fmt::format("bad_{}", GetParam()));
    const auto crema = load_into_crema(path, "bad");
    ASSERT_FALSE(crema.has_value()) << path << " was accepted";
    EXPECT_EQ(crema.error().message.find('\n'), std::string::npos) << crema.error().message;
    EXPECT_NE(crema.error().message.find("instruction"), std::string::npos)
        << crema.error().message;
    if (!kernel_ready()) {
        GTEST_SKIP() << "the kernel's half: " << kernel_ready().error().message;
    }
    const auto kernel = load_into_kernel(path, "bad");
    ASSERT_FALSE(kernel.has_value()) << path << " was accepted by the kernel";
    EXPECT_EQ(crema.error().code, kernel.error().code)
        << "crema: " << crema.error().message << "\nkernel: " << kernel.error().message;
}

class ProgramsBeyondScope : public testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(All, ProgramsBeyondScope, testing::Values("helper", "xdp"), test_name);

TEST_P(ProgramsBeyondScope, AreRefusedWhenLoaded) {
    const std::string path = case_path(fmt::format("beyond_{}", GetParam()));
    const auto crema = load_into_crema(path, "beyond");
    ASSERT_FALSE(crema.has_value()) << path << " was accepted";
    EXPECT_EQ(crema.error().message.find('\n'), std::string::npos) << crema.error().message;
    EXPECT_GT(crema.error().message.size(), 20U) << crema.error().message;
    if (!kernel_ready()) {
        GTEST_SKIP() << "the kernel's half: " << kernel_ready().error().message;
    }
    // Legal programs: that the kernel runs them is what makes them "beyond" and not "bad".
    const auto kernel = load_into_kernel(path, "beyond");
    EXPECT_TRUE(kernel.has_value()) << kernel.error().message;
}

/// A linear part of 3520 bytes and 17 fragments of a page.
constexpr std::size_t kPacketBytesMax = 73152;

TEST(OversizedPackets, AreRefusedAndLeaveNoTrace) {
    ASSERT_TRUE(crema_ready().has_value()) << crema_ready().error().message;
    for (const Subject& subject : subjects()) {
        auto machine = load_into_crema(object_path(subject, ""), subject.program);
        ASSERT_TRUE(machine.has_value()) << machine.error().message;
        ASSERT_TRUE(set_up(**machine, subject).has_value());
        const MapState before = (*machine)->maps();
        for (const Packet& packet : oversized_packets()) {
            if (packet.bytes.size() > kPacketBytesMax) {
                const Outcome outcome = (*machine)->run(packet.bytes, 1);
                EXPECT_EQ(outcome.error, ENOMEM) << subject.object << ": " << packet.name;
            }
        }
        EXPECT_EQ((*machine)->maps(), before) << subject.object;
    }
}

void expect_fragments(Machine& machine) {
    for (const Packet& packet : oversized_packets()) {
        const Outcome outcome = machine.run(packet.bytes, 1);
        EXPECT_EQ(outcome.error, packet.bytes.size() <= kPacketBytesMax ? 0 : ENOMEM)
            << packet.name;
    }
}

TEST(OversizedPackets, BecomeFragments) {
    const std::string object = object_path(subjects()[1], "");
    const auto crema = load_into_crema(object, subjects()[1].program);
    ASSERT_TRUE(crema.has_value()) << crema.error().message;
    expect_fragments(**crema);
    if (!kernel_ready()) {
        GTEST_SKIP() << "the kernel's half: " << kernel_ready().error().message;
    }
    const auto kernel = load_into_kernel(object, subjects()[1].program);
    ASSERT_TRUE(kernel.has_value()) << kernel.error().message;
    expect_fragments(**kernel);
}

}  // namespace
}  // namespace crema::test
