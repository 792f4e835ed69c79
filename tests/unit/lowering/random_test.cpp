// SPDX-License-Identifier: BSD-3-Clause
//
// Random programs through lowering and the JIT against the reference interpreter: packet, result
// and map contents must be equal. Each program runs twice: with a proof that knows nothing but
// types, and with one that knows all that is true for this packet (branches, dead code, zero upper
// halves), so that the rules which use facts run too.
// CREMA_TEST_ROUNDS: number of programs; CREMA_TEST_SEED: first seed.
#include <array>
#include <cstdlib>
#include <cstring>
#include <gtest/gtest.h>
#include <memory>
#include <random>
#include <vector>

#include "lib/ebpf/lowering/dpdk_jit.h"
#include "lib/ebpf/lowering/lower.h"
#include "lib/ebpf/maps/map.h"
#include "tests/support/random_program.h"
#include "tests/support/reference_interpreter.h"

namespace crema::test {
namespace {

using ebpf::verifier::Branch;
using ebpf::verifier::Proof;

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

struct Outcome {
    std::uint64_t r0 = 0;
    std::array<std::uint8_t, kRandomPacketBytes> packet{};
    std::vector<std::uint8_t> values;

    friend bool operator==(const Outcome&, const Outcome&) = default;
};

class Bench {
  public:
    Bench() : maps_(make_random_maps()), page_(4096) {}

    const RandomMaps& maps() { return maps_; }

    void fill_packet(std::mt19937_64& random) {
        for (std::size_t word = 0; word < kRandomPacketBytes / 8; word++) {
            const std::uint64_t value = edgy_value(random);
            std::memcpy(packet_.data() + 8 * word, &value, sizeof value);
        }
    }

    template <typename Run>
    Outcome outcome(Run&& run) {
        clear_maps();
        ebpf::XdpBuff buff{};
        buff.data_hard_start = page_.data();
        buff.frame_sz = 4096;
        buff.data = page_.data() + ebpf::kXdpHeadroom;
        buff.data_end = buff.data + kRandomPacketBytes;
        buff.data_meta = buff.data;
        buff.ingress_ifindex = 1;
        buff.cpu = ebpf::maps::possible_cpu_ids().back();
        std::memcpy(buff.data, packet_.data(), packet_.size());
        Outcome result;
        result.r0 = run(buff);
        std::memcpy(result.packet.data(), buff.data, kRandomPacketBytes);
        result.values = values();
        return result;
    }

  private:
    template <typename Visit>
    void for_each_value(Visit&& visit) {
        for (const auto* map : {maps_.array.get(), maps_.percpu_array.get()}) {
            const ebpf::maps::ValueLayout layout = map->layout();
            const std::uint32_t cpus =
                layout.percpu_stride != 0 ? ebpf::maps::possible_cpu_ids().back() + 1 : 1;
            for (std::uint32_t cpu = 0; cpu < cpus; cpu++) {
                visit(layout.base + cpu * layout.percpu_stride,
                      std::size_t{layout.stride} * map->spec().max_entries);
            }
        }
    }

    void clear_maps() {
        for_each_value([](std::uint8_t* at, std::size_t bytes) { std::memset(at, 0, bytes); });
    }

    std::vector<std::uint8_t> values() {
        std::vector<std::uint8_t> all;
        for_each_value(
            [&](std::uint8_t* at, std::size_t bytes) { all.insert(all.end(), at, at + bytes); });
        return all;
    }

    RandomMaps maps_;
    std::vector<std::uint8_t> page_;
    std::array<std::uint8_t, kRandomPacketBytes> packet_{};
};

// Facts that hold for the one run that is observed.
class Facts {
  public:
    explicit Facts(const Proof& types) : proof_(types) {
        for (auto& facts : proof_.insns) {
            facts.reachable = false;
            facts.dst_upper_zero = facts.src_upper_zero = true;
        }
        seen_.resize(types.insns.size());
    }

    void observe(const ebpf::Program& program, std::size_t at, const Registers& regs, bool taken) {
        const ebpf::Insn& insn = program.insns[at];
        auto& facts = proof_.insns[at];
        facts.reachable = true;
        facts.dst_upper_zero = facts.dst_upper_zero && regs[insn.dst] >> 32U == 0;
        facts.src_upper_zero = facts.src_upper_zero && regs[insn.src] >> 32U == 0;
        const Branch now = taken ? Branch::always_taken : Branch::never_taken;
        facts.branch = seen_[at] && facts.branch != now ? Branch::both : now;
        seen_[at] = true;
    }

    [[nodiscard]] const Proof& proof() const { return proof_; }

  private:
    Proof proof_;
    std::vector<bool> seen_;
};

void expect_same(Bench& bench,
                 const ebpf::Program& program,
                 const Proof& proof,
                 const Outcome& wanted,
                 const char* which,
                 std::uint64_t seed) {
    auto lowered = ebpf::lowering::lower(program, proof);
    ASSERT_TRUE(lowered) << "seed " << seed << ", " << which << ": " << lowered.error().message;
    auto code = ebpf::lowering::compile(*lowered);
    ASSERT_TRUE(code) << "seed " << seed << ", " << which << ": " << code.error().message;
    const Outcome got = bench.outcome([&](ebpf::XdpBuff& buff) { return code->entry()(&buff); });
    EXPECT_EQ(got.r0, wanted.r0) << "seed " << seed << ", " << which;
    for (std::size_t at = 0; at < got.packet.size(); at += 8) {
        std::uint64_t have = 0;
        std::uint64_t want = 0;
        std::memcpy(&have, got.packet.data() + at, 8);
        std::memcpy(&want, wanted.packet.data() + at, 8);
        EXPECT_EQ(have, want) << "seed " << seed << ", " << which << ", packet word " << at / 8;
    }
    EXPECT_EQ(got.values, wanted.values) << "seed " << seed << ", " << which;
}

TEST(LoweringRandom, AgreesWithTheReferenceInterpreter) {
    const std::uint64_t first = from_environment("CREMA_TEST_SEED", 1);
    const std::uint64_t rounds = from_environment("CREMA_TEST_ROUNDS", 10000);
    Bench bench;
    for (std::uint64_t seed = first; seed < first + rounds && !HasFailure(); seed++) {
        std::mt19937_64 random(seed);
        const RandomProgram made = make_random_program(random, bench.maps());
        bench.fill_packet(random);
        Facts facts(made.proof);
        bool finished = false;
        const Outcome wanted = bench.outcome([&](ebpf::XdpBuff& buff) {
            const auto ran = run_reference(made.program, buff, 1'000'000,
                                           [&](std::size_t at, const Registers& regs, bool taken) {
                                               facts.observe(made.program, at, regs, taken);
                                           });
            finished = ran.finished;
            return ran.r0;
        });
        ASSERT_TRUE(finished) << "seed " << seed << ": the reference did not finish";
        expect_same(bench, made.program, made.proof, wanted, "types only", seed);
        expect_same(bench, made.program, facts.proof(), wanted, "all facts", seed);
    }
}

}  // namespace
}  // namespace crema::test
