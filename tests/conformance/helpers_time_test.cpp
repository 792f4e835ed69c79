// SPDX-License-Identifier: BSD-3-Clause
//
// Clocks and identity beside the running kernel: its answer, taken between two of ours, must lie
// between them (fast clocks: with a few microseconds of grace); constants must be equal.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <gtest/gtest.h>
#include <string>
#include <thread>
#include <vector>

#include "lib/ebpf/helpers/natives.h"
#include "tests/support/helper_call.h"
#include "tests/support/kernel_bpf.h"
#include "tests/support/with_kernel.h"

namespace crema::test {
namespace {

namespace helpers = ebpf::helpers;

class HelpersOfTime : public WithKernel {};

HelperCall plain_call(std::uint32_t helper) {
    return {.helper = helper, .args = {}, .frame = std::vector<std::uint8_t>(64), .memory = {}};
}

void lies_between(std::uint32_t helper, helpers::Native native, std::uint64_t grace) {
    for (int round = 0; round < 50; ++round) {
        const std::uint64_t before = native(0, 0, 0, 0, 0);
        const CallOutcome theirs = call_in_kernel(plain_call(helper));
        const std::uint64_t after = native(0, 0, 0, 0, 0);
        ASSERT_EQ(theirs.error, 0) << theirs.log;
        ASSERT_GE(theirs.result + grace, before) << "helper " << helper;
        ASSERT_LE(theirs.result, after + grace) << "helper " << helper;
    }
}

TEST_F(HelpersOfTime, ClocksAreTheKernels) {
    lies_between(5, helpers::ktime_get_ns, 5000);
    lies_between(125, helpers::ktime_get_boot_ns, 5000);
    lies_between(160, helpers::ktime_get_coarse_ns, 0);
    lies_between(208, helpers::ktime_get_tai_ns, 5000);
}

// The kernel's clock runs for a moment before it counts ticks; the distance does not change.
TEST_F(HelpersOfTime, JiffiesKeepTheirDistance) {
    std::int64_t least = INT64_MAX;
    std::int64_t most = INT64_MIN;
    for (int round = 0; round < 50; ++round) {
        const CallOutcome theirs = call_in_kernel(plain_call(118));
        ASSERT_EQ(theirs.error, 0) << theirs.log;
        const auto ours = static_cast<std::int64_t>(helpers::jiffies64(0, 0, 0, 0, 0));
        const std::int64_t ahead = ours - static_cast<std::int64_t>(theirs.result);
        least = std::min(least, ahead);
        most = std::max(most, ahead);
        std::this_thread::sleep_for(std::chrono::milliseconds(3));
    }
    RecordProperty("ticks_ahead_of_the_kernel", std::to_string(least));
    EXPECT_LE(most - least, 2);
    EXPECT_LT(most, 2500) << "more than seconds apart";
    EXPECT_GE(least, -2);
}

TEST_F(HelpersOfTime, ConstantsAreTheKernels) {
    EXPECT_EQ(call_in_kernel(plain_call(42)).result, helpers::get_numa_node_id(0, 0, 0, 0, 0));
    EXPECT_EQ(call_in_kernel(plain_call(15)).result, helpers::get_current_uid_gid(0, 0, 0, 0, 0));
    EXPECT_EQ(call_in_kernel(plain_call(14)).result, helpers::get_current_pid_tgid(0, 0, 0, 0, 0));
    EXPECT_EQ(call_in_kernel(plain_call(17)).result, helpers::get_cgroup_classid(0, 0, 0, 0, 0));
}

TEST_F(HelpersOfTime, NamesAreCutAndFilledUpAsTheKernelDoes) {
    for (const std::uint64_t bytes : {1U, 2U, 8U, 15U, 16U, 17U, 64U}) {
        const HelperCall call{.helper = 16,
                              .args = {memory(2), number(bytes)},
                              .frame = std::vector<std::uint8_t>(64),
                              .memory = std::vector<std::uint8_t>(80, 0xee)};
        EXPECT_EQ(call_native(call, helpers::get_current_comm), call_in_kernel(call))
            << describe(call);
    }
}

}  // namespace
}  // namespace crema::test
