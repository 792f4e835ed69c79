// SPDX-License-Identifier: BSD-3-Clause
//
// How long the verifier takes for a program of 25,000 instructions, beside the kernel for the same
// one. The program is made of the pieces that XDP programs are made of: headers checked against
// data_end, branches on what they say, counters in maps behind a null check, spills, short loops.
// The twin is a whole PROG_LOAD, which compiles as well; the time of both is that of this thread.
#include <benchmark/benchmark.h>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "benchmarks/common/machine.h"
#include "lib/ebpf/maps/map.h"
#include "lib/ebpf/verifier/verify.h"
#include "tests/support/asm.h"
#include "tests/support/kernel_verifier.h"

namespace {

using namespace crema::test;
namespace ebpf = crema::ebpf;

constexpr std::size_t kInsns = 25'000;
constexpr int kLookup = 1, kCounters = 0;

void append(std::vector<Insn>& to, const Code& code) {
    to.insert(to.end(), code.insns().begin(), code.insns().end());
}

/// r6 = context, kept by every piece; each leaves the other registers to the next.
Code headers(int port) {
    return {load(op::kW, 2, 6, 0),
            load(op::kW, 3, 6, 4),
            mov(4, 2),
            add_k(4, 54),
            jump(op::kJgt, 4, 3, 12),
            load(op::kH, 5, 2, 12),
            jump_k(op::kJne, 5, 8, 10),
            load(op::kB, 5, 2, 14),
            alu_k(op::kAnd, 5, 15),
            alu_k(op::kLsh, 5, 2),
            jump_k(op::kJlt, 5, 20, 6),
            alu(op::kAdd, 2, 5),
            mov(4, 2),
            add_k(4, 18),
            jump(op::kJgt, 4, 3, 2),
            load(op::kH, 7, 2, 16),
            jump_k(op::kJeq, 7, port, 0)};
}

Code count(int key) {
    return {store_k(op::kW, 10, -4, key), mov(2, 10),    add_k(2, -4),
            ld_map(1, kCounters),         call(kLookup), jump_k(op::kJeq, 0, 0, 3),
            load(op::kDw, 1, 0, 0),       add_k(1, 1),   store(op::kDw, 0, 0, 1)};
}

/// Adds up eight bytes of the packet, with the sum in the frame.
Code sum() {
    return {load(op::kW, 2, 6, 0),
            load(op::kW, 3, 6, 4),
            mov_k(1, 0),
            mov_k(5, 0),
            store(op::kDw, 10, -16, 1),
            mov(4, 2),
            add_k(4, 1),
            jump(op::kJgt, 4, 3, 7),
            load(op::kB, 0, 2, 0),
            load(op::kDw, 1, 10, -16),
            alu(op::kAdd, 1, 0),
            store(op::kDw, 10, -16, 1),
            add_k(2, 1),
            add_k(5, 1),
            jump_k(op::kJlt, 5, 8, -10)};
}

ebpf::Program make_program() {
    std::vector<Insn> insns{mov(6, 1)};
    for (int n = 0; insns.size() < kInsns - 50; ++n) {
        append(insns, headers(n & 0xffff));
        append(insns, count(n % 64 + 32));  // some keys lie outside: the null check stays
        if (n % 4 == 0) {
            append(insns, sum());
        }
    }
    append(insns, {mov_k(0, 2), exit_insn()});
    ebpf::Program program = program_of(insns);
    auto map = ebpf::maps::create({ebpf::maps::MapType::array, 4, 8, 64, 0, "counters"});
    if (!map) {
        (void)std::fprintf(stderr, "bench: %s\n", map.error().message.c_str());
        std::exit(1);
    }
    program.maps = {*map};
    return program;
}

double seconds_since(std::uint64_t start_ns) {
    return static_cast<double>(crema::bench::cpu_time_ns() - start_ns) / 1e9;
}

void ours(benchmark::State& state, const ebpf::Program& program) {
    std::uint64_t processed = 0;
    for (auto _ : state) {
        const std::uint64_t start = crema::bench::cpu_time_ns();
        const auto proof = ebpf::verifier::verify(program, {});
        state.SetIterationTime(seconds_since(start));
        if (!proof) {
            state.SkipWithError(proof.error().message.c_str());
            return;
        }
        processed = proof->processed_insns;
    }
    state.counters["insns"] = static_cast<double>(program.insns.size());
    state.counters["processed"] = static_cast<double>(processed);
}

void kernel(benchmark::State& state, const ebpf::Program& program) {
    if (!kernel_verifier_available()) {
        state.SkipWithError("bpf(2) PROG_LOAD is not permitted here");
        return;
    }
    const KernelVerifier verifier(program.maps);
    KernelVerdict verdict;
    for (auto _ : state) {
        const std::uint64_t start = crema::bench::cpu_time_ns();
        verdict = verifier.judge(program);
        state.SetIterationTime(seconds_since(start));
        if (!verdict.accepted) {
            state.SkipWithError(verdict.reason.substr(0, 200).c_str());
            return;
        }
    }
    state.counters["insns"] = static_cast<double>(program.insns.size());
    state.counters["processed"] = static_cast<double>(verdict.processed_insns);
}

}  // namespace

int main(int argc, char** argv) {
    const ebpf::Program program = make_program();
    benchmark::RegisterBenchmark("verify/crema", [&](benchmark::State& s) { ours(s, program); })
        ->UseManualTime()
        ->Unit(benchmark::kMillisecond);
    benchmark::RegisterBenchmark("verify/kernel", [&](benchmark::State& s) { kernel(s, program); })
        ->UseManualTime()
        ->Unit(benchmark::kMillisecond);
    return crema::bench::run_benchmarks(argc, argv, "verification of 25,000 instructions");
}
