// SPDX-License-Identifier: BSD-3-Clause
//
// What one call of a helper costs, beside the same call in the kernel: programs that call it
// sixteen times in a row, net of the program that does everything but call. Both sides run their
// own test run in turns, so that what the machine does to one it does to the other. The setting of
// arguments counts as part of the call on neither side: the empty twin sets them, too.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unistd.h>
#include <vector>

#include <linux/bpf.h>

#include "benchmarks/common/machine.h"
#include "lib/base/unique_fd.h"
#include "lib/ebpf/syscall/serve.h"
#include "lib/ebpf/syscall/session.h"
#include "lib/xdp/test_run.h"
#include "tests/support/asm.h"
#include "tests/support/kernel_bpf.h"

namespace crema::bench {
namespace {

using test::Code;
namespace op = ebpf::op;

constexpr int kCalls = 16;
constexpr std::uint32_t kMemoryBytes = 2048;

struct Case {
    const char* name;
    int helper;
    bool in_mean = false;  // of those that programs call per packet
    /// Arguments of call number i; r6 is the context.
    Code (*arguments)(int i);
};

Code memory(int reg, int offset) {
    return test::ld_map_value(reg, 0, offset);
}

Code checksum_of(int bytes) {
    return {test::mov_k(1, 0), test::mov_k(2, 0), memory(3, 0), test::mov_k(4, bytes),
            test::mov_k(5, 0)};
}

// There and back again, so that the frame stays as it is.
Code there_and_back(int i, int bytes) {
    return {test::mov(1, 6), test::mov_k(2, i % 2 == 0 ? -bytes : bytes)};
}

Code whole_frame(int bytes) {
    return {test::mov(1, 6), test::mov_k(2, 14), memory(3, 0), test::mov_k(4, bytes)};
}

constexpr Case kCases[] = {
    {"csum_diff, 4 bytes", 28, true, [](int) { return checksum_of(4); }},
    {"csum_diff, 20 bytes", 28, true, [](int) { return checksum_of(20); }},
    {"csum_diff, 64 bytes", 28, true, [](int) { return checksum_of(64); }},
    {"csum_diff, 1500 bytes", 28, true, [](int) { return checksum_of(1500); }},
    {"xdp_adjust_head", 44, true, [](int i) { return there_and_back(i, 4); }},
    {"xdp_adjust_meta", 54, true, [](int i) { return there_and_back(i, 4); }},
    {"xdp_adjust_tail", 65, true, [](int i) { return there_and_back(i, 4); }},
    {"xdp_get_buff_len", 188, false, [](int) { return Code{test::mov(1, 6)}; }},
    {"xdp_load_bytes, 16 bytes", 189, true, [](int) { return whole_frame(16); }},
    {"xdp_store_bytes, 16 bytes", 190, true, [](int) { return whole_frame(16); }},
    {"redirect", 23, true,
     [](int) {
         return Code{test::mov_k(1, 1), test::mov_k(2, 0)};
     }},
    {"ktime_get_ns", 5, false, [](int) { return Code{}; }},
    {"ktime_get_coarse_ns", 160, false, [](int) { return Code{}; }},
    {"jiffies64", 118, false, [](int) { return Code{}; }},
    {"get_prandom_u32", 7, false, [](int) { return Code{}; }},
    {"get_smp_processor_id", 8, false, [](int) { return Code{}; }},
};

Code program_of(const Case& one, bool with_calls) {
    Code code = {test::mov(6, 1)};
    for (int i = 0; i < kCalls; ++i) {
        code = Code{code, one.arguments(i)};
        if (with_calls) {
            code = Code{code, test::call(one.helper)};
        }
    }
    return {code, test::mov_k(0, 2), test::exit_insn()};
}

/// One program on both sides.
class Program {
  public:
    explicit Program(const Code& code) {
        kernel_map_ = test::kernel::create_map({.type = ebpf::maps::MapType::array,
                                                .key_size = 4,
                                                .value_size = kMemoryBytes,
                                                .max_entries = 1,
                                                .flags = 0,
                                                .name = "memory"});
        const int maps[] = {kernel_map_};
        kernel_ = test::kernel::load_xdp(test::program_of(code), maps, &log_);
        load_into_crema(code.insns());
    }

    Program(const Program&) = delete;
    Program& operator=(const Program&) = delete;

    ~Program() {
        ::close(kernel_);
        ::close(kernel_map_);
    }

    [[nodiscard]] bool is_loaded() const { return kernel_ >= 0 && crema_ != nullptr; }

    [[nodiscard]] const std::string& log() const { return log_; }

    // Time on the core, not on the wall: others may want the core, too.

    [[nodiscard]] double crema_ns(const std::vector<std::uint8_t>& packet,
                                  std::uint32_t repeat) const {
        const std::uint64_t start = cpu_time_ns();
        const auto run = xdp::test_run(*crema_, packet, 1, repeat);
        return run ? static_cast<double>(cpu_time_ns() - start) / repeat : does_not_run("Crema");
    }

    [[nodiscard]] double kernel_ns(const std::vector<std::uint8_t>& packet,
                                   std::uint32_t repeat) const {
        const std::uint64_t start = cpu_time_ns();
        const test::kernel::Run run = test::kernel::test_run(kernel_, packet, repeat);
        return run.error == 0 ? static_cast<double>(cpu_time_ns() - start) / repeat
                              : does_not_run("the kernel");
    }

  private:
    [[noreturn]] static double does_not_run(const char* where) {
        (void)std::fprintf(stderr, "helpers_bench: %s does not run the program\n", where);
        std::exit(1);
    }

    void load_into_crema(std::vector<ebpf::Insn> insns) {
        const ebpf::syscall::Session session;
        bpf_attr create{};
        create.map_type = BPF_MAP_TYPE_ARRAY;
        create.key_size = 4;
        create.value_size = kMemoryBytes;
        create.max_entries = 1;
        const UniqueFd map(
            static_cast<int>(ebpf::syscall::serve(BPF_MAP_CREATE, &create, sizeof create)));
        for (std::size_t at = 0; at < insns.size(); ++at) {
            if (insns[at].code == op::kLdImm64) {
                insns[at].imm = map.get();
                ++at;
            }
        }
        bpf_attr load{};
        load.prog_type = BPF_PROG_TYPE_XDP;
        load.expected_attach_type = BPF_XDP;
        load.insns = reinterpret_cast<std::uint64_t>(insns.data());
        load.insn_cnt = static_cast<std::uint32_t>(insns.size());
        load.license = reinterpret_cast<std::uint64_t>("GPL");
        const UniqueFd fd(
            static_cast<int>(ebpf::syscall::serve(BPF_PROG_LOAD, &load, sizeof load)));
        if (fd.valid()) {
            crema_ = ebpf::syscall::program_of(fd.get());
        } else {
            log_ += session.refusal()->message;
        }
    }

    int kernel_map_ = -1;
    int kernel_ = -1;
    std::string log_;
    std::shared_ptr<const ebpf::LoadedProgram> crema_;
};

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

/// The median ratio (0: lost in noise), or nothing when a side does not load.
std::optional<double> measure(const Case& one, int rounds, std::uint32_t repeat) {
    const Program full(program_of(one, true));
    const Program empty(program_of(one, false));
    if (!full.is_loaded() || !empty.is_loaded()) {
        (void)std::fprintf(stderr, "helpers_bench: %s: %s%s\n", one.name, full.log().c_str(),
                           empty.log().c_str());
        return std::nullopt;
    }
    const std::vector<std::uint8_t> packet(64);
    std::vector<double> crema;
    std::vector<double> kernel;
    std::vector<double> ratios;
    for (int round = 0; round < rounds; ++round) {
        const double ours =
            (full.crema_ns(packet, repeat) - empty.crema_ns(packet, repeat)) / kCalls;
        const double theirs =
            (full.kernel_ns(packet, repeat) - empty.kernel_ns(packet, repeat)) / kCalls;
        crema.push_back(ours);
        kernel.push_back(theirs);
        ratios.push_back(theirs > 0 ? ours / theirs : 0);
    }
    const double ratio = median(ratios);
    std::printf("%-28s %8.2f %8.2f %8.2f (%.2f..%.2f)\n", one.name, median(crema), median(kernel),
                ratio, *std::min_element(ratios.begin(), ratios.end()),
                *std::max_element(ratios.begin(), ratios.end()));
    return ratio;
}

}  // namespace
}  // namespace crema::bench

int main(int argc, char** argv) {
    using namespace crema;
    const bool is_smoke = argc == 2 && std::string_view(argv[1]) == "--smoke";
    if (!test::kernel::available()) {
        std::printf("helpers_bench: bpf(2) is not permitted here: nothing to compare with\n");
        return 0;
    }
    if (const auto pinned = bench::pin_this_thread(bench::allowed_cpus().front()); !pinned) {
        (void)std::fprintf(stderr, "helpers_bench: %s\n", pinned.error().message.c_str());
        return 1;
    }
    std::printf("clock ratio %.2f; ns per call, net of the empty program; medians of rounds\n",
                bench::clock_ratio());
    std::printf("%-28s %8s %8s %8s\n", "helper", "crema", "kernel", "ratio");
    bool is_good = true;
    double logs = 0;
    int in_mean = 0;
    for (const bench::Case& one : bench::kCases) {
        // Short rounds: what else runs on the machine meets both sides alike.
        const auto ratio = bench::measure(one, is_smoke ? 1 : 21, is_smoke ? 1000 : 20'000);
        is_good &= ratio.has_value();
        if (one.in_mean && ratio.value_or(0) > 0) {
            logs += std::log(*ratio);
            in_mean++;
        }
    }
    std::printf("geometric mean over %d that programs call per packet: %.2f\n", in_mean,
                in_mean > 0 ? std::exp(logs / in_mean) : 0);
    return is_good ? 0 : 1;
}
