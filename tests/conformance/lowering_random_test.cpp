// SPDX-License-Identifier: BSD-3-Clause
//
// Random programs, loaded and run by the running kernel and by us (verifier, lowering, JIT):
// verdict, packet and map contents must be equal. A program that the kernel's verifier finds too
// complex is left out; one that the kernel takes and ours refuses is a failure. Length
// and seed: tests/support/rounds.h.
#include <cstring>
#include <gtest/gtest.h>
#include <random>
#include <sched.h>
#include <string>
#include <unistd.h>
#include <vector>

#include "lib/ebpf/lowering/dpdk_jit.h"
#include "lib/ebpf/lowering/lower.h"
#include "lib/ebpf/maps/map.h"
#include "lib/ebpf/verifier/verify.h"
#include "tests/support/kernel_bpf.h"
#include "tests/support/random_bench.h"
#include "tests/support/random_functions.h"
#include "tests/support/random_program.h"
#include "tests/support/rounds.h"
#include "tests/support/with_kernel.h"

namespace crema::test {
namespace {

// The calling thread stays on the CPU it is on: test runs use the array of that CPU.
std::uint32_t stay_on_this_cpu() {
    const int cpu = sched_getcpu();
    cpu_set_t only;
    CPU_ZERO(&only);
    CPU_SET(static_cast<std::size_t>(cpu), &only);
    sched_setaffinity(0, sizeof only, &only);
    return static_cast<std::uint32_t>(cpu);
}

class KernelSide {
  public:
    KernelSide(const RandomMaps& maps, std::uint32_t cpu)
        : maps_{maps.array.get(), maps.percpu_array.get()}, cpu_(cpu) {
        for (const auto* map : maps_) {
            fds_.push_back(kernel::create_map(map->spec()));
        }
    }

    KernelSide(const KernelSide&) = delete;
    KernelSide& operator=(const KernelSide&) = delete;

    ~KernelSide() {
        for (const int fd : fds_) {
            ::close(fd);
        }
    }

    // False: the kernel refuses the program.
    bool run(const ebpf::Program& program,
             std::span<const std::uint8_t> packet,
             BenchOutcome* outcome,
             std::string* log) {
        const int fd = kernel::load_xdp(program, fds_, log);
        if (fd < 0) {
            return false;
        }
        clear_maps();
        const kernel::Run run = kernel::test_run(fd, packet, 1);
        ::close(fd);
        EXPECT_EQ(run.error, 0);
        EXPECT_EQ(run.packet.size(), outcome->packet.size());
        outcome->r0 = run.retval;
        std::memcpy(outcome->packet.data(), run.packet.data(), outcome->packet.size());
        outcome->values = values();
        return true;
    }

  private:
    void clear_maps() {
        for (std::size_t i = 0; i < fds_.size(); i++) {
            const std::vector<std::uint8_t> zero(maps_[i]->user_value_bytes());
            for (std::uint32_t key = 0; key < maps_[i]->spec().max_entries; key++) {
                EXPECT_EQ(kernel::update(fds_[i], &key, zero.data(), 0), 0);
            }
        }
    }

    std::vector<std::uint8_t> values() {
        std::vector<std::uint8_t> all;
        for (std::size_t i = 0; i < fds_.size(); i++) {
            const std::uint32_t stride = maps_[i]->layout().stride;
            std::vector<std::uint8_t> value(maps_[i]->user_value_bytes());
            const std::size_t at = maps_[i]->layout().percpu_stride != 0 ? cpu_ * stride : 0;
            for (std::uint32_t key = 0; key < maps_[i]->spec().max_entries; key++) {
                EXPECT_EQ(kernel::lookup(fds_[i], &key, value.data()), 0);
                all.insert(all.end(), value.begin() + static_cast<std::ptrdiff_t>(at),
                           value.begin() + static_cast<std::ptrdiff_t>(at + stride));
            }
        }
        return all;
    }

    std::vector<const ebpf::maps::Map*> maps_;
    std::vector<int> fds_;
    std::uint32_t cpu_;
};

// make(random, maps) gives the program of one seed.
template <typename Make>
void agree_with_the_kernel(std::uint64_t rounds, Make make) {
    const std::uint64_t first = first_seed();
    const std::uint32_t cpu = stay_on_this_cpu();
    RandomBench bench(cpu);
    KernelSide kernel_side(bench.maps(), cpu);
    std::uint64_t compared = 0;
    std::string log;
    for (std::uint64_t seed = first; seed < first + rounds && !testing::Test::HasFailure();
         seed++) {
        std::mt19937_64 random(seed);
        const ebpf::Program program = make(random, bench.maps());
        bench.fill_packet(random);
        BenchOutcome wanted;
        if (!kernel_side.run(program, bench.packet(), &wanted, &log)) {
            EXPECT_TRUE(log.find("too large") != std::string::npos ||
                        log.find("too complex") != std::string::npos ||
                        log.find("infinite loop") != std::string::npos)
                << "seed " << seed << ": "
                << log.substr(log.size() - std::min<std::size_t>(log.size(), 600));
            continue;
        }
        auto proof = ebpf::verifier::verify(program, {});
        ASSERT_TRUE(proof) << "seed " << seed << ": " << proof.error().message;
        auto lowered = ebpf::lowering::lower(program, *proof);
        ASSERT_TRUE(lowered) << "seed " << seed << ": " << lowered.error().message;
        auto code = ebpf::lowering::compile(*lowered);
        ASSERT_TRUE(code) << "seed " << seed << ": " << code.error().message;
        const BenchOutcome got =
            bench.outcome([&](ebpf::XdpBuff& buff) { return code->entry()(&buff, nullptr); });
        EXPECT_EQ(static_cast<std::uint32_t>(got.r0), wanted.r0) << "seed " << seed;
        EXPECT_EQ(got.packet, wanted.packet) << "seed " << seed;
        EXPECT_EQ(got.values, wanted.values) << "seed " << seed;
        compared++;
    }
    std::printf("  %llu of %llu programs compared\n", static_cast<unsigned long long>(compared),
                static_cast<unsigned long long>(rounds));
    EXPECT_GT(compared, rounds / 2) << "the kernel refuses too many of the random programs";
}

class LoweringRandomConformance : public WithKernel {};

TEST_F(LoweringRandomConformance, AgreesWithTheKernel) {
    agree_with_the_kernel(scaled_rounds(500), [](std::mt19937_64& random, const RandomMaps& maps) {
        return make_random_program(random, maps).program;
    });
}

TEST_F(LoweringRandomConformance, SeveralFunctionsAgreeWithTheKernel) {
    agree_with_the_kernel(scaled_rounds(500), make_random_functions);
}

}  // namespace
}  // namespace crema::test
