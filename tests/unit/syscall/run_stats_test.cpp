// SPDX-License-Identifier: BSD-3-Clause
//
// Runs are counted while somebody wants to know, and only then.
#include "lib/ebpf/syscall/run_stats.h"

#include <array>
#include <cerrno>
#include <fstream>
#include <gtest/gtest.h>
#include <string>
#include <unistd.h>

#include "lib/base/unique_fd.h"
#include "lib/ebpf/syscall/object_store.h"
#include "lib/ebpf/syscall/session.h"
#include "lib/xdp/test_run.h"
#include "tests/unit/syscall/calls.h"

namespace crema::ebpf::syscall::test {
namespace {

class RunStatistics : public testing::Test {
  protected:
    static long enable(std::uint32_t type = BPF_STATS_RUN_TIME) {
        bpf_attr attr{};
        attr.enable_stats.type = type;
        return call(BPF_ENABLE_STATS, attr);
    }

    void run(std::uint32_t times) const {
        constexpr std::array<std::uint8_t, 64> kPacket{};
        ASSERT_TRUE(xdp::test_run(*program_of(program_.get()), kPacket, 0, times));
    }

    [[nodiscard]] bpf_prog_info info() const {
        bpf_prog_info info{};
        bpf_attr attr{};
        attr.info.bpf_fd = static_cast<std::uint32_t>(program_.get());
        attr.info.info = address(&info);
        attr.info.info_len = sizeof info;
        EXPECT_EQ(call(BPF_OBJ_GET_INFO_BY_FD, attr), 0);
        return info;
    }

    Session session_{0, Session::OnRefusal::fail, Engine::automatic,
                     Session::Lifetime::descriptors};
    UniqueFd program_{static_cast<int>(load(returns(2)))};
};

TEST_F(RunStatistics, AreCountedWhileADescriptorIsOpen) {
    run(5);
    EXPECT_EQ(info().run_cnt, 0U);
    EXPECT_EQ(enable(1), -EINVAL);
    EXPECT_EQ(enable(UINT32_MAX), -EINVAL);
    UniqueFd first(static_cast<int>(enable()));
    UniqueFd second(static_cast<int>(enable()));
    ASSERT_TRUE(first.valid() && second.valid());
    run(70);
    EXPECT_EQ(info().run_cnt, 70U);
    EXPECT_GT(info().run_time_ns, 0U);
    first.reset();
    object_store::collect();
    run(1);
    EXPECT_EQ(info().run_cnt, 71U) << "somebody else still asks";
    second.reset();
    object_store::collect();
    const std::uint64_t spent = info().run_time_ns;
    run(9);
    EXPECT_EQ(info().run_cnt, 71U) << "what was counted stays";
    EXPECT_EQ(info().run_time_ns, spent);
}

TEST_F(RunStatistics, TheSysctlIsFollowed) {
    const std::string path = testing::TempDir() + "crema_stats_" + std::to_string(getpid());
    const auto say = [&path](const char* text) {
        std::ofstream(path) << text;
        run_stats::follow_sysctl(path.c_str());
    };
    say("1\n");
    EXPECT_TRUE(run_stats::wanted());
    say("1\n");
    run(3);
    EXPECT_EQ(info().run_cnt, 3U);
    say("0\n");
    EXPECT_FALSE(run_stats::wanted()) << "said twice, it counts once";
    say("1\n");
    EXPECT_TRUE(run_stats::wanted());
    ::unlink(path.c_str());
    run_stats::follow_sysctl(path.c_str());
    EXPECT_FALSE(run_stats::wanted());
    run(3);
    EXPECT_EQ(info().run_cnt, 3U);
}

}  // namespace
}  // namespace crema::ebpf::syscall::test
