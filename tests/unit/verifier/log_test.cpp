// SPDX-License-Identifier: BSD-3-Clause
//
// The log a person reads: the failing path with source lines and states at level 1, everything at
// level 2, statistics at level 4; and errors that say where in the source.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/ebpf/verifier/verify.h"
#include "tests/support/asm.h"

namespace crema::test {

namespace {

using testing::HasSubstr;
using testing::Not;

std::string log_of(const ebpf::Program& program, std::uint32_t level) {
    ebpf::verifier::Options options;
    options.log_level = level;
    std::string log;
    (void)ebpf::verifier::verify(program, options, &log).has_value();
    return log;
}

ebpf::Program unchecked_read() {
    ebpf::Program program = program_of({load(op::kW, 2, 1, 0), load(op::kB, 0, 2, 3), exit_insn()});
    program.name = "reads";
    program.lines = {{0, 7, "reads.bpf.c", "data = ctx->data"},
                     {1, 8, "reads.bpf.c", "return data[3];"}};
    return program;
}

}  // namespace

TEST(VerifierLog, ErrorNamesProgramInstructionAndSource) {
    const auto proof = ebpf::verifier::verify(unchecked_read(), {});
    ASSERT_FALSE(proof.has_value());
    EXPECT_EQ(proof.error().message,
              "program reads: instruction 1 (reads.bpf.c:8): invalid access to packet, off=3 "
              "size=1, R2(id=0,off=3,r=0); R2 offset is outside of the packet");
    EXPECT_EQ(proof.error().code, 13);
}

TEST(VerifierLog, LevelOneShowsTheFailingPath) {
    const std::string log = log_of(unchecked_read(), 1);
    EXPECT_THAT(log, HasSubstr("0: R1=ctx() R10=fp0\n"));
    EXPECT_THAT(log, HasSubstr("; return data[3]; @ reads.bpf.c:8\n"));
    EXPECT_THAT(log, HasSubstr("0: (61) r2 = *(u32 *)(r1 +0)          ; R1=ctx() R2=pkt(r=0)\n"));
    EXPECT_THAT(log, HasSubstr("1: (71) r0 = *(u8 *)(r2 +3)\ninvalid access to packet"));
    EXPECT_THAT(log, HasSubstr("processed 2 insns (limit 1000000)"));
}

TEST(VerifierLog, LevelsDifferOnSuccess) {
    const auto program = program_of({mov_k(0, 2), exit_insn()});
    EXPECT_THAT(log_of(program, 0), testing::IsEmpty());
    EXPECT_THAT(log_of(program, 1), testing::StartsWith("processed 2 insns"));
    EXPECT_THAT(log_of(program, 2), HasSubstr("0: (b7) r0 = 2                        ; R0=2\n"));
    const std::string statistics = log_of(program, 4);
    EXPECT_THAT(statistics, testing::StartsWith("verification time "));
    EXPECT_THAT(statistics, HasSubstr(" usec\nstack depth 0\nprocessed 2 insns"));
}

TEST(VerifierLog, EndedBranchesLeaveLevelOne) {
    const auto program = program_of({load(op::kW, 2, 1, 12), jump_k(op::kJeq, 2, 1, 2), mov_k(0, 2),
                                     exit_insn(), mov(0, 7), exit_insn()});
    const std::string log = log_of(program, 1);
    EXPECT_THAT(log, HasSubstr("goto pc+2 4: R1=ctx() R2=1 R10=fp0\n"));
    EXPECT_THAT(log, Not(HasSubstr("r0 = 2")));
    EXPECT_THAT(log, HasSubstr("R7 !read_ok"));
}

TEST(VerifierLog, LongLogsKeepTheirEnd) {
    const auto program = program_of(
        {mov_k(0, 0), add_k(0, 1), jump_k(op::kJlt, 0, 200'000, -2), mov(0, 7), exit_insn()});
    const std::string log = log_of(program, 2);
    EXPECT_LE(log.size(), std::size_t{17} << 20);
    EXPECT_THAT(log.substr(log.size() - 300), HasSubstr("R7 !read_ok"));
}

}  // namespace crema::test
