// SPDX-License-Identifier: BSD-3-Clause
//
// What the verifier believes against what happens: generated programs that it accepts are run by
// the checked interpreter on random packets. Every concrete state must lie in an abstract one of
// the same instruction, no access may leave its object, and the facts handed to lowering must hold.
#include <cstring>
#include <gtest/gtest.h>
#include <random>
#include <vector>

#include "lib/ebpf/interpreter/arithmetic.h"
#include "lib/ebpf/interpreter/checked.h"
#include "lib/ebpf/maps/map.h"
#include "lib/ebpf/program/disassemble.h"
#include "lib/ebpf/program/structure.h"
#include "lib/ebpf/verifier/machine.h"
#include "tests/support/verifier_cases.h"
#include "tests/support/verifier_dice.h"

namespace crema::test {

namespace {

namespace v = ebpf::verifier;
using ebpf::interpreter::Moment;

constexpr std::uint64_t kPrograms = 600;
constexpr int kRunsEach = 6;

std::uint64_t address(const void* pointer) {
    return reinterpret_cast<std::uintptr_t>(pointer);
}

bool agrees(const v::Reg& reg, std::uint64_t value, const Moment& m, const ebpf::Program& program) {
    const auto from = [&](std::uint64_t base) {
        return reg.s.contains(value - base - static_cast<std::uint64_t>(std::int64_t{reg.off}));
    };
    switch (reg.type) {
        case v::RegType::scalar:
            return reg.s.contains(value);
        case v::RegType::stack:
            return from(address(m.frame.data() + m.frame.size()));
        case v::RegType::packet: {
            const std::uint64_t base = value - static_cast<std::uint64_t>(std::int64_t{reg.off});
            const bool proved = reg.range <= 0 || base + static_cast<std::uint64_t>(reg.range) <=
                                                      address(m.buff.data_end);
            const bool past =
                reg.range >= 0 || (reg.range == v::kAtPacketEnd ? value >= address(m.buff.data_end)
                                                                : value > address(m.buff.data_end));
            return from(address(m.buff.data)) && proved && past;
        }
        case v::RegType::packet_end:
            return value == address(m.buff.data_end);
        case v::RegType::map_value: {
            const auto layout = program.maps[reg.map]->layout();
            return program.maps[reg.map]->spec().max_entries != 1 || from(address(layout.base));
        }
        default:
            return true;
    }
}

bool agrees(const v::State& state, const Moment& m, const ebpf::Program& program) {
    for (std::uint32_t i = 0; i < v::kRegs; ++i) {
        if (!agrees(state.regs[i], m.regs[i], m, program)) {
            return false;
        }
    }
    for (std::size_t i = 0; i < state.stack.size(); ++i) {
        const std::size_t at = 512 - 8 * (i + 1);
        const v::Slot& slot = state.stack[i];
        for (std::uint32_t b = 0; b < v::kSlotBytes; ++b) {
            if (slot.bytes[b] == v::Byte::zero && m.frame[at + b] != 0) {
                return false;
            }
        }
        if (slot.is_spill()) {
            v::Reg reg = slot.spill();
            std::uint64_t value = 0;
            const std::uint32_t bytes = slot.spill_bytes();
            std::memcpy(&value, m.frame.data() + at, bytes);
            if (reg.is_scalar()) {
                reg.s.truncate(bytes);
            }
            if (!agrees(reg, value, m, program)) {
                return false;
            }
        }
    }
    return true;
}

/// A random frame, and a context that points to it.
class RandomInput {
  public:
    explicit RandomInput(std::mt19937_64& engine)
        : bytes_(ebpf::kXdpHeadroom + 60 + engine() % 30) {
        static constexpr std::uint8_t kCorner[] = {0, 1, 2, 3, 7, 8, 15, 16, 127, 128, 254, 255};
        for (auto& byte : bytes_) {
            byte = engine() % 2 == 0 ? kCorner[engine() % std::size(kCorner)]
                                     : static_cast<std::uint8_t>(engine());
        }
        buff_.data_hard_start = bytes_.data();
        buff_.data = buff_.data_meta = bytes_.data() + ebpf::kXdpHeadroom;
        buff_.data_end = bytes_.data() + bytes_.size();
        buff_.frame_sz = static_cast<std::uint32_t>(bytes_.size()) + ebpf::kTailReserve;
        buff_.ingress_ifindex = engine() % 2 == 0 ? 1 : static_cast<std::uint32_t>(engine());
    }

    ebpf::XdpBuff& buff() { return buff_; }

  private:
    std::vector<std::uint8_t> bytes_;
    ebpf::XdpBuff buff_{};
};

/// Why the run ended otherwise than by EXIT; empty: it did not.
std::string fault_of_run(const ebpf::Program& program,
                         std::mt19937_64& engine,
                         const ebpf::interpreter::Observer& observer) {
    const auto image = ebpf::interpreter::Image::prepare(program, nullptr);
    if (!image) {
        return image.error().message;
    }
    RandomInput input(engine);
    const auto run = ebpf::interpreter::run_checked(**image, input.buff(),
                                                    {.salt = engine(), .observer = observer});
    return run.fault ? fmt::format("instruction {}: {}", run.fault->slot, run.fault->what) : "";
}

std::string facts_broken(const ebpf::Program& program, const v::Proof& proof, const Moment& m) {
    const std::uint32_t pc = m.slot;
    const ebpf::Insn& insn = program.insns[pc];
    const v::InsnFacts& facts = proof.insns[pc];
    if (!facts.reachable) {
        return "runs, but is not reachable";
    }
    const std::uint64_t dst = m.regs[insn.dst];
    if (facts.dst_upper_zero && (dst >> 32) != 0) {
        return "upper half of dst is not zero";
    }
    if (facts.src_upper_zero && (m.regs[insn.src] >> 32) != 0) {
        return "upper half of src is not zero";
    }
    if (ebpf::is_conditional_jump(insn) && facts.branch != v::Branch::both) {
        const std::uint64_t src = ebpf::op::is_reg_source(insn.code)
                                      ? m.regs[insn.src]
                                      : static_cast<std::uint64_t>(std::int64_t{insn.imm});
        if (ebpf::interpreter::jump_taken(insn, dst, src) !=
            (facts.branch == v::Branch::always_taken)) {
            return "branch goes the other way";
        }
    }
    return {};
}

}  // namespace

TEST(VerifierSoundness, ConcreteRunsStayInsideAbstractStates) {
    std::mt19937_64 engine(7);
    std::uint64_t accepted = 0;
    for (std::uint64_t seed = 1; seed <= kPrograms; ++seed) {
        const ebpf::Program program = dice_program(seed);
        std::vector<std::vector<v::State>> seen(program.insns.size());
        v::Options options;
        options.insns_max = 3000;
        v::Machine machine(program, options, nullptr);
        machine.observe(
            [&](std::uint32_t insn, const v::State& state) { seen[insn].push_back(state); });
        if (!machine.run()) {
            continue;
        }
        ++accepted;
        for (int n = 0; n < kRunsEach; ++n) {
            std::string wrong;
            const std::string fault = fault_of_run(program, engine, [&](const Moment& now) {
                const std::uint32_t pc = now.slot;
                for (const v::State& state : seen[pc]) {
                    if (agrees(state, now, program)) {
                        return;
                    }
                }
                if (wrong.empty()) {
                    wrong =
                        fmt::format("insn {} ({}) in no abstract state; R0={:#x} R2={:#x}", pc,
                                    ebpf::disassemble(program.insns[pc]), now.regs[0], now.regs[2]);
                }
            });
            ASSERT_EQ(fault, "") << "seed " << seed;
            ASSERT_EQ(wrong, "") << "seed " << seed;
        }
    }
    EXPECT_GT(accepted, kPrograms / 10);
}

TEST(VerifierSoundness, FactsForLoweringHoldOnEveryRun) {
    std::mt19937_64 engine(11);
    std::uint64_t accepted = 0;
    for (std::uint64_t seed = 1; seed <= 2 * kPrograms; ++seed) {
        ebpf::Program program = dice_program(seed);
        if (seed % 3 == 0) {
            program = mutated(program, seed);
        }
        const auto proof = v::verify(program, {});
        if (!proof) {
            continue;
        }
        ++accepted;
        for (int n = 0; n < kRunsEach; ++n) {
            std::string wrong;
            const std::string fault = fault_of_run(program, engine, [&](const Moment& now) {
                const std::uint32_t pc = now.slot;
                if (wrong.empty()) {
                    const std::string broken = facts_broken(program, *proof, now);
                    if (!broken.empty()) {
                        wrong = fmt::format("insn {} ({}): {}", pc,
                                            ebpf::disassemble(program.insns[pc]), broken);
                    }
                }
            });
            ASSERT_EQ(fault, "") << "seed " << seed;
            ASSERT_EQ(wrong, "") << "seed " << seed;
        }
    }
    EXPECT_GT(accepted, kPrograms / 4);
}

}  // namespace crema::test
