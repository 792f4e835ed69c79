// SPDX-License-Identifier: BSD-3-Clause
//
// DPDK's JIT by itself, without lowering: one probe per defect that a rule of lowering stands for.
// A probe says what the JIT does today; none of the rules breaks when a defect is repaired, so
// a DPDK without it is reported, not failed. What must hold is the second half of each probe: the
// same program through lowering gives the right result. Probes run in a child process, because
// some of them crash.
#include <algorithm>
#include <array>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <gtest/gtest.h>
#include <string>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include "lib/ebpf/lowering/dpdk_jit.h"
#include "lib/ebpf/lowering/lower.h"
#include "tests/support/asm.h"

namespace crema::test {
namespace {

// 1 when the stack is aligned as the ABI wants it at a call, else 0.
std::uint64_t stack_is_aligned(
    std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t) {
    return reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)) % 16 == 0 ? 1 : 0;
}

struct Probe {
    const char* name;
    std::vector<Insn> insns;
    std::uint64_t wanted;
    std::uint32_t stack_bytes = 0;
};

struct Observation {
    enum class Kind { result, refused, crashed, hung };
    Kind kind = Kind::refused;
    std::uint64_t r0 = 0;

    [[nodiscard]] std::string text() const {
        switch (kind) {
            case Kind::result:
                return "gives " + std::to_string(r0);
            case Kind::refused:
                return "refuses it";
            case Kind::crashed:
                return "crashes";
            case Kind::hung:
                return "does not end";
        }
        return {};
    }
};

// Runs `work` in a child; it leaves its observation in shared memory.
template <typename Work>
Observation in_child(Work&& work) {
    void* shared = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    auto* seen = new (shared) Observation{};
    const pid_t child = fork();
    if (child == 0) {
        alarm(2);
        *seen = work();
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    Observation observation = *seen;
    munmap(shared, 4096);
    if (WIFSIGNALED(status)) {
        observation.kind =
            WTERMSIG(status) == SIGALRM ? Observation::Kind::hung : Observation::Kind::crashed;
    }
    return observation;
}

Observation run_code(const ebpf::lowering::Lowered& lowered) {
    auto code = ebpf::lowering::compile(lowered);
    if (!code) {
        return {};
    }
    ebpf::XdpBuff buff{};
    return {Observation::Kind::result, code->entry()(&buff, nullptr)};
}

ebpf::lowering::Lowered one_function(std::vector<Insn> insns,
                                     std::vector<ebpf::helpers::Native> natives,
                                     std::uint32_t stack_bytes) {
    ebpf::lowering::Lowered lowered;
    lowered.functions.push_back({.insns = std::move(insns),
                                 .origins = {},
                                 .natives = std::move(natives),
                                 .callees = {},
                                 .addresses = {},
                                 .stack_bytes = stack_bytes});
    return lowered;
}

Observation directly(const Probe& probe) {
    return in_child([&] { return run_code(one_function(probe.insns, {}, probe.stack_bytes)); });
}

Result<ebpf::lowering::Lowered> lower_all(const std::vector<Insn>& insns,
                                          std::uint32_t stack_bytes) {
    ebpf::Program program;
    program.insns = insns;
    ebpf::verifier::Proof proof;
    proof.stack_bytes = stack_bytes;
    proof.insns.resize(insns.size());
    for (auto& facts : proof.insns) {
        facts.reachable = true;
    }
    return ebpf::lowering::lower(program, proof);
}

Observation lowered(const Probe& probe) {
    return in_child([&]() -> Observation {
        auto result = lower_all(probe.insns, probe.stack_bytes);
        return result ? run_code(*result) : Observation{};
    });
}

// A countdown whose body is `bytes_of_constants` instructions of 10 bytes and `adds` of 3 or 4:
// the jump back is then about -127 bytes for some of them.
Probe loop_of(int constants, int adds, int short_adds) {
    Probe probe{"loop of about 127 bytes", {mov_k(0, 0), mov_k(1, 3)}, 3, 0};
    for (int i = 0; i < constants; i++) {
        probe.insns.push_back(insn(op::kLdImm64, 2, 0, 0, -1));
        probe.insns.push_back(insn(0, 0, 0, 0, 0x7fffffff));
    }
    for (int i = 0; i < adds; i++) {
        probe.insns.push_back(insn(op::kAlu64 | op::kAdd, 2, 0, 0, 1));
    }
    for (int i = 0; i < short_adds; i++) {
        probe.insns.push_back(alu32(op::kAdd, 2, 2));
    }
    probe.insns.push_back(insn(op::kAlu64 | op::kAdd, 0, 0, 0, 1));
    probe.insns.push_back(insn(op::kAlu64 | op::kAdd, 1, 0, 0, -1));
    const auto back = -static_cast<int>(probe.insns.size() - 1);
    probe.insns.push_back(insn(op::kJmp | op::kJne, 1, 0, back, 0));
    probe.insns.push_back(exit_insn());
    return probe;
}

std::vector<Probe> probes() {
    const std::int64_t low = static_cast<std::int32_t>(0x90abcdef);
    return {
        {"JSET with a one-byte immediate",
         {mov_k(1, -1), mov_k(0, 7), insn(op::kJmp | op::kJset, 1, 0, 1, 1), mov_k(0, 9),
          exit_insn()},
         7},
        {"division by a zero register",
         {mov_k(0, 5), mov_k(1, 0), alu(op::kDiv, 0, 1), insn(op::kAlu64 | op::kAdd, 0, 0, 0, 100),
          exit_insn()},
         100},
        {"remainder of a zero register",
         {mov_k(0, 5), mov_k(1, 0), alu(op::kMod, 0, 1), insn(op::kAlu64 | op::kAdd, 0, 0, 0, 100),
          exit_insn()},
         105},
        {"32-bit division damages r0",
         {insn(op::kLdImm64, 0, 0, 0, low), insn(0, 0, 0, 0, 0x12345678), mov_k(2, 9), mov_k(3, 3),
          alu32(op::kDiv, 2, 3), exit_insn()},
         0x1234567890abcdef},
        {"r0 /= r0", {mov_k(0, 77), alu(op::kDiv, 0, 0), exit_insn()}, 1},
        {"w3 %= w3", {mov_k(3, 77), alu32(op::kMod, 3, 3), alu(op::kMov, 0, 3), exit_insn()}, 0},
        {"r1 <<= r1",
         {mov_k(4, 1), mov_k(1, 3), alu(op::kLsh, 1, 1), alu(op::kMov, 0, 1), alu(op::kAdd, 0, 4),
          exit_insn()},
         25},
        {"byte store of r10",
         {alu(op::kMov, 1, 10), insn(op::kStx | op::kMem | op::kB, 10, 10, -8, 0),
          insn(op::kLdx | op::kMem | op::kB, 0, 10, -8, 0),
          insn(op::kAlu64 | op::kAnd, 1, 0, 0, 0xff), alu(op::kXor, 0, 1), exit_insn()},
         0,
         8},
        {"32-bit compare",
         {insn(op::kLdImm64, 1, 0, 0, 5), insn(0, 0, 0, 0, 1), mov_k(0, 1),
          insn(op::kJmp32 | op::kJeq, 1, 0, 1, 5), mov_k(0, 2), exit_insn()},
         1},
        {"32-bit arithmetic shift",
         {mov_k(0, -8), insn(op::kAlu | op::kArsh, 0, 0, 0, 1), exit_insn()},
         0xfffffffc},
    };
}

TEST(JitDefects, LoweringGivesTheRightResultWhateverTheJitDoes) {
    for (const Probe& probe : probes()) {
        const Observation today = directly(probe);
        const bool right = today.kind == Observation::Kind::result && today.r0 == probe.wanted;
        std::printf("  %-32s wanted %llu, the JIT alone %s%s\n", probe.name,
                    static_cast<unsigned long long>(probe.wanted), today.text().c_str(),
                    right ? ": repaired" : "");
        const Observation ours = lowered(probe);
        EXPECT_EQ(ours.kind, Observation::Kind::result) << probe.name << ": " << ours.text();
        EXPECT_EQ(ours.r0, probe.wanted) << probe.name;
    }
}

TEST(JitDefects, BackwardJumpsOfEveryLengthAroundTheShortLimit) {
    int defects = 0;
    for (int constants = 9; constants <= 12; constants++) {
        for (int adds = 0; adds < 5; adds++) {
            for (int short_adds = 0; short_adds < 4; short_adds++) {
                const Probe probe = loop_of(constants, adds, short_adds);
                const Observation today = directly(probe);
                defects +=
                    today.kind != Observation::Kind::result || today.r0 != probe.wanted ? 1 : 0;
                const Observation ours = lowered(probe);
                EXPECT_EQ(ours.kind, Observation::Kind::result) << ours.text();
                EXPECT_EQ(ours.r0, probe.wanted)
                    << constants << " constants, " << adds << "+" << short_adds << " adds";
            }
        }
    }
    std::printf("  the JIT alone gets %d of 80 loops wrong\n", defects);
}

// Calls with every combination of callee-saved registers and stack sizes.
TEST(JitDefects, HelpersAreCalledWithAnAlignedStack) {
    int misaligned = 0;
    for (int saved = 0; saved < 16; saved++) {
        for (std::uint32_t stack = 8; stack <= 32; stack += 8) {
            std::vector<Insn> insns = {insn(op::kSt | op::kMem | op::kDw, 10, 0, -8, 0)};
            for (int reg = 0; reg < 4; reg++) {
                if ((saved & (1 << reg)) != 0) {
                    insns.push_back(mov_k(6 + reg, reg));
                }
            }
            insns.push_back(insn(op::kJmp | op::kCall, 0, 0, 0, 0));
            insns.push_back(exit_insn());
            const Observation today =
                in_child([&] { return run_code(one_function(insns, {stack_is_aligned}, stack)); });
            misaligned += today.kind == Observation::Kind::result && today.r0 == 1 ? 0 : 1;

            // Through lowering: a served helper, then our probe in its place.
            insns[insns.size() - 2] = insn(op::kJmp | op::kCall, 0, 0, 0, 23);
            const Observation ours = in_child([&]() -> Observation {
                auto result = lower_all(insns, stack);
                if (!result) {
                    return {};
                }
                result->functions[0].natives = {stack_is_aligned};
                return run_code(*result);
            });
            EXPECT_EQ(ours.kind, Observation::Kind::result) << ours.text();
            EXPECT_EQ(ours.r0, 1U) << "saved registers " << saved << ", stack " << stack;
        }
    }
    std::printf("  the JIT alone misaligns the stack in %d of 64 programs\n", misaligned);
}

// The same one and two calls deeper: in a function of the program that is called, and in one that
// a native function calls.
TEST(JitDefects, FunctionsCallHelpersWithAnAlignedStack) {
    for (int saved = 0; saved < 16; saved++) {
        for (std::uint32_t stack = 8; stack <= 24; stack += 8) {
            std::vector<Insn> insns;
            insns.push_back(insn(op::kSt | op::kMem | op::kDw, 10, 0, -8, 0));
            insns.push_back(insn(op::kAlu64 | op::kMov, 1 + saved % 3, 0, 0, 1));
            insns.push_back(insn(op::kJmp | op::kCall, 0, op::kPseudoCall, 0, 1));
            insns.push_back(exit_insn());
            const std::size_t callee = insns.size();
            for (int reg = 0; reg < 4; reg++) {
                if ((saved & (1 << reg)) != 0) {
                    insns.push_back(mov_k(6 + reg, reg));
                }
            }
            insns.push_back(insn(op::kSt | op::kMem | op::kDw, 10, 0, -8, 0));
            insns.push_back(insn(op::kJmp | op::kCall, 0, 0, 0, 5));
            insns.push_back(exit_insn());
            ebpf::Program program;
            program.insns = insns;
            program.functions.resize(2);
            program.functions[0].end = static_cast<std::uint32_t>(callee);
            program.functions[1].first = static_cast<std::uint32_t>(callee);
            program.functions[1].end = static_cast<std::uint32_t>(insns.size());
            ebpf::verifier::Proof proof;
            proof.functions.resize(2);
            proof.functions[0].stack_bytes = proof.stack_bytes = stack;
            proof.functions[1].stack_bytes = 32 - stack;
            proof.insns.resize(insns.size());
            for (auto& facts : proof.insns) {
                facts.reachable = true;
            }
            proof.insns[2].function = 1;
            auto result = ebpf::lowering::lower(program, proof);
            ASSERT_TRUE(result) << result.error().message;
            ASSERT_EQ(result->functions.size(), 2U);
            ASSERT_EQ(result->functions[0].natives.size(), 1U) << "callees come first";
            result->functions[0].natives = {stack_is_aligned};
            const Observation called = in_child([&] { return run_code(*result); });
            EXPECT_EQ(called.kind, Observation::Kind::result) << called.text();
            EXPECT_EQ(called.r0, 1U) << "saved registers " << saved << ", stack " << stack;
            const Observation from_native = in_child([&]() -> Observation {
                auto code = ebpf::lowering::compile(*result);
                if (!code) {
                    return {};
                }
                const auto callback =
                    reinterpret_cast<ebpf::helpers::Native>(code->functions()[0].address);
                return {Observation::Kind::result, callback(1, 2, 3, 4, 5)};
            });
            EXPECT_EQ(from_native.r0, 1U) << "saved registers " << saved << ", stack " << stack;
        }
    }
}

// Forward jumps only, many of them: the JIT's jump sizing starts from sizes that are too small.
// The same program through lowering must be right; how often the JIT alone is wrong is printed.
TEST(JitDefects, DenseForwardJumps) {
    int wrong = 0;
    constexpr int kPrograms = 400;
    for (int seed = 1; seed <= kPrograms; seed++) {
        std::uint64_t dice = static_cast<std::uint64_t>(seed) * 0x9e3779b97f4a7c15;
        const auto below = [&dice](std::uint64_t n) {
            dice = dice * 6364136223846793005 + 1442695040888963407;
            return static_cast<int>((dice >> 33) % n);
        };
        const int n = 20 + below(400);
        Probe probe{"forward jumps", {mov_k(0, 0), mov_k(2, below(1000))}, 0, 0};
        std::vector<int> off(static_cast<std::size_t>(n));
        std::vector<int> bit(static_cast<std::size_t>(n));
        std::uint64_t r0 = 0;
        const auto r2 = static_cast<std::uint64_t>(probe.insns[1].imm);
        for (int i = 0; i < n; i++) {
            off[static_cast<std::size_t>(i)] =
                below(std::min<std::uint64_t>(40, static_cast<std::uint64_t>(n - i)));
            bit[static_cast<std::size_t>(i)] = below(10);
            // if (r2 >= 100 * bit) skip `off` pairs; r0 += 1
            probe.insns.push_back(insn(op::kJmp | op::kJge, 2, 0,
                                       2 * off[static_cast<std::size_t>(i)] + 1,
                                       100 * bit[static_cast<std::size_t>(i)]));
            probe.insns.push_back(insn(op::kAlu64 | op::kAdd, 0, 0, 0, 1));
        }
        probe.insns.push_back(exit_insn());
        for (int i = 0; i < n; i++) {
            if (r2 >= 100U * static_cast<std::uint64_t>(bit[static_cast<std::size_t>(i)])) {
                i += off[static_cast<std::size_t>(i)];
            } else {
                r0++;
            }
        }
        probe.wanted = r0;
        const Observation today = directly(probe);
        wrong += today.kind != Observation::Kind::result || today.r0 != probe.wanted ? 1 : 0;
        const Observation ours = lowered(probe);
        EXPECT_EQ(ours.kind, Observation::Kind::result) << "seed " << seed << ": " << ours.text();
        EXPECT_EQ(ours.r0, probe.wanted) << "seed " << seed;
    }
    std::printf("  the JIT alone gets %d of %d programs wrong\n", wrong, kPrograms);
}

// Opcodes that the JIT takes, of all 256, as the rules of lowering were made for. One that it no
// longer takes breaks us; one that it takes now is news.
TEST(JitDefects, TakesTheOpcodesThatLoweringEmits) {
    const auto taken = [](int code) {
        return in_child([code] {
            std::vector<Insn> insns = {
                mov_k(0, 1), mov_k(1, 1), alu(op::kMov, 2, 10),
                insn(code, 1, 2, 0, code == (op::kJmp | op::kCall) ? 0 : 16)};
            insns.push_back(code == op::kLdImm64 ? insn(0, 0, 0, 0, 0) : mov_k(0, 0));
            insns.push_back(exit_insn());
            auto compiled = ebpf::lowering::compile(one_function(insns, {stack_is_aligned}, 16));
            return Observation{compiled ? Observation::Kind::result : Observation::Kind::refused,
                               1};
        });
    };
    std::vector<int> emitted = {op::kLdImm64,
                                op::kJmp | op::kJa,
                                op::kJmp | op::kCall,
                                op::kJmp | op::kExit,
                                op::kAlu64 | op::kArsh,
                                op::kAlu64 | op::kX | op::kArsh,
                                op::kAlu64 | op::kNeg,
                                op::kAlu | op::kNeg,
                                op::kAlu | op::kEnd,
                                op::kAlu | op::kEnd | op::kX,
                                op::kStx | op::kAtomic | op::kW,
                                op::kStx | op::kAtomic | op::kDw};
    for (const int cls : {int{op::kAlu}, int{op::kAlu64}}) {
        for (const int operation : {op::kAdd, op::kSub, op::kMul, op::kDiv, op::kOr, op::kAnd,
                                    op::kLsh, op::kRsh, op::kMod, op::kXor, op::kMov}) {
            emitted.push_back(cls | operation);
            emitted.push_back(cls | operation | op::kX);
        }
    }
    for (const int operation : {op::kJeq, op::kJgt, op::kJge, op::kJset, op::kJne, op::kJsgt,
                                op::kJsge, op::kJlt, op::kJle, op::kJslt, op::kJsle}) {
        emitted.push_back(op::kJmp | operation);
        emitted.push_back(op::kJmp | operation | op::kX);
    }
    for (const int size : {op::kB, op::kH, op::kW, op::kDw}) {
        emitted.push_back(op::kLdx | op::kMem | size);
        emitted.push_back(op::kSt | op::kMem | size);
        emitted.push_back(op::kStx | op::kMem | size);
    }
    int more = 0;
    for (int code = 0; code < 256; code++) {
        const bool wanted = std::find(emitted.begin(), emitted.end(), code) != emitted.end();
        const bool now = taken(code).kind == Observation::Kind::result;
        if (wanted) {
            EXPECT_TRUE(now) << "opcode " << code << ": the JIT refuses what lowering emits";
        } else if (now) {
            more++;
            std::printf("  opcode %#04x is taken, too; lowering does not emit it\n", code);
        }
    }
    std::printf("  %zu opcodes are emitted, the JIT takes %d more\n", emitted.size(), more);
}

}  // namespace
}  // namespace crema::test
