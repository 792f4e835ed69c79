// SPDX-License-Identifier: BSD-3-Clause
//
// DPDK's JIT by itself, without lowering: one probe per defect that a rule of lowering stands for.
// A probe says what the JIT does today; none of the rules breaks when a defect is repaired, so
// a DPDK without it is reported, not failed. What must hold is the second half of each probe: the
// same program through lowering gives the right result. Probes run in a child process, because
// some of them crash.
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

namespace crema::test {
namespace {

using ebpf::Insn;
namespace op = ebpf::op;

Insn make(int code, int dst, int src, int off, std::int64_t imm) {
    return {.code = static_cast<std::uint8_t>(code),
            .dst = static_cast<std::uint8_t>(dst & 0xf),
            .src = static_cast<std::uint8_t>(src & 0xf),
            .off = static_cast<std::int16_t>(off),
            .imm = static_cast<std::int32_t>(imm)};
}

Insn mov(int dst, std::int64_t imm) {
    return make(op::kAlu64 | op::kMov, dst, 0, 0, imm);
}

Insn alu64(int operation, int dst, int src) {
    return make(op::kAlu64 | op::kX | operation, dst, src, 0, 0);
}

Insn alu32(int operation, int dst, int src) {
    return make(op::kAlu | op::kX | operation, dst, src, 0, 0);
}

Insn exit_insn() {
    return make(op::kJmp | op::kExit, 0, 0, 0, 0);
}

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
    Probe probe{"loop of about 127 bytes", {mov(0, 0), mov(1, 3)}, 3, 0};
    for (int i = 0; i < constants; i++) {
        probe.insns.push_back(make(op::kLdImm64, 2, 0, 0, -1));
        probe.insns.push_back(make(0, 0, 0, 0, 0x7fffffff));
    }
    for (int i = 0; i < adds; i++) {
        probe.insns.push_back(make(op::kAlu64 | op::kAdd, 2, 0, 0, 1));
    }
    for (int i = 0; i < short_adds; i++) {
        probe.insns.push_back(alu32(op::kAdd, 2, 2));
    }
    probe.insns.push_back(make(op::kAlu64 | op::kAdd, 0, 0, 0, 1));
    probe.insns.push_back(make(op::kAlu64 | op::kAdd, 1, 0, 0, -1));
    const auto back = -static_cast<int>(probe.insns.size() - 1);
    probe.insns.push_back(make(op::kJmp | op::kJne, 1, 0, back, 0));
    probe.insns.push_back(exit_insn());
    return probe;
}

std::vector<Probe> probes() {
    const std::int64_t low = static_cast<std::int32_t>(0x90abcdef);
    return {
        {"JSET with a one-byte immediate",
         {mov(1, -1), mov(0, 7), make(op::kJmp | op::kJset, 1, 0, 1, 1), mov(0, 9), exit_insn()},
         7},
        {"division by a zero register",
         {mov(0, 5), mov(1, 0), alu64(op::kDiv, 0, 1), make(op::kAlu64 | op::kAdd, 0, 0, 0, 100),
          exit_insn()},
         100},
        {"remainder of a zero register",
         {mov(0, 5), mov(1, 0), alu64(op::kMod, 0, 1), make(op::kAlu64 | op::kAdd, 0, 0, 0, 100),
          exit_insn()},
         105},
        {"32-bit division damages r0",
         {make(op::kLdImm64, 0, 0, 0, low), make(0, 0, 0, 0, 0x12345678), mov(2, 9), mov(3, 3),
          alu32(op::kDiv, 2, 3), exit_insn()},
         0x1234567890abcdef},
        {"r0 /= r0", {mov(0, 77), alu64(op::kDiv, 0, 0), exit_insn()}, 1},
        {"w3 %= w3", {mov(3, 77), alu32(op::kMod, 3, 3), alu64(op::kMov, 0, 3), exit_insn()}, 0},
        {"r1 <<= r1",
         {mov(4, 1), mov(1, 3), alu64(op::kLsh, 1, 1), alu64(op::kMov, 0, 1), alu64(op::kAdd, 0, 4),
          exit_insn()},
         25},
        {"byte store of r10",
         {alu64(op::kMov, 1, 10), make(op::kStx | op::kMem | op::kB, 10, 10, -8, 0),
          make(op::kLdx | op::kMem | op::kB, 0, 10, -8, 0),
          make(op::kAlu64 | op::kAnd, 1, 0, 0, 0xff), alu64(op::kXor, 0, 1), exit_insn()},
         0,
         8},
        {"32-bit compare",
         {make(op::kLdImm64, 1, 0, 0, 5), make(0, 0, 0, 0, 1), mov(0, 1),
          make(op::kJmp32 | op::kJeq, 1, 0, 1, 5), mov(0, 2), exit_insn()},
         1},
        {"32-bit arithmetic shift",
         {mov(0, -8), make(op::kAlu | op::kArsh, 0, 0, 0, 1), exit_insn()},
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
            std::vector<Insn> insns = {make(op::kSt | op::kMem | op::kDw, 10, 0, -8, 0)};
            for (int reg = 0; reg < 4; reg++) {
                if ((saved & (1 << reg)) != 0) {
                    insns.push_back(mov(6 + reg, reg));
                }
            }
            insns.push_back(make(op::kJmp | op::kCall, 0, 0, 0, 0));
            insns.push_back(exit_insn());
            const Observation today =
                in_child([&] { return run_code(one_function(insns, {stack_is_aligned}, stack)); });
            misaligned += today.kind == Observation::Kind::result && today.r0 == 1 ? 0 : 1;

            // Through lowering: a served helper, then our probe in its place.
            insns[insns.size() - 2] = make(op::kJmp | op::kCall, 0, 0, 0, 23);
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

}  // namespace
}  // namespace crema::test
