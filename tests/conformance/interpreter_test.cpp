// SPDX-License-Identifier: BSD-3-Clause
//
// Each instruction of the interpreter against the kernel's, on edge operands: arithmetic of all
// widths and forms, comparisons, sign-extending moves and loads, byte swaps, atomics, may_goto,
// functions. A program takes its operands from the packet and leaves its results there, so the
// packet after the run tells all. Both interpreters run: the trusting and the checked one.
#include "lib/ebpf/interpreter/interpreter.h"

#include <array>
#include <cstring>
#include <gtest/gtest.h>
#include <span>
#include <string>
#include <unistd.h>
#include <vector>

#include "lib/ebpf/interpreter/checked.h"
#include "lib/ebpf/program/disassemble.h"
#include "tests/support/asm.h"
#include "tests/support/edges.h"
#include "tests/support/kernel_bpf.h"
#include "tests/support/with_kernel.h"

namespace crema::test {
namespace {

constexpr std::size_t kWords = 4;  // operands, then results
using Words = std::array<std::uint64_t, kWords>;

constexpr std::int32_t kConstants[] = {1, 2, 7, 31, 0x7f, -1, -2, 0x7fffffff, INT32_MIN};

/// r2, r3, r0 and the stack word at r10-8 come from the packet and go back to it.
ebpf::Program program_around(const Code& code) {
    ebpf::Program program = program_of({load(op::kW, 6, 1, 0),
                                        load(op::kW, 7, 1, 4),
                                        mov(8, 6),
                                        add_k(8, 8 * kWords),
                                        jump(op::kJle, 8, 7, 2),
                                        mov_k(0, 1),
                                        exit_insn(),
                                        load(op::kDw, 2, 6, 24),
                                        store(op::kDw, 10, -8, 2),
                                        load(op::kDw, 2, 6, 0),
                                        load(op::kDw, 3, 6, 8),
                                        load(op::kDw, 0, 6, 16),
                                        code,
                                        store(op::kDw, 6, 0, 2),
                                        store(op::kDw, 6, 8, 3),
                                        store(op::kDw, 6, 16, 0),
                                        load(op::kDw, 2, 10, -8),
                                        store(op::kDw, 6, 24, 2),
                                        mov_k(0, 2),
                                        exit_insn()});
    program.name = "opcode";
    return program;
}

enum class Way { trusting, checked };

Words interpreted(const ebpf::interpreter::Image& image, const Words& operands, Way way) {
    std::array<std::uint8_t, 4096> page{};
    ebpf::XdpBuff buff{};
    buff.data_hard_start = page.data();
    buff.frame_sz = page.size();
    buff.data = buff.data_meta = page.data() + ebpf::kXdpHeadroom;
    buff.data_end = buff.data + sizeof(Words);
    buff.ingress_ifindex = 1;  // a test run's: the loopback device
    std::memcpy(buff.data, operands.data(), sizeof operands);
    if (way == Way::trusting) {
        EXPECT_EQ(ebpf::interpreter::run(&buff, &image), 2U);
    } else {
        const auto run =
            ebpf::interpreter::run_checked(image, buff, {.salt = operands[0], .observer = {}});
        EXPECT_FALSE(run.fault) << "instruction " << run.fault->slot << ": " << run.fault->what;
        EXPECT_EQ(run.r0, 2U);
    }
    Words results;
    std::memcpy(results.data(), buff.data, sizeof results);
    return results;
}

class InterpreterConformance : public WithKernel {
  protected:
    /// Runs `code` on all pairs of edges.
    static void compare(const Code& code) {
        const ebpf::Program program = program_around(code);
        const std::string text = ebpf::disassemble(
            code.insns().front(), code.insns().size() > 1 ? code.insns()[1].imm : 0);
        std::string log;
        const int fd = kernel::load_xdp(program, {}, &log);
        ASSERT_GE(fd, 0) << text << "\n" << log;
        const auto image = ebpf::interpreter::Image::prepare(program, nullptr);
        ASSERT_TRUE(image) << text << ": " << image.error().message;
        for (const std::uint64_t a : kEdges) {
            for (const std::uint64_t b : kEdges) {
                // r0 and the stack word: equal to an operand often enough for cmpxchg.
                const Words operands = {a, b, b ^ (a & 1), a};
                Words wanted{};
                const kernel::Run run = kernel::test_run(
                    fd, {reinterpret_cast<const std::uint8_t*>(operands.data()), sizeof operands},
                    1);
                ASSERT_EQ(run.error, 0) << text;
                ASSERT_EQ(run.packet.size(), sizeof wanted) << text;
                std::memcpy(wanted.data(), run.packet.data(), sizeof wanted);
                EXPECT_EQ(interpreted(**image, operands, Way::trusting), wanted)
                    << text << " on " << std::hex << a << " and " << b;
                EXPECT_EQ(interpreted(**image, operands, Way::checked), wanted)
                    << text << " on " << std::hex << a << " and " << b;
            }
        }
        ::close(fd);
    }
};

constexpr int kBinary[] = {op::kAdd, op::kSub, op::kMul, op::kDiv, op::kOr,  op::kAnd,
                           op::kLsh, op::kRsh, op::kMod, op::kXor, op::kMov, op::kArsh};

bool constant_fits(int operation, bool wide, std::int32_t constant) {
    const bool shift = operation == op::kLsh || operation == op::kRsh || operation == op::kArsh;
    return !shift || (constant >= 0 && constant < (wide ? 64 : 32));
}

TEST_F(InterpreterConformance, ArithmeticOnRegisters) {
    for (const int operation : kBinary) {
        compare(alu(operation, 2, 3));
        compare(alu32(operation, 2, 3));
        compare(alu(operation, 2, 2));
        compare(alu32(operation, 2, 2));
    }
    compare(insn(op::kAlu64 | op::kNeg, 2, 0, 0, 0));
    compare(insn(op::kAlu | op::kNeg, 2, 0, 0, 0));
}

TEST_F(InterpreterConformance, ArithmeticWithConstants) {
    for (const int operation : kBinary) {
        for (const std::int32_t constant : kConstants) {
            if (constant_fits(operation, true, constant)) {
                compare(alu_k(operation, 2, constant));
            }
            if (constant_fits(operation, false, constant)) {
                compare(alu32_k(operation, 2, constant));
            }
        }
    }
    compare(ld_imm64(2, 0x8000'0000'ffff'ffffULL));
}

TEST_F(InterpreterConformance, SignedDivision) {
    for (const int cls : {int{op::kAlu64}, int{op::kAlu}}) {
        for (const int operation : {int{op::kDiv}, int{op::kMod}}) {
            compare(insn(cls | op::kX | operation, 2, 3, op::kSigned, 0));
            compare(insn(cls | op::kX | operation, 2, 2, op::kSigned, 0));
            for (const std::int32_t constant : kConstants) {
                compare(insn(cls | operation, 2, 0, op::kSigned, constant));
            }
        }
    }
}

TEST_F(InterpreterConformance, SignExtendingMoves) {
    for (const int bits : {8, 16, 32}) {
        compare(insn(op::kAlu64 | op::kX | op::kMov, 2, 3, bits, 0));
        compare(insn(op::kAlu64 | op::kX | op::kMov, 2, 2, bits, 0));
    }
    for (const int bits : {8, 16}) {
        compare(insn(op::kAlu | op::kX | op::kMov, 2, 3, bits, 0));
    }
}

TEST_F(InterpreterConformance, ByteSwaps) {
    for (const int bits : {16, 32, 64}) {
        compare(insn(op::kAlu | op::kEnd, 2, 0, 0, bits));
        compare(insn(op::kAlu | op::kEnd | op::kX, 2, 0, 0, bits));
        compare(insn(op::kAlu64 | op::kEnd, 2, 0, 0, bits));
    }
}

TEST_F(InterpreterConformance, Comparisons) {
    constexpr int kComparisons[] = {op::kJeq,  op::kJgt, op::kJge, op::kJset, op::kJne, op::kJsgt,
                                    op::kJsge, op::kJlt, op::kJle, op::kJslt, op::kJsle};
    for (const int operation : kComparisons) {
        compare({jump(operation, 2, 3, 1), mov_k(2, 77)});
        compare({jump32(operation, 2, 3, 1), mov_k(2, 77)});
        for (const std::int32_t constant : {0, 1, 0x7f, -1, 0x7fffffff, INT32_MIN}) {
            compare({jump_k(operation, 2, constant, 1), mov_k(2, 77)});
            compare({jump32_k(operation, 2, constant, 1), mov_k(2, 77)});
        }
    }
}

TEST_F(InterpreterConformance, Jumps) {
    compare({jump_k(op::kJeq, 2, 0, 1), go(1), mov_k(2, 77), add_k(3, 1)});
    compare({jump_k(op::kJeq, 2, 0, 1), insn(op::kJmp32 | op::kJa, 0, 0, 0, 1), mov_k(2, 77),
             add_k(3, 1)});
    // A loop of r3 & 15 rounds, left by its own condition long before may_goto's bound.
    compare({alu_k(op::kAnd, 3, 15), insn(op::kJmp | op::kJcond, 0, 0, 3, 0), add_k(2, 3),
             add_k(3, -1), jump_k(op::kJsgt, 3, 0, -4)});
}

TEST_F(InterpreterConformance, LoadsAndStores) {
    for (const int size : {int{op::kB}, int{op::kH}, int{op::kW}, int{op::kDw}}) {
        for (const int off : {-8, -16}) {
            compare({store(op::kDw, 10, -16, 3), load(size, 2, 10, off)});
            compare(
                {store(op::kDw, 10, -16, 3), store(size, 10, off, 2), load(op::kDw, 3, 10, -16)});
            compare({store(op::kDw, 10, -16, 3), store_k(size, 10, off, -2),
                     load(op::kDw, 3, 10, -16)});
        }
        if (size != op::kDw) {
            compare(insn(op::kLdx | op::kMemSx | size, 2, 10, -8, 0));
            compare(insn(op::kLdx | op::kMemSx | size, 2, 6, 8, 0));
        }
    }
    // ingress_ifindex and rx_queue_index of a test run.
    compare(load(op::kW, 2, 1, 12));
    compare(load(op::kW, 2, 1, 16));
}

TEST_F(InterpreterConformance, Atomics) {
    for (const int size : {int{op::kW}, int{op::kDw}}) {
        const auto atomic = [size](int imm) {
            return insn(op::kStx | op::kAtomic | size, 10, 3, -8, imm);
        };
        for (const std::int32_t operation :
             {op::kAtomicAdd, op::kAtomicOr, op::kAtomicAnd, op::kAtomicXor}) {
            compare(atomic(operation));
            compare(atomic(operation | op::kFetch));
        }
        compare(atomic(op::kAtomicXchg));
        compare(atomic(op::kAtomicCmpxchg));
        // r0 equal to what the stack holds.
        compare({load(size, 0, 10, -8), atomic(op::kAtomicCmpxchg)});
    }
    for (const int size : {int{op::kB}, int{op::kH}, int{op::kW}, int{op::kDw}}) {
        compare(insn(op::kStx | op::kAtomic | size, 2, 10, -8, op::kLoadAcquire));
        compare(insn(op::kStx | op::kAtomic | size, 10, 3, -8, op::kStoreRelease));
    }
}

TEST_F(InterpreterConformance, Functions) {
    // The function behind the program's own code gets r1, r2 and a frame of its own, changes r6..r9
    // and a word of its caller's frame.
    ebpf::Program program = program_around({mov(1, 2), mov(2, 10), add_k(2, -8),
                                            insn(op::kJmp | op::kCall, 0, op::kPseudoCall, 0, 0),
                                            mov_k(2, 5), mov_k(3, 6)});
    const Code function = {store(op::kDw, 10, -8, 1),
                           load(op::kDw, 6, 2, 0),
                           mov(7, 6),
                           mov(8, 6),
                           mov(9, 6),
                           load(op::kW, 0, 10, -8),
                           alu(op::kAdd, 7, 0),
                           store(op::kDw, 2, 0, 7),
                           exit_insn()};
    program.insns.insert(program.insns.end(), function.insns().begin(), function.insns().end());
    std::string log;
    // Relative to the call, the function is as far as the tail of program_around is long.
    for (std::size_t at = 0; at < program.insns.size(); ++at) {
        if (program.insns[at].src == op::kPseudoCall &&
            program.insns[at].code == (op::kJmp | op::kCall)) {
            program.insns[at].imm =
                static_cast<std::int32_t>(program.insns.size() - function.insns().size() - at - 1);
        }
    }
    const int fd = kernel::load_xdp(program, {}, &log);
    ASSERT_GE(fd, 0) << log;
    const auto image = ebpf::interpreter::Image::prepare(program, nullptr);
    ASSERT_TRUE(image) << image.error().message;
    for (const std::uint64_t a : kEdges) {
        const Words operands = {a, ~a, a + 1, a - 1};
        const kernel::Run run = kernel::test_run(
            fd, {reinterpret_cast<const std::uint8_t*>(operands.data()), sizeof operands}, 1);
        ASSERT_EQ(run.error, 0);
        Words wanted{};
        std::memcpy(wanted.data(), run.packet.data(), sizeof wanted);
        EXPECT_EQ(interpreted(**image, operands, Way::trusting), wanted) << std::hex << a;
        EXPECT_EQ(interpreted(**image, operands, Way::checked), wanted) << std::hex << a;
    }
    ::close(fd);
}

}  // namespace
}  // namespace crema::test
