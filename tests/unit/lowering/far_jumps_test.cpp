// SPDX-License-Identifier: BSD-3-Clause
//
// Programs whose lowered jumps do not fit 16 bits, up to the sizes that a kernel takes: they
// compile in bounded time and compute the same as a walk over their blocks in this file. Prints how
// long each step takes.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <gtest/gtest.h>
#include <random>
#include <vector>

#include "lib/ebpf/lowering/dpdk_jit.h"
#include "lib/ebpf/lowering/lower.h"
#include "tests/support/asm.h"
#include "tests/support/rounds.h"

namespace crema::test {
namespace {

// Of this thread: the machine may be busy with other things.
double cpu_seconds() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

double seconds_since(double start) {
    return cpu_seconds() - start;
}

// A block adds to r0 and goes on: to the next block, or, by a bit of r2, to any other one. r1
// counts steps down, so that every walk ends.
struct Block {
    std::uint32_t adds;
    std::uint32_t mask;    // of r2
    std::size_t taken;     // block
    std::uint32_t filler;  // instructions that change r3 only
};

std::vector<Block> random_blocks(std::mt19937_64& random, std::size_t insns) {
    constexpr std::uint32_t kFillerMax = 40;
    const std::size_t n = insns / (kFillerMax / 2 + 6);
    std::vector<Block> blocks(n);
    for (std::size_t i = 0; i < n; i++) {
        // Mostly near, some from one end to the other.
        const bool far = random() % 4 == 0;
        const std::size_t near = i + random() % 20;
        blocks[i] = {.adds = static_cast<std::uint32_t>(random() % 1000),
                     .mask = std::uint32_t{1} << (random() % 31),
                     .taken = far ? random() % n : std::min(near, n - 1),
                     .filler = static_cast<std::uint32_t>(random() % kFillerMax)};
    }
    return blocks;
}

constexpr std::int32_t kSteps = 50'000;

std::uint64_t mixed(std::uint64_t r0, std::uint32_t adds) {
    return r0 * 31 + adds;
}

std::uint64_t next_bits(std::uint64_t r2) {
    return r2 * 1664525 + 1013904223;
}

std::uint64_t walked(const std::vector<Block>& blocks, std::uint64_t r2) {
    std::uint64_t r0 = 0;
    std::size_t at = 0;
    for (std::int32_t left = kSteps; at < blocks.size(); at++) {
        for (;;) {
            r0 = mixed(r0, blocks[at].adds);
            r2 = next_bits(r2);
            if (--left == 0) {
                return r0;
            }
            if ((r2 & blocks[at].mask) == 0) {
                break;
            }
            at = blocks[at].taken;
        }
    }
    return r0;
}

// r2 is ingress_ifindex at first. Jumps between blocks are gotol where `off` does not reach.
ebpf::Program program_of_blocks(const std::vector<Block>& blocks) {
    std::vector<Insn> out = {load(op::kW, 2, 1, 12), mov_k(0, 0), mov_k(1, kSteps), mov_k(3, 1)};
    std::vector<std::size_t> start(blocks.size() + 1);
    std::vector<std::pair<std::size_t, std::size_t>> jumps;  // instruction, block
    std::vector<std::size_t> ends;
    for (std::size_t i = 0; i < blocks.size(); i++) {
        const Block& block = blocks[i];
        start[i] = out.size();
        out.push_back(alu_k(op::kMul, 0, 31));
        out.push_back(add_k(0, block.adds));
        out.push_back(alu_k(op::kMul, 2, 1664525));
        out.push_back(add_k(2, 1013904223));
        for (std::uint32_t f = 0; f < block.filler; f++) {
            // Three instructions each, after lowering.
            out.push_back(alu32_k(op::kArsh, 3, f % 31));
        }
        out.push_back(add_k(1, -1));
        out.push_back(jump_k(op::kJne, 1, 0, 1));
        ends.push_back(out.size());
        out.push_back(insn(op::kJmp32 | op::kJa, 0, 0, 0, 0));
        out.push_back(jump_k(op::kJset, 2, block.mask, 1));
        out.push_back(go(1));
        jumps.emplace_back(out.size(), block.taken);
        out.push_back(insn(op::kJmp32 | op::kJa, 0, 0, 0, 0));
    }
    start[blocks.size()] = out.size();
    // What the fillers computed counts, by zero.
    out.push_back(alu_k(op::kAnd, 3, 0));
    out.push_back(alu(op::kAdd, 0, 3));
    out.push_back(exit_insn());
    const auto distance = [](std::size_t from, std::size_t to) {
        return static_cast<std::int32_t>(to) - static_cast<std::int32_t>(from) - 1;
    };
    for (const auto& [from, block] : jumps) {
        out[from].imm = distance(from, start[block]);
    }
    for (const std::size_t from : ends) {
        out[from].imm = distance(from, start[blocks.size()]);
    }
    return program_of(out);
}

ebpf::verifier::Proof proof_of(const ebpf::Program& program) {
    ebpf::verifier::Proof proof;
    proof.insns.resize(program.insns.size());
    for (auto& facts : proof.insns) {
        facts.reachable = true;
    }
    proof.insns[0].access = ebpf::verifier::Access::ctx;
    return proof;
}

void expect_walks(std::size_t insns, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    const std::vector<Block> blocks = random_blocks(random, insns);
    const ebpf::Program program = program_of_blocks(blocks);
    const double start = cpu_seconds();
    const auto lowered = ebpf::lowering::lower(program, proof_of(program));
    const double lowering = seconds_since(start);
    ASSERT_TRUE(lowered) << lowered.error().message;
    const double compiling = cpu_seconds();
    const auto code = ebpf::lowering::compile(*lowered);
    const double compiled = seconds_since(compiling);
    ASSERT_TRUE(code) << code.error().message;
    std::printf("  %zu instructions, %zu lowered: lowering %.3f s, JIT %.3f s, %zu bytes\n",
                program.insns.size(), lowered->functions[0].insns.size(), lowering, compiled,
                code->bytes());
    for (std::uint32_t ifindex = 0; ifindex < 8; ifindex++) {
        ebpf::XdpBuff buff{};
        buff.ingress_ifindex = ifindex * 2654435761U;
        EXPECT_EQ(code->entry()(&buff, nullptr), walked(blocks, buff.ingress_ifindex))
            << insns << " instructions, seed " << seed << ", ifindex " << ifindex;
    }
}

TEST(FarJumps, ProgramsOfEverySizeComputeTheSame) {
    for (const std::size_t insns : {100U, 5'000U, 12'000U, 25'000U, 60'000U}) {
        for (std::uint64_t seed = first_seed(); seed < first_seed() + scaled_rounds(2); seed++) {
            expect_walks(insns, seed);
        }
    }
    expect_walks(200'000, first_seed());
}

// What the JIT takes for as many instructions without any jump, to compare with.
TEST(FarJumps, StraightCode) {
    std::vector<Insn> out = {mov_k(0, 0), load(op::kW, 2, 1, 12)};
    constexpr std::uint64_t kAdds = 500'000;
    for (std::uint64_t i = 0; i < kAdds; i++) {
        out.push_back(add_k(0, 1));
    }
    out.push_back(exit_insn());
    ebpf::verifier::Proof proof = proof_of(program_of(out));
    proof.insns[0].access = ebpf::verifier::Access::none;
    proof.insns[1].access = ebpf::verifier::Access::ctx;
    const auto lowered = ebpf::lowering::lower(program_of(out), proof);
    ASSERT_TRUE(lowered) << lowered.error().message;
    const double start = cpu_seconds();
    const auto code = ebpf::lowering::compile(*lowered);
    ASSERT_TRUE(code) << code.error().message;
    std::printf("  straight code: JIT %.3f s\n", seconds_since(start));
    ebpf::XdpBuff buff{};
    EXPECT_EQ(code->entry()(&buff, nullptr), kAdds);
}

// The largest program there is, every second instruction a short jump.
TEST(FarJumps, AMillionInstructionsCompileInBoundedTime) {
    std::vector<Insn> out = {load(op::kW, 2, 1, 12), mov_k(0, 0)};
    std::uint64_t sum = 0;
    constexpr std::uint32_t kIfindex = 500;
    for (int i = 0; out.size() < 999'000; i++) {
        out.push_back(jump_k(op::kJgt, 2, i % 1000, 1));
        out.push_back(add_k(0, i % 7));
        sum += static_cast<int>(kIfindex) > i % 1000 ? 0U : static_cast<std::uint64_t>(i % 7);
    }
    out.push_back(exit_insn());
    const ebpf::Program program = program_of(out);
    const double start = cpu_seconds();
    const auto lowered = ebpf::lowering::lower(program, proof_of(program));
    ASSERT_TRUE(lowered) << lowered.error().message;
    const auto code = ebpf::lowering::compile(*lowered);
    ASSERT_TRUE(code) << code.error().message;
    const double took = seconds_since(start);
    std::printf("  %zu instructions, %zu lowered: %.3f s, %zu bytes\n", program.insns.size(),
                lowered->functions[0].insns.size(), took, code->bytes());
    EXPECT_LT(took, 60) << "the JIT's passes alone would take minutes";
    ebpf::XdpBuff buff{};
    buff.ingress_ifindex = kIfindex;
    EXPECT_EQ(code->entry()(&buff, nullptr), sum);
}

// Lowering makes three instructions of each of these.
TEST(FarJumps, AConditionalJumpThatNoLongerFitsItsField) {
    for (const bool taken : {false, true}) {
        std::vector<Insn> out = {load(op::kW, 2, 1, 12), mov_k(0, 0),
                                 jump_k(op::kJeq, 2, 7, 16000)};
        for (int i = 0; i < 16000; i++) {
            out.push_back(alu32_k(op::kArsh, 0, 1));
        }
        out.push_back(add_k(0, 5));
        out.push_back(exit_insn());
        const ebpf::Program program = program_of(out);
        const auto lowered = ebpf::lowering::lower(program, proof_of(program));
        ASSERT_TRUE(lowered) << lowered.error().message;
        const auto code = ebpf::lowering::compile(*lowered);
        ASSERT_TRUE(code) << code.error().message;
        ebpf::XdpBuff buff{};
        buff.ingress_ifindex = taken ? 7 : 8;
        EXPECT_EQ(code->entry()(&buff, nullptr), 5U);
    }
}

// Each jump's size depends on that of the next: the JIT's passes shrink one after the other.
// Chains of all strides around the limit of a short jump.
TEST(FarJumps, ChainsOfJumpsThatShrinkOneAnotherCompileInBoundedTime) {
    const auto links = static_cast<int>(scaled_rounds(1000));
    double worst = 0;
    for (int filler = 4; filler <= 24; filler += 5) {
        for (int over = 20; over <= 32; over += 2) {
            std::vector<Insn> out = {load(op::kW, 2, 1, 12), mov_k(0, 0)};
            for (int i = 0; i < links; i++) {
                out.push_back(jump_k(op::kJeq, 2, 1000 + i, over));
                for (int k = 0; k < filler; k++) {
                    out.push_back(add_k(0, 1));
                }
            }
            for (int i = 0; i < 40; i++) {
                out.push_back(add_k(0, 1));
            }
            out.push_back(exit_insn());
            const ebpf::Program program = program_of(out);
            const auto lowered = ebpf::lowering::lower(program, proof_of(program));
            ASSERT_TRUE(lowered) << lowered.error().message;
            const double start = cpu_seconds();
            const auto code = ebpf::lowering::compile(*lowered);
            ASSERT_TRUE(code) << code.error().message;
            worst = std::max(worst, seconds_since(start));
            ebpf::XdpBuff buff{};
            EXPECT_EQ(code->entry()(&buff, nullptr), std::uint64_t(links * filler + 40));
        }
    }
    std::printf("  worst chain of %d jumps: JIT %.3f s\n", links, worst);
    EXPECT_LT(worst, 60) << "the JIT's passes alone would take minutes";
}

}  // namespace
}  // namespace crema::test
