// SPDX-License-Identifier: BSD-3-Clause
//
// Contexts of test runs beside the running kernel's: the same are refused with the same error, and
// what comes back of metadata, packet and context is equal, also where the length of the linear
// part makes fragments.
#include <array>
#include <cerrno>
#include <cstdint>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <unistd.h>
#include <vector>

#include <linux/bpf.h>

#include "lib/base/unique_fd.h"
#include "lib/ebpf/syscall/serve.h"
#include "lib/ebpf/syscall/session.h"
#include "lib/xdp/hook.h"
#include "lib/xdp/test_run.h"
#include "tests/support/asm.h"
#include "tests/support/kernel_bpf.h"
#include "tests/support/with_kernel.h"

namespace crema::test {
namespace {

using Bytes = std::vector<std::uint8_t>;

struct Sides {
    int kernel = -1;
    std::shared_ptr<const ebpf::LoadedProgram> crema;
};

Sides both(const Code& code) {
    const ebpf::Program program = program_of(code);
    Sides sides;
    std::string log;
    sides.kernel = kernel::load_xdp(program, {}, &log);
    EXPECT_GE(sides.kernel, 0) << log;
    const ebpf::syscall::Session session;
    bpf_attr attr{};
    attr.prog_type = BPF_PROG_TYPE_XDP;
    attr.expected_attach_type = BPF_XDP;
    attr.insns = reinterpret_cast<std::uint64_t>(program.insns.data());
    attr.insn_cnt = static_cast<std::uint32_t>(program.insns.size());
    attr.license = reinterpret_cast<std::uint64_t>("GPL");
    const UniqueFd fd(static_cast<int>(ebpf::syscall::serve(BPF_PROG_LOAD, &attr, sizeof(attr))));
    EXPECT_TRUE(fd.valid()) << session.refusal()->message;
    sides.crema = ebpf::syscall::program_of(fd.get());
    return sides;
}

class TestRunContexts : public WithKernel {
  protected:
    void SetUp() override {
        WithKernel::SetUp();
        if (IsSkipped()) {
            return;
        }
        static const xdp::PortOps ops = {
            .mode = "test",
            .xmit = [](void*, std::uint32_t, const xdp::Frame*, std::uint32_t) { return 0U; },
            .attach_check = [](void*, bool) { return Status(); },
            .frame_bytes_max = [](void*) { return 1518U; },
            .is_up = [](void*) { return false; },
        };
        // ifindex 1: in the kernel that is the loopback device
        ASSERT_TRUE(xdp::register_port(0, ops, nullptr));
    }

    void TearDown() override {
        if (kernel::available()) {
            xdp::unregister_port(0);
        }
    }

    /// Returns whether the run took place.
    static bool same(const Sides& sides, const Bytes& bytes, const xdp::TestRunContext& context) {
        kernel::Context theirs{.data = context.data,
                               .data_end = context.data_end,
                               .data_meta = context.data_meta,
                               .ingress_ifindex = context.ingress_ifindex,
                               .rx_queue_index = context.rx_queue_index,
                               .egress_ifindex = context.egress_ifindex};
        const kernel::Run expected = kernel::test_run(sides.kernel, bytes, theirs);
        const auto run = xdp::test_run(*sides.crema, bytes, context, 1);
        const std::string text =
            fmt::format("{} bytes, data {} data_end {} data_meta {} ingress {} queue {} egress {}",
                        bytes.size(), context.data, context.data_end, context.data_meta,
                        context.ingress_ifindex, context.rx_queue_index, context.egress_ifindex);
        if (!run) {
            EXPECT_EQ(-run.error().code, expected.error) << text << ": " << run.error().message;
            return false;
        }
        EXPECT_EQ(expected.error, 0) << text;
        EXPECT_EQ(run->retval, expected.retval) << text;
        EXPECT_EQ(run->bytes, expected.packet) << text;
        EXPECT_EQ(run->context.data, theirs.data) << text;
        EXPECT_EQ(run->meta_bytes, theirs.data) << text;
        EXPECT_EQ(run->context.data_end, theirs.data_end) << text;
        EXPECT_EQ(run->context.data_meta, theirs.data_meta) << text;
        EXPECT_EQ(run->context.ingress_ifindex, theirs.ingress_ifindex) << text;
        EXPECT_EQ(run->context.rx_queue_index, theirs.rx_queue_index) << text;
        EXPECT_EQ(run->context.egress_ifindex, theirs.egress_ifindex) << text;
        return true;
    }
};

Bytes row(std::size_t bytes) {
    Bytes all(bytes);
    for (std::size_t i = 0; i < bytes; ++i) {
        all[i] = static_cast<std::uint8_t>(i * 7 + 1);
    }
    return all;
}

TEST_F(TestRunContexts, AreAcceptedAndRefusedAsInTheKernel) {
    // r0 = data_end - data + 1000 * (data - data_meta)
    const Sides sides = both({load(op::kW, 2, 1, 0), load(op::kW, 3, 1, 4), load(op::kW, 4, 1, 8),
                              mov(0, 3), alu(op::kSub, 0, 2), alu(op::kSub, 2, 4),
                              alu_k(op::kMul, 2, 1000), alu(op::kAdd, 0, 2), exit_insn()});
    int runs = 0;
    for (const std::uint32_t bytes :
         {13U, 14U, 17U, 18U, 64U, 3520U, 3521U, 3584U, 3736U, 9000U, 73152U, 73153U}) {
        for (const std::uint32_t data :
             {0U, 1U, 2U, 3U, 4U, 8U, 50U, 64U, 212U, 216U, 220U, 252U, 256U, 0xfffffffcU}) {
            for (const std::uint32_t end : {0U, 13U, 14U, 63U, bytes - 1, bytes, bytes + 1}) {
                runs += static_cast<int>(same(sides, row(bytes),
                                              {.data = data,
                                               .data_end = end,
                                               .data_meta = 0,
                                               .ingress_ifindex = 0,
                                               .rx_queue_index = 0,
                                               .egress_ifindex = 0}));
            }
        }
    }
    EXPECT_GT(runs, 20);
    ::close(sides.kernel);
}

TEST_F(TestRunContexts, NameAPortAndItsQueue) {
    const Sides interface = both({load(op::kW, 0, 1, 12), exit_insn()});
    const Sides queue = both({load(op::kW, 0, 1, 16), exit_insn()});
    for (const Sides& sides : {interface, queue}) {
        for (const std::uint32_t ingress : {0U, 1U, 99U, UINT32_MAX}) {
            for (const std::uint32_t index : {0U, 1000U, UINT32_MAX}) {
                for (const std::uint32_t egress : {0U, 1U}) {
                    for (const std::uint32_t meta : {0U, 4U}) {
                        same(sides, row(64),
                             {.data = 0,
                              .data_end = 64,
                              .data_meta = meta,
                              .ingress_ifindex = ingress,
                              .rx_queue_index = index,
                              .egress_ifindex = egress});
                    }
                }
            }
        }
        ::close(sides.kernel);
    }
}

// r0 = adjust_x(ctx, offset): the context afterwards.
TEST_F(TestRunContexts, ShowWhatTheProgramMoved) {
    for (const int helper : {44, 54, 65}) {
        for (const int offset : {-64, -8, -4, 0, 4, 8, 40, 64}) {
            const Sides sides = both({mov_k(2, offset), call(helper), exit_insn()});
            for (const std::uint32_t data : {0U, 8U, 152U}) {
                EXPECT_TRUE(same(sides, row(300),
                                 {.data = data,
                                  .data_end = 300,
                                  .data_meta = 0,
                                  .ingress_ifindex = 1,
                                  .rx_queue_index = 0,
                                  .egress_ifindex = 0}));
            }
            ::close(sides.kernel);
        }
    }
}

}  // namespace
}  // namespace crema::test
