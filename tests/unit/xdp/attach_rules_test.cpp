// SPDX-License-Identifier: BSD-3-Clause
//
// Who may replace whom on a port that runs programs natively, and on one that does not. Beside the
// kernel the same rules are walked by tests/system/support/xdp_netlink.py.
#include "lib/xdp/attach_rules.h"

#include <cerrno>
#include <gtest/gtest.h>

#include "tests/support/tiny_program.h"

namespace crema::xdp {
namespace {

using ebpf::syscall::Attachment;
using ebpf::syscall::kDrvMode;
using ebpf::syscall::kHwMode;
using ebpf::syscall::kReplace;
using ebpf::syscall::kSkbMode;
using ebpf::syscall::kUpdateIfNoExist;
using ebpf::syscall::PortChange;
using ebpf::syscall::XdpMode;

class AttachRules : public testing::Test {
  protected:
    /// The error, or 0 and `now` is what stands there afterwards.
    int change(const PortChange& asked, XdpMode own = XdpMode::native) {
        auto next = after_change(now, own, asked);
        if (!next) {
            EXPECT_EQ(next.error().message.empty(),
                      asked.program != nullptr && (asked.flags & kHwMode) != 0);
            return next.error().code;
        }
        now = *next;
        return 0;
    }

    std::shared_ptr<const ebpf::LoadedProgram> one = test::returning(2);
    std::shared_ptr<const ebpf::LoadedProgram> two = test::returning(1);
    Attachment now{};
};

TEST_F(AttachRules, WithoutModeThePortsOwn) {
    EXPECT_EQ(change({.program = one, .expected = nullptr}), 0);
    EXPECT_EQ(now.mode, XdpMode::native);
    now = {};
    EXPECT_EQ(change({.program = one, .expected = nullptr}, XdpMode::generic), 0);
    EXPECT_EQ(now.mode, XdpMode::generic);
    EXPECT_FALSE(now.by_link);
}

TEST_F(AttachRules, NativeNeedsANativePort) {
    EXPECT_EQ(change({.program = one, .expected = nullptr, .flags = kDrvMode}, XdpMode::generic),
              EOPNOTSUPP);
    EXPECT_EQ(change({.program = one, .expected = nullptr, .flags = kSkbMode}, XdpMode::generic),
              0);
    EXPECT_EQ(change({.program = one, .expected = nullptr, .flags = kHwMode}), EINVAL);
}

TEST_F(AttachRules, ProgramsReplaceOneAnotherUnlessAskedNotTo) {
    EXPECT_EQ(change({.program = one, .expected = nullptr}), 0);
    EXPECT_EQ(change({.program = two, .expected = nullptr, .flags = kUpdateIfNoExist}), EBUSY);
    EXPECT_EQ(change({.program = two, .expected = two, .flags = kReplace}), EEXIST);
    EXPECT_EQ(change({.program = two, .expected = nullptr, .flags = kReplace}), EEXIST);
    EXPECT_EQ(now.first(), one);
    EXPECT_EQ(change({.program = two, .expected = one, .flags = kReplace}), 0);
    EXPECT_EQ(now.first(), two);
    EXPECT_EQ(change({.program = one, .expected = nullptr}), 0);
    EXPECT_EQ(now.first(), one);
}

TEST_F(AttachRules, ModesDoNotMeet) {
    EXPECT_EQ(change({.program = one, .expected = nullptr, .flags = kSkbMode}), 0);
    EXPECT_EQ(now.mode, XdpMode::generic);
    EXPECT_EQ(change({.program = two, .expected = nullptr, .flags = kDrvMode}), EEXIST);
    EXPECT_EQ(change({.program = two, .expected = nullptr}), EEXIST);
    EXPECT_EQ(change({.program = nullptr, .expected = nullptr, .flags = kDrvMode}), 0);
    EXPECT_EQ(now.first(), one) << "there is none in that mode";
    EXPECT_EQ(change({.program = nullptr, .expected = one, .flags = kSkbMode | kReplace}), 0);
    EXPECT_EQ(now.first(), nullptr);
    EXPECT_EQ(change({.program = one, .expected = nullptr, .flags = kSkbMode | kDrvMode}), EINVAL);
}

TEST_F(AttachRules, LinksAndProgramsStayApart) {
    EXPECT_EQ(change({.program = one, .expected = nullptr}), 0);
    EXPECT_EQ(change({.program = two, .expected = nullptr, .by_link = true}), EBUSY);
    EXPECT_EQ(change({.program = two, .expected = nullptr, .flags = kSkbMode, .by_link = true}),
              EEXIST);
    EXPECT_EQ(change({.program = nullptr, .expected = nullptr}), 0);
    EXPECT_EQ(
        change({.program = one, .expected = nullptr, .flags = kUpdateIfNoExist, .by_link = true}),
        EINVAL);
    EXPECT_EQ(change({.program = one, .expected = nullptr, .flags = kDrvMode, .by_link = true}), 0);
    EXPECT_TRUE(now.by_link);
    EXPECT_EQ(change({.program = two, .expected = nullptr}), EBUSY);
    EXPECT_EQ(change({.program = one, .expected = nullptr}), EBUSY);
    EXPECT_EQ(change({.program = nullptr, .expected = nullptr}), EBUSY);
    EXPECT_EQ(change({.program = two, .expected = one, .flags = kReplace}), EBUSY);
    EXPECT_EQ(change({.program = two, .expected = nullptr, .flags = kSkbMode}), EEXIST);
}

TEST_F(AttachRules, ProgramsOfMapSlotsAreForMapSlots) {
    for (const std::uint32_t type : {ebpf::kAttachXdpDevmap, ebpf::kAttachXdpCpumap}) {
        auto slot = std::make_shared<ebpf::LoadedProgram>();
        slot->program.expected_attach_type = type;
        EXPECT_EQ(change({.program = slot, .expected = nullptr}), EINVAL);
    }
}

}  // namespace
}  // namespace crema::xdp
