// SPDX-License-Identifier: BSD-3-Clause
//
// Every form of every computing instruction (tests/support/opcode_forms.h) with crossed edge
// operands, in several register placements: the running kernel, our machine code and the
// interpreter must leave the same packet, registers, memory and result. The long form
// (tests/support/rounds.h) tries every placement with every form.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <gtest/gtest.h>
#include <string>
#include <unistd.h>
#include <vector>

#include "lib/ebpf/interpreter/interpreter.h"
#include "lib/ebpf/lowering/dpdk_jit.h"
#include "lib/ebpf/lowering/lower.h"
#include "lib/ebpf/verifier/verify.h"
#include "tests/support/kernel_bpf.h"
#include "tests/support/opcode_forms.h"
#include "tests/support/rounds.h"
#include "tests/support/with_kernel.h"

namespace crema::test {
namespace {

using Packet = std::vector<std::uint8_t>;

struct Ran {
    std::uint32_t verdict = 0;
    Packet packet;
};

Ran run_ours(ebpf::EntryPoint entry, const void* self, const Packet& packet) {
    std::vector<std::uint8_t> page(ebpf::kTestRunPageBytes);
    ebpf::XdpBuff buff{};
    buff.data_hard_start = page.data();
    buff.frame_sz = ebpf::kTestRunPageBytes;
    buff.data = page.data() + ebpf::kXdpHeadroom;
    buff.data_end = buff.data + packet.size();
    buff.data_meta = buff.data;
    std::memcpy(buff.data, packet.data(), packet.size());
    Ran ran;
    ran.verdict = static_cast<std::uint32_t>(entry(&buff, self));
    ran.packet.assign(buff.data, buff.data_end);
    return ran;
}

// The first record that differs, in words.
std::string difference(const Packet& ours, const Packet& kernel) {
    for (std::size_t at = 0; at < kernel.size(); at += 8) {
        std::uint64_t have = 0;
        std::uint64_t want = 0;
        std::memcpy(&have, ours.data() + at, 8);
        std::memcpy(&want, kernel.data() + at, 8);
        if (have != want) {
            std::array<std::uint64_t, 4> in{};
            std::memcpy(in.data(), ours.data() + at / kRecordBytes * kRecordBytes, sizeof in);
            char text[256];
            (void)std::snprintf(text, sizeof text,
                                "record %zu word %zu: ours %#lx, kernel %#lx; dst %#lx src %#lx "
                                "r0 %#lx memory %#lx",
                                at / kRecordBytes, at % kRecordBytes / 8, have, want, in[0], in[1],
                                in[2], in[3]);
            return text;
        }
    }
    return {};
}

class LoweringOpcodes : public WithKernel {};

TEST_F(LoweringOpcodes, EveryFormDoesWhatTheKernelDoes) {
    const std::vector<Packet> packets = operand_packets(1);
    std::size_t programs = 0;
    std::string log;
    const auto of_one_form = static_cast<std::size_t>(scaled_rounds(3));
    for (std::size_t f = 0; f < opcode_forms().size(); f++) {
        const OpcodeForm& form = opcode_forms()[f];
        for (std::size_t p = 0; p < std::min(of_one_form, placements().size()); p++) {
            const Placement& placement = placements()[(f + p) % placements().size()];
            const ebpf::Program program = program_around(form, placement);
            if (program.insns.empty()) {
                continue;
            }
            const std::string what = form.name + " with r" + std::to_string(placement.dst) + ", r" +
                                     std::to_string(placement.src);
            const int fd = kernel::load_xdp(program, {}, &log);
            ASSERT_GE(fd, 0) << what << ": "
                             << log.substr(log.size() - std::min(log.size(), 500UL));
            const auto proof = ebpf::verifier::verify(program, {});
            ASSERT_TRUE(proof) << what << ": " << proof.error().message;
            const auto lowered = ebpf::lowering::lower(program, *proof);
            ASSERT_TRUE(lowered) << what << ": " << lowered.error().message;
            const auto code = ebpf::lowering::compile(*lowered);
            ASSERT_TRUE(code) << what << ": " << code.error().message;
            const auto image = ebpf::interpreter::Image::prepare(program, &*proof);
            ASSERT_TRUE(image) << what << ": " << image.error().message;
            for (const Packet& packet : packets) {
                const kernel::Run kernel = kernel::test_run(fd, packet, 1);
                ASSERT_EQ(kernel.error, 0) << what;
                const Ran ours = run_ours(code->entry(), nullptr, packet);
                const Ran slow = run_ours(ebpf::interpreter::run, image->get(), packet);
                EXPECT_EQ(ours.verdict, kernel.retval) << what;
                EXPECT_EQ(slow.verdict, kernel.retval) << what << ", interpreted";
                EXPECT_EQ(difference(slow.packet, kernel.packet), "") << what << ", interpreted";
                const std::string differs = difference(ours.packet, kernel.packet);
                EXPECT_EQ(differs, "") << what;
                if (!differs.empty()) {
                    break;
                }
            }
            ::close(fd);
            programs++;
        }
        if (HasFailure()) {
            break;
        }
    }
    std::printf("  %zu programs of %zu forms, %zu records each\n", programs, opcode_forms().size(),
                packets.size() * kRecords);
}

}  // namespace
}  // namespace crema::test
