// SPDX-License-Identifier: BSD-3-Clause
//
// Who runs before whom among the programs of a port, and who may join them or leave: libxdp's
// rules. Beside libxdp itself the order is compared by tests/system/chain_test.py.
#include <cerrno>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lib/xdp/attach_rules.h"
#include "lib/xdp/chain.h"

namespace crema::xdp {
namespace {

using ebpf::LoadedProgram;
using ebpf::syscall::Attachment;
using ebpf::syscall::ChainChange;
using ebpf::syscall::ChainedProgram;
using ebpf::syscall::XdpMode;

struct Look {
    std::uint32_t id = 0;
    std::string name = "same";
    std::uint32_t priority = 50;
    std::uint8_t tag = 0;
    std::uint64_t loaded_at = 0;
    std::size_t insns = 1;
};

ChainedProgram program(const Look& look) {
    auto loaded = std::make_shared<LoadedProgram>();
    loaded->id = look.id;
    loaded->program.name = look.name.substr(0, 15);
    loaded->program.functions = {{.first = 0, .end = 1, .name = look.name}};
    loaded->program.insns.resize(look.insns);
    loaded->tag[0] = look.tag;
    loaded->load_time_ns = look.loaded_at;
    return {.program = std::move(loaded), .config = {.priority = look.priority}};
}

std::vector<std::uint32_t> ids(const std::vector<ChainedProgram>& programs) {
    std::vector<std::uint32_t> all;
    all.reserve(programs.size());
    for (const ChainedProgram& each : programs) {
        all.push_back(each.program->id);
    }
    return all;
}

std::vector<std::uint32_t> sorted(const std::vector<Look>& looks, std::size_t present) {
    std::vector<ChainedProgram> programs;
    programs.reserve(looks.size());
    for (const Look& look : looks) {
        programs.push_back(program(look));
    }
    sort_chain(programs, present);
    return ids(programs);
}

using Ids = std::vector<std::uint32_t>;

TEST(ChainOrder, PriorityComesFirstThenTheName) {
    EXPECT_EQ(sorted({{.id = 1, .name = "a", .priority = 60},
                      {.id = 2, .name = "z", .priority = 5},
                      {.id = 3, .name = "b"},
                      {.id = 4, .name = "B"},
                      {.id = 5, .name = "a", .priority = 4294967295}},
                     2),
              (Ids{2, 4, 3, 1, 5}));
}

TEST(ChainOrder, NamesAreComparedInFull) {
    EXPECT_EQ(sorted({{.id = 1, .name = "much_longer_than_fifteen_b"},
                      {.id = 2, .name = "much_longer_than_fifteen_a"}},
                     2),
              (Ids{2, 1}));
}

TEST(ChainOrder, WhoIsThereComesBeforeWhoComes) {
    EXPECT_EQ(sorted({{.id = 1, .tag = 9, .loaded_at = 9}, {.id = 2, .tag = 1, .loaded_at = 1}}, 1),
              (Ids{1, 2}));
}

TEST(ChainOrder, WhoIsThereByTagAndTime) {
    EXPECT_EQ(sorted({{.id = 1, .tag = 200, .loaded_at = 1},
                      {.id = 2, .tag = 1, .loaded_at = 9},
                      {.id = 3, .tag = 1, .loaded_at = 2}},
                     3),
              (Ids{3, 2, 1}));
}

TEST(ChainOrder, WhoComesByLengthThenAsGiven) {
    EXPECT_EQ(sorted({{.id = 1, .tag = 1, .insns = 7},
                      {.id = 2, .tag = 9, .insns = 3},
                      {.id = 3, .tag = 5, .insns = 3}},
                     0),
              (Ids{2, 3, 1}));
}

class ChainRules : public testing::Test {
  protected:
    int change(const ChainChange& asked, XdpMode own = XdpMode::native) {
        auto next = after_chain_change(now, own, asked);
        if (!next) {
            EXPECT_FALSE(next.error().message.empty());
            return next.error().code;
        }
        now = std::move(*next);
        return 0;
    }

    int joins(const Look& look, std::uint32_t flags = 0, XdpMode own = XdpMode::native) {
        return change({.join = {program(look)}, .leave = {}, .flags = flags}, own);
    }

    int leaves(std::vector<std::uint32_t> who) {
        return change({.join = {}, .leave = std::move(who)});
    }

    Attachment now{};
};

TEST_F(ChainRules, ProgramsJoinAndLeave) {
    EXPECT_EQ(change({}), EINVAL);
    EXPECT_EQ(joins({.id = 1}), 0);
    EXPECT_EQ(joins({.id = 1}), EEXIST);
    EXPECT_EQ(joins({.id = 2, .priority = 7}), 0);
    EXPECT_EQ(ids(now.programs), (Ids{2, 1}));
    EXPECT_EQ(leaves({3}), ENOENT);
    EXPECT_EQ(leaves({1, 3}), ENOENT);
    EXPECT_EQ(now.programs.size(), 2U) << "all of a change or nothing";
    EXPECT_EQ(change({.join = {program({.id = 5})}, .leave = {2}}), 0);
    EXPECT_EQ(ids(now.programs), (Ids{1, 5}));
    EXPECT_EQ(leaves({1}), 0);
    EXPECT_EQ(leaves({5}), 0);
    EXPECT_EQ(now.first(), nullptr);
    EXPECT_EQ(change({.join = {}, .leave = {}, .all_leave = true}), ENOENT);
}

TEST_F(ChainRules, ThereAreAtMostTen) {
    for (std::uint32_t id = 1; id <= kChainMax; ++id) {
        EXPECT_EQ(joins({.id = id}), 0);
    }
    EXPECT_EQ(joins({.id = 11}), E2BIG);
    EXPECT_EQ(change({.join = {program({.id = 11})}, .leave = {4}}), 0);
    EXPECT_EQ(now.programs.size(), kChainMax);
    EXPECT_EQ(change({.join = {program({.id = 12})}, .leave = {}, .all_leave = true}), 0);
    EXPECT_EQ(ids(now.programs), (Ids{12}));
}

TEST_F(ChainRules, AllAreInOneMode) {
    using ebpf::syscall::kDrvMode, ebpf::syscall::kHwMode, ebpf::syscall::kSkbMode;
    EXPECT_EQ(joins({.id = 1}, kHwMode), EINVAL);
    EXPECT_EQ(joins({.id = 1}, kSkbMode | kDrvMode), EINVAL);
    EXPECT_EQ(joins({.id = 1}, ebpf::syscall::kReplace), EINVAL);
    EXPECT_EQ(joins({.id = 1}, kDrvMode, XdpMode::generic), EOPNOTSUPP);
    EXPECT_EQ(joins({.id = 1}, kSkbMode), 0);
    EXPECT_EQ(now.mode, XdpMode::generic);
    EXPECT_EQ(joins({.id = 2}), EEXIST);
    EXPECT_EQ(joins({.id = 2}, kSkbMode), 0);
    EXPECT_EQ(change({.join = {program({.id = 3})}, .leave = {}, .all_leave = true}), 0);
    EXPECT_EQ(now.mode, XdpMode::native);
}

TEST_F(ChainRules, LinksAndDispatchersKeepTheirPlace) {
    now = ebpf::syscall::alone(program({.id = 1}).program, XdpMode::native, true);
    EXPECT_EQ(joins({.id = 2}), EBUSY);
    EXPECT_EQ(leaves({1}), EBUSY);
    EXPECT_EQ(change({.join = {}, .leave = {}, .all_leave = true}), EBUSY);
    now = ebpf::syscall::alone(program({.id = 1, .name = "xdp_dispatcher"}).program,
                               XdpMode::native, false);
    EXPECT_EQ(joins({.id = 2}), EBUSY);
    EXPECT_EQ(leaves({1}), 0);
}

TEST_F(ChainRules, ToTheKernelsWaysTheyAreTheFirst) {
    using ebpf::syscall::kReplace, ebpf::syscall::kUpdateIfNoExist;
    const ChainedProgram one = program({.id = 1});
    const ChainedProgram two = program({.id = 2, .priority = 60});
    const ChainedProgram three = program({.id = 3});
    ASSERT_EQ(change({.join = {one, two}, .leave = {}}), 0);
    const auto by_netlink = [&](const ebpf::syscall::PortChange& asked) {
        auto next = after_change(now, XdpMode::native, asked);
        if (next) {
            now = *next;
        }
        return next ? 0 : next.error().code;
    };
    EXPECT_EQ(
        by_netlink({.program = three.program, .expected = nullptr, .flags = kUpdateIfNoExist}),
        EBUSY);
    EXPECT_EQ(by_netlink({.program = three.program, .expected = two.program, .flags = kReplace}),
              EEXIST);
    EXPECT_EQ(by_netlink({.program = one.program, .expected = nullptr}), 0);
    EXPECT_EQ(ids(now.programs), (Ids{1})) << "alone, as was asked for";
    ASSERT_EQ(change({.join = {two}, .leave = {}}), 0);
    EXPECT_EQ(by_netlink({.program = nullptr, .expected = one.program, .flags = kReplace}), 0);
    EXPECT_EQ(now.first(), nullptr);
}

}  // namespace
}  // namespace crema::xdp
