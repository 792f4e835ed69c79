// SPDX-License-Identifier: BSD-3-Clause
//
// Random programs through lowering and the JIT against the interpreter: packet, result
// and map contents must be equal. Each program runs twice: with a proof that knows nothing but
// types, and with one that knows all that is true for this packet (branches, dead code, zero upper
// halves), so that the rules which use facts run too. Every fourth also runs with the proof of the
// verifier, whose facts must hold for every packet.
// Length and seed: tests/support/rounds.h.
#include <cstring>
#include <gtest/gtest.h>
#include <random>
#include <vector>

#include "lib/ebpf/interpreter/arithmetic.h"
#include "lib/ebpf/interpreter/checked.h"
#include "lib/ebpf/lowering/dpdk_jit.h"
#include "lib/ebpf/lowering/lower.h"
#include "lib/ebpf/maps/map.h"
#include "lib/ebpf/program/structure.h"
#include "tests/support/random_bench.h"
#include "tests/support/random_program.h"
#include "tests/support/rounds.h"

namespace crema::test {
namespace {

using ebpf::verifier::Branch;
using ebpf::verifier::Proof;

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

    void observe(const ebpf::Program& program, const ebpf::interpreter::Moment& now) {
        const std::size_t at = now.slot;
        const auto& regs = now.regs;
        const ebpf::Insn& insn = program.insns[at];
        const bool taken =
            ebpf::is_conditional_jump(insn) &&
            ebpf::interpreter::jump_taken(insn, regs[insn.dst], regs[insn.src & 0xfU]);
        auto& facts = proof_.insns[at];
        facts.reachable = true;
        facts.dst_upper_zero = facts.dst_upper_zero && regs[insn.dst] >> 32U == 0;
        facts.src_upper_zero = facts.src_upper_zero && regs[insn.src] >> 32U == 0;
        const Branch way = taken ? Branch::always_taken : Branch::never_taken;
        facts.branch = seen_[at] && facts.branch != way ? Branch::both : way;
        seen_[at] = true;
    }

    [[nodiscard]] const Proof& proof() const { return proof_; }

  private:
    Proof proof_;
    std::vector<bool> seen_;
};

void expect_same(RandomBench& bench,
                 const ebpf::Program& program,
                 const Proof& proof,
                 const BenchOutcome& wanted,
                 const char* which,
                 std::uint64_t seed) {
    auto lowered = ebpf::lowering::lower(program, proof);
    ASSERT_TRUE(lowered) << "seed " << seed << ", " << which << ": " << lowered.error().message;
    auto code = ebpf::lowering::compile(*lowered);
    ASSERT_TRUE(code) << "seed " << seed << ", " << which << ": " << code.error().message;
    const BenchOutcome got =
        bench.outcome([&](ebpf::XdpBuff& buff) { return code->entry()(&buff, nullptr); });
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

TEST(LoweringRandom, AgreesWithTheInterpreter) {
    const std::uint64_t first = first_seed();
    const std::uint64_t rounds = scaled_rounds(20000);
    RandomBench bench(ebpf::maps::possible_cpu_ids().back());
    for (std::uint64_t seed = first; seed < first + rounds && !HasFailure(); seed++) {
        std::mt19937_64 random(seed);
        const RandomProgram made = make_random_program(random, bench.maps());
        bench.fill_packet(random);
        Facts facts(made.proof);
        const auto image = ebpf::interpreter::Image::prepare(made.program, nullptr);
        ASSERT_TRUE(image) << "seed " << seed << ": " << image.error().message;
        ebpf::interpreter::CheckedOptions options;
        options.observer = [&](const ebpf::interpreter::Moment& now) {
            facts.observe(made.program, now);
        };
        std::string fault;
        const BenchOutcome wanted = bench.outcome([&](ebpf::XdpBuff& buff) {
            const auto ran = ebpf::interpreter::run_checked(**image, buff, options);
            fault = ran.fault ? ran.fault->what : "";
            return ran.r0;
        });
        ASSERT_EQ(fault, "") << "seed " << seed;
        expect_same(bench, made.program, made.proof, wanted, "types only", seed);
        expect_same(bench, made.program, facts.proof(), wanted, "all facts", seed);
        if (seed % 4 == 0) {
            auto proof = ebpf::verifier::verify(made.program, {});
            ASSERT_TRUE(proof) << "seed " << seed << ": " << proof.error().message;
            expect_same(bench, made.program, *proof, wanted, "verified", seed);
        }
    }
}

}  // namespace
}  // namespace crema::test
