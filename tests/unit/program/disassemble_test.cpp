// SPDX-License-Identifier: BSD-3-Clause
//
// Instructions print as the kernel's verifier log prints them (texts copied from its log of the
// same instructions), and what is judged without running is judged.
#include "lib/ebpf/program/disassemble.h"

#include <gtest/gtest.h>

#include "lib/ebpf/program/structure.h"
#include "tests/support/asm.h"

namespace crema::test {

TEST(Disassemble, PrintsInTheKernelsNotation) {
    const auto name = [](std::uint32_t) -> const char* { return "map_lookup_elem"; };

    struct Case {
        Insn insn;
        const char* text;
    };

    const Case cases[] = {
        {mov_k(0, 2), "r0 = 2"},
        {mov_k(8, -1719244687), "r8 = -1719244687"},
        {mov(2, 10), "r2 = r10"},
        {add_k(2, -4), "r2 += -4"},
        {alu32(op::kXor, 7, 3), "w7 ^= w3"},
        {alu_k(op::kArsh, 1, 32), "r1 s>>= 32"},
        {insn(0x87, 3, 0, 0, 0), "r3 = -r3"},
        {insn(0xdc, 2, 0, 0, 16), "r2 = be16 r2"},
        {insn(0xd4, 2, 0, 0, 64), "r2 = le64 r2"},
        {load(op::kW, 6, 1, 0), "r6 = *(u32 *)(r1 +0)"},
        {load(op::kDw, 2, 10, -8), "r2 = *(u64 *)(r10 -8)"},
        {insn(0x91, 0, 10, -8, 0), "r0 = *(s8 *)(r10 -8)"},
        {store(op::kB, 2, 3, 5), "*(u8 *)(r2 +3) = r5"},
        {store_k(op::kDw, 10, -16, 7), "*(u64 *)(r10 -16) = 7"},
        {atomic_add(op::kDw, 1, 0, 2), "lock *(u64 *)(r1 +0) += r2"},
        {insn(0xdb, 10, 1, -8, 0x01), "r1 = atomic64_fetch_add((u64 *)(r10 -8), r1)"},
        {insn(0xc3, 10, 1, -8, 0x51), "r1 = atomic_fetch_and((u32 *)(r10 -8), r1)"},
        {insn(0xdb, 10, 1, -8, 0xa0), "lock *(u64 *)(r10 -8) ^= r1"},
        {insn(0xdb, 10, 1, -8, 0xe1), "r1 = atomic64_xchg((u64 *)(r10 -8), r1)"},
        {insn(0xc3, 10, 1, -8, 0xf1), "r0 = atomic_cmpxchg((u32 *)(r10 -8), r0, r1)"},
        {insn(0xcb, 2, 10, -8, 0x100), "r2 = load_acquire((u16 *)(r10 -8))"},
        {insn(0xd3, 10, 2, -8, 0x110), "store_release((u8 *)(r10 -8), r2)"},
        {insn(0x06, 0, 0, 0, 4), "gotol pc+4"},
        {insn(0xe5, 0, 0, 4, 0), "may_goto pc+4"},
        {insn(0xbf, 1, 2, 16, 0), "r1 = (s16)r2"},
        {insn(0x37, 1, 0, 1, 3), "r1 s/= 3"},
        {insn(0xd7, 1, 0, 0, 32), "r1 = bswap32 r1"},
        {jump(op::kJle, 5, 4, 2), "if r5 <= r4 goto pc+2"},
        {jump32_k(op::kJne, 2, 127, 1), "if w2 != 0x7f goto pc+1"},
        {jump_k(op::kJsgt, 8, 0x7fffffff, 2), "if r8 s> 0x7fffffff goto pc+2"},
        {jump(op::kJset, 0, 0, 21), "if r0 & r0 goto pc+21"},
        {go(-3), "goto pc-3"},
        {call(1), "call bpf_map_lookup_elem#1"},
        {exit_insn(), "exit"},
    };
    for (const Case& c : cases) {
        EXPECT_EQ(ebpf::disassemble(c.insn, 0, name), c.text);
    }
    EXPECT_EQ(ebpf::disassemble(ld_imm64(3, 0x1234'5678'9abc)[0], 0x1234), "r3 = 0x123456789abc");
}

TEST(Structure, GivesTheSuccessorsOfEachForm) {
    EXPECT_EQ(ebpf::successors(exit_insn(), 5).count, 0U);
    EXPECT_EQ(ebpf::successors(mov_k(0, 0), 5).target[0], 6);
    EXPECT_EQ(ebpf::successors(ld_imm64(0, 1)[0], 5).target[0], 7);
    EXPECT_EQ(ebpf::successors(go(-3), 5).target[0], 3);
    const auto branch = ebpf::successors(jump_k(op::kJeq, 0, 0, 4), 5);
    ASSERT_EQ(branch.count, 2U);
    EXPECT_EQ(branch.target[0], 6);
    EXPECT_EQ(branch.target[1], 10);
}

TEST(Structure, NamesTheFirstFaultyInstruction) {
    const auto refusal = ebpf::check_structure(program_of({mov_k(0, 0), go(7), exit_insn()}));
    ASSERT_TRUE(refusal.has_value());
    EXPECT_EQ(refusal->insn, 1U);
    EXPECT_EQ(refusal->reason, "jump out of range from insn 1 to 9");
    EXPECT_FALSE(ebpf::check_structure(program_of({mov_k(0, 0), exit_insn()})).has_value());
}

TEST(Structure, KnowsWhatIsNotServedYet) {
    EXPECT_STREQ(ebpf::unserved_form(insn(0xbf, 1, 2, 1, 1)), "address-space cast");
    EXPECT_EQ(ebpf::unserved_form(insn(0x06, 0, 0, 0, 1)), nullptr);
    EXPECT_EQ(ebpf::unserved_form(insn(0xdb, 1, 2, 0, 0x50)), nullptr);
    EXPECT_EQ(ebpf::unserved_form(mov(1, 2)), nullptr);
}

}  // namespace crema::test
