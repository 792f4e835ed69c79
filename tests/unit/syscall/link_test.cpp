// SPDX-License-Identifier: BSD-3-Clause
//
// Links at a port that is a record of what was asked of it.
#include "lib/ebpf/syscall/link.h"

#include <gtest/gtest.h>

#include "lib/base/unique_fd.h"
#include "lib/ebpf/syscall/ports.h"
#include "lib/ebpf/syscall/session.h"
#include "tests/support/extensions.h"
#include "tests/unit/syscall/calls.h"

namespace crema::ebpf::syscall::test {
namespace {

constexpr std::uint32_t kPort = 7;

const LoadedProgram* g_attached = nullptr;
int g_detached = 0;

class Links : public testing::Test {
  public:
    Links(const Links&) = delete;
    Links& operator=(const Links&) = delete;

  protected:
    Links() : installed_(port_hooks()) {
        g_attached = nullptr;
        g_detached = 0;
        set_port_hooks({
            .change = [](std::uint32_t ifindex, const PortChange& change) -> Status {
                if (ifindex != kPort) {
                    return fail(ENODEV, "no such port");
                }
                if (g_attached != nullptr) {
                    return fail(EBUSY, "a program is there");
                }
                EXPECT_TRUE(change.by_link);
                g_attached = change.program.get();
                return {};
            },
            .replace =
                [](std::uint32_t, const LoadedProgram& current,
                   const std::shared_ptr<const LoadedProgram>& next) {
                    if (g_attached != &current) {
                        return -ENODEV;
                    }
                    g_attached = next.get();
                    return 0;
                },
            .detach =
                [](std::uint32_t, const LoadedProgram& current) {
                    if (g_attached == &current) {
                        g_attached = nullptr;
                        ++g_detached;
                    }
                },
            .change_chain = [](std::uint32_t, const ChainChange&) -> Status {
                return fail(ENODEV, "no such port");
            },
            .list = [] { return std::vector<PortInfo>(); },
        });
    }

    ~Links() override { set_port_hooks(installed_); }

    static long create(int program, std::uint32_t ifindex = kPort) {
        bpf_attr attr{};
        attr.link_create.prog_fd = static_cast<std::uint32_t>(program);
        attr.link_create.target_ifindex = ifindex;
        attr.link_create.attach_type = BPF_XDP;
        return call(BPF_LINK_CREATE, attr);
    }

    static long update(int link, int next, int expected = -1) {
        bpf_attr attr{};
        attr.link_update.link_fd = static_cast<std::uint32_t>(link);
        attr.link_update.new_prog_fd = static_cast<std::uint32_t>(next);
        if (expected >= 0) {
            attr.link_update.flags = BPF_F_REPLACE;
            attr.link_update.old_prog_fd = static_cast<std::uint32_t>(expected);
        }
        return call(BPF_LINK_UPDATE, attr);
    }

    static bpf_link_info info_of(int link) {
        bpf_link_info info{};
        bpf_attr attr{};
        attr.info.bpf_fd = static_cast<std::uint32_t>(link);
        attr.info.info = address(&info);
        attr.info.info_len = sizeof info;
        EXPECT_EQ(call(BPF_OBJ_GET_INFO_BY_FD, attr), 0);
        return info;
    }

  private:
    PortHooks installed_;
};

TEST_F(Links, AttachForAsLongAsTheyLive) {
    const UniqueFd program([] { return static_cast<int>(load(returns(2))); }());
    EXPECT_EQ(program.get(), -EPERM);
    {
        const Session session;
        const UniqueFd loaded(static_cast<int>(load(returns(2))));
        const UniqueFd link(static_cast<int>(create(loaded.get())));
        ASSERT_TRUE(link.valid());
        EXPECT_EQ(g_attached, program_of(loaded.get()).get());
        EXPECT_EQ(create(loaded.get()), -EBUSY);
        EXPECT_EQ(create(loaded.get(), kPort + 1), -EINVAL);
        const bpf_link_info info = info_of(link.get());
        EXPECT_EQ(info.type, BPF_LINK_TYPE_XDP);
        EXPECT_EQ(info.xdp.ifindex, kPort);
        EXPECT_EQ(info.prog_id, program_of(loaded.get())->id);
    }
    EXPECT_EQ(g_attached, nullptr);
    EXPECT_EQ(g_detached, 1);
}

TEST_F(Links, UpdateReplacesWhatIsExpected) {
    const Session session;
    const UniqueFd first(static_cast<int>(load(returns(2))));
    const UniqueFd second(static_cast<int>(load(returns(1))));
    const UniqueFd link(static_cast<int>(create(first.get())));
    EXPECT_EQ(update(link.get(), second.get(), second.get()), -EPERM);
    EXPECT_EQ(update(link.get(), second.get(), first.get()), 0);
    EXPECT_EQ(g_attached, program_of(second.get()).get());
    EXPECT_EQ(update(link.get(), first.get()), 0);
    EXPECT_EQ(info_of(link.get()).prog_id, program_of(first.get())->id);
    bpf_attr of_slot = prog_attr(returns(2));
    const auto insns = returns(2);
    of_slot.insns = address(insns.data());
    of_slot.expected_attach_type = BPF_XDP_DEVMAP;
    const UniqueFd devmap(static_cast<int>(call(BPF_PROG_LOAD, of_slot)));
    EXPECT_EQ(update(link.get(), devmap.get()), -EINVAL);
}

TEST_F(Links, AnExtensionIsAtNoPort) {
    const Session session;
    const crema::test::ContextTypes types;
    const UniqueFd btf(static_cast<int>(crema::test::load_types(types.writer)));
    const UniqueFd program(static_cast<int>(crema::test::load_target(btf.get())));
    const UniqueFd extension(static_cast<int>(crema::test::load_extension(
        {move(0, 1), exit_insn()}, btf.get(), program.get(), types.called)));
    ASSERT_TRUE(extension.valid()) << session.refusal()->message;
    EXPECT_EQ(create(extension.get()), -EINVAL);
    const UniqueFd link(static_cast<int>(create(program.get())));
    EXPECT_EQ(update(link.get(), extension.get()), -EINVAL);
    EXPECT_EQ(update(link.get(), extension.get(), program.get()), -EINVAL);
    EXPECT_EQ(g_attached, program_of(program.get()).get());
    const UniqueFd in_program(static_cast<int>(crema::test::put_in_place(extension.get())));
    EXPECT_EQ(update(in_program.get(), extension.get()), -EINVAL);
}

TEST_F(Links, DetachedTheyStayAsNumbers) {
    const Session session;
    const UniqueFd program(static_cast<int>(load(returns(2))));
    const UniqueFd link(static_cast<int>(create(program.get())));
    bpf_attr attr{};
    attr.link_detach.link_fd = static_cast<std::uint32_t>(link.get());
    EXPECT_EQ(call(BPF_LINK_DETACH, attr), 0);
    EXPECT_EQ(g_attached, nullptr);
    EXPECT_EQ(info_of(link.get()).xdp.ifindex, 0U);
    EXPECT_EQ(update(link.get(), program.get()), -ENOLINK);
    attr = {};
    EXPECT_EQ(call(BPF_LINK_GET_NEXT_ID, attr), 0);
    attr.link_id = info_of(link.get()).id;
    attr.next_id = 0;
    const UniqueFd again(static_cast<int>(call(BPF_LINK_GET_FD_BY_ID, attr)));
    EXPECT_EQ(info_of(again.get()).id, info_of(link.get()).id);
}

}  // namespace
}  // namespace crema::ebpf::syscall::test
