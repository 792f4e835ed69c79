// SPDX-License-Identifier: BSD-3-Clause
//
// The kernel is the oracle: every program, compiled for every instruction set, on every fixed
// packet and on thousands of random ones, gives the same verdict, bytes and map contents in Crema
// as in the running kernel, or, where the kernel cannot be asked, as in its recorded answers.
// CREMA_TEST_ROUNDS=N: N thousand random packets per program (default 1).
#include <fmt/format.h>
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>

#include "tests/conformance/conformance.h"
#include "tests/support/rounds.h"

namespace crema::test {
namespace {

class Programs : public testing::TestWithParam<Variant> {
  protected:
    void SetUp() override {
        ASSERT_TRUE(crema_ready().has_value()) << crema_ready().error().message;
    }

    [[nodiscard]] const Subject& subject() const { return subjects()[GetParam().subject]; }

    [[nodiscard]] std::string path() const { return object_path(subject(), GetParam().isa); }

    [[nodiscard]] LoadedMachine crema() const { return load_into_crema(path(), subject().program); }

    [[nodiscard]] LoadedMachine kernel() const {
        return load_into_kernel(path(), subject().program);
    }
};

INSTANTIATE_TEST_SUITE_P(All, Programs, testing::ValuesIn(all_variants()), variant_name);

TEST_P(Programs, AgreeWithRecordedKernel) {
    std::ifstream file(recorded_path(subject()));
    std::stringstream text;
    text << file.rdbuf();
    ASSERT_TRUE(file) << recorded_path(subject()) << ": run conformance_test --record";
    const auto recorded = parse_transcript(text.str());
    ASSERT_TRUE(recorded.has_value()) << recorded.error().message;
    ASSERT_GE(recorded->steps.size(), 50U);

    const auto got = run_all(crema(), subject());
    ASSERT_TRUE(got.has_value()) << got.error().message;
    const auto found = differences(*recorded, *got);
    EXPECT_TRUE(found.empty()) << screenful(found);
}

TEST_P(Programs, AgreeWithRunningKernel) {
    if (!kernel_ready()) {
        GTEST_SKIP() << kernel_ready().error().message;
    }
    const auto expected = run_all(kernel(), subject());
    ASSERT_TRUE(expected.has_value()) << expected.error().message;
    const auto got = run_all(crema(), subject());
    ASSERT_TRUE(got.has_value()) << got.error().message;
    const auto found = differences(*expected, *got);
    EXPECT_TRUE(found.empty()) << screenful(found);
}

TEST_P(Programs, AgreeOnRandomPackets) {
    constexpr std::size_t kPacketsPerMapCheck = 128;
    if (!kernel_ready()) {
        GTEST_SKIP() << kernel_ready().error().message;
    }
    const std::size_t rounds = scaled_rounds(1000);
    const auto oracle = kernel();
    ASSERT_TRUE(oracle.has_value()) << oracle.error().message;
    const auto own = crema();
    ASSERT_TRUE(own.has_value()) << own.error().message;
    ASSERT_TRUE(set_up(**oracle, subject()).has_value());
    ASSERT_TRUE(set_up(**own, subject()).has_value());

    PacketGenerator generator(0xc4e3a + GetParam().subject);
    for (std::size_t i = 0; i < rounds; ++i) {
        const Bytes packet = generator.next();
        const Outcome expected = (*oracle)->run(packet, ifindex_for(i));
        const Outcome got = (*own)->run(packet, ifindex_for(i));
        ASSERT_TRUE(expected.error == got.error && expected.retval == got.retval &&
                    expected.bytes == got.bytes)
            << fmt::format(
                   "random packet {}: {}\nkernel: error {} verdict {} {}\ncrema:  error {} "
                   "verdict {} {}",
                   i, hex(packet.data(), packet.size()), expected.error, expected.retval,
                   describe_change(packet, expected.bytes), got.error, got.retval,
                   describe_change(packet, got.bytes));
        if ((i + 1) % kPacketsPerMapCheck == 0 || i + 1 == rounds) {
            const auto found = differences((*oracle)->maps(), (*own)->maps());
            ASSERT_TRUE(found.empty()) << "after random packet " << i << ":\n" << screenful(found);
        }
    }
}

}  // namespace
}  // namespace crema::test
