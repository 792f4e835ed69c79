// SPDX-License-Identifier: BSD-3-Clause
//
// Compiled programs, nanoseconds per packet: the same object, the same packet, a million runs on
// one buffer, in Crema (xdp::test_run) and in the kernel (BPF_PROG_TEST_RUN), and the empty program
// `pass` beside each, which is what the loop around a program costs on that side. No port, no
// driver, no model: the program alone. Per packet both sides set the context up and call the code.
#include <benchmark/benchmark.h>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "apps/common/kernel_program.h"
#include "benchmarks/common/machine.h"
#include "lib/ebpf/loader/object.h"
#include "lib/xdp/test_run.h"
#include "tests/support/frame_builder.h"

namespace {

using crema::test::Bytes;

constexpr std::uint32_t kRepeat = 1'000'000;  // packets per call

struct Case {
    const char* name;
    Bytes packet;
    std::uint32_t verdict;  // of every run on one buffer: ssh_mirror swaps back and forth
};

/// 64 bytes each, without FCS.
std::vector<Case> cases() {
    using crema::test::ethernet;
    using crema::test::filler;
    using crema::test::ipv4;
    using crema::test::kIpv4;
    using crema::test::kTcp;
    using crema::test::kUdp;
    using crema::test::tcp;
    using crema::test::udp;
    const Bytes ssh = ethernet(kIpv4, ipv4(kTcp, tcp(40000, 22, filler(10))));
    const Bytes dns = ethernet(kIpv4, ipv4(kUdp, udp(40000, 53, filler(22))));
    return {
        {"pass", ssh, 2},
        {"drop", ssh, 1},
        {"ssh_mirror", ssh, 3},
        {"proto_counters", dns, 2},
    };
}

std::string path_of(const Case& program) {
    return std::string(CREMA_BPF_DIR) + "/" + program.name + ".bpf.o";
}

/// Times calls of a million runs each. Not by what the two sides report: they round the mean of a
/// run to whole nanoseconds, which is half of what a small program takes. CPU time: what other
/// processes take of the core does not count.
template <typename MillionRuns>
void measure(benchmark::State& state, const Case& program, MillionRuns million_runs) {
    std::uint64_t total_ns = 0;
    std::uint64_t calls = 0;
    for (auto _ : state) {
        const std::uint64_t start = crema::bench::cpu_time_ns();
        const auto verdict = million_runs();
        const std::uint64_t took_ns = crema::bench::cpu_time_ns() - start;
        if (verdict != program.verdict) {
            state.SkipWithError("another verdict than expected");
            return;
        }
        state.SetIterationTime(static_cast<double>(took_ns) * 1e-9);
        total_ns += took_ns;
        ++calls;
    }
    state.counters["ns_per_packet"] =
        static_cast<double>(total_ns) / (static_cast<double>(calls) * kRepeat);
}

void crema_run(benchmark::State& state, const Case& program) {
    const auto object = crema::ebpf::loader::Object::load(path_of(program));
    if (!object) {
        state.SkipWithError(object.error().message.c_str());
        return;
    }
    const auto loaded = object->program(program.name);
    measure(state, program, [&] {
        const auto result = crema::xdp::test_run(**loaded, program.packet, 1, kRepeat);
        return result ? result->retval : UINT32_MAX;
    });
}

void kernel_run(benchmark::State& state, const Case& program) {
    const auto loaded = crema::app::KernelProgram::load(path_of(program), program.name);
    if (!loaded) {
        state.SkipWithError(loaded.error().message.c_str());
        return;
    }
    measure(state, program, [&] {
        const auto verdict = (*loaded)->time(program.packet, kRepeat);
        return verdict ? *verdict : UINT32_MAX;
    });
}

}  // namespace

int main(int argc, char** argv) {
    const std::vector<std::uint32_t> cpus = crema::bench::allowed_cpus();
    if (const auto pinned = crema::bench::pin_this_thread(cpus.front()); !pinned) {
        (void)std::fprintf(stderr, "bench: %s\n", pinned.error().message.c_str());
        return 1;
    }
    static const std::vector<Case> all = cases();
    for (const Case& program : all) {
        benchmark::RegisterBenchmark((std::string("BM_Program/") + program.name + "/crema").c_str(),
                                     crema_run, program)
            ->UseManualTime();
        benchmark::RegisterBenchmark(
            (std::string("BM_Program/") + program.name + "/kernel").c_str(), kernel_run, program)
            ->UseManualTime();
    }
    return crema::bench::run_benchmarks(
        argc, argv, "programs alone, 64-byte packet, one million runs per call");
}
