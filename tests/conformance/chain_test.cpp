// SPDX-License-Identifier: BSD-3-Clause
//
// Random programs in random chains, run as a port runs them, and one by one by the kernel: what one
// leaves of packet and metadata is handed to the next, as long as the verdict is one of its
// chain-call actions. That is asked of the kernel, too, by the instructions with which libxdp's
// dispatcher asks. Verdict, bytes, metadata and who decided must be equal.
//
// What cannot be seen from outside of a run (targets of redirects, tail calls taken) is in
// tests/unit/xdp/chain_test.cpp; room in front of the frame shrinks within a chain and is fresh in
// each run of the kernel, so programs stay away from its end.
#include "lib/xdp/chain.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <gtest/gtest.h>
#include <memory>
#include <random>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

#include <linux/bpf.h>

#include "lib/base/unique_fd.h"
#include "lib/ebpf/abi/run_scope.h"
#include "lib/ebpf/syscall/serve.h"
#include "lib/ebpf/syscall/session.h"
#include "tests/support/asm.h"
#include "tests/support/kernel_bpf.h"
#include "tests/support/rounds.h"
#include "tests/support/with_kernel.h"

namespace crema::test {
namespace {

using Bytes = std::vector<std::uint8_t>;
using ebpf::syscall::ChainedProgram;

constexpr int kAdjustHead = 44, kAdjustMeta = 54, kAdjustTail = 65;
constexpr std::uint32_t kChecked = 32;  // bytes of a frame that programs touch
constexpr std::uint32_t kFrameBytes = 96;

class Dice {
  public:
    explicit Dice(std::uint64_t seed) : random_(seed) {}

    int below(int bound) { return static_cast<int>(random_() % static_cast<std::uint64_t>(bound)); }

    bool often() { return below(4) != 0; }

  private:
    std::mt19937_64 random_;
};

void add(std::vector<Insn>& insns, const Code& code) {
    insns.insert(insns.end(), code.insns().begin(), code.insns().end());
}

/// r6 the context; afterwards r7 the frame, r8 its end. A frame too short for the rest is ABORTED.
void find_frame(std::vector<Insn>& insns) {
    add(insns, {load(op::kW, 7, 6, 0), load(op::kW, 8, 6, 4), mov(1, 7), add_k(1, kChecked),
                jump(op::kJle, 1, 8, 2), mov_k(0, 0), exit_insn()});
}

void adjust(std::vector<Insn>& insns, int helper, int by) {
    add(insns, {mov(1, 6), mov_k(2, by), call(helper)});
    find_frame(insns);
}

/// Metadata in front of the frame grows, and what is new gets a value.
void grow_metadata(std::vector<Insn>& insns, int value) {
    adjust(insns, kAdjustMeta, -4);
    add(insns, {load(op::kW, 1, 6, 8), mov(2, 1), add_k(2, 4), jump(op::kJgt, 2, 7, 1),
                store_k(op::kW, 1, 0, value)});
}

/// A byte of the frame gets what the first bytes of metadata say, if there are some.
void read_metadata(std::vector<Insn>& insns, int at) {
    add(insns, {load(op::kW, 1, 6, 8), mov(2, 1), add_k(2, 4), jump(op::kJgt, 2, 7, 2),
                load(op::kB, 3, 1, 1), store(op::kB, 7, at, 3)});
}

/// One step of a program. moved: the ends have been moved, which a program does at most once each.
void random_step(Dice& dice, std::vector<Insn>& insns, std::array<bool, 3>& moved) {
    const int at = dice.below(kChecked), other = dice.below(kChecked);
    switch (dice.below(7)) {
        case 0:
            add(insns, store_k(op::kB, 7, at, dice.below(256)));
            break;
        case 1:
            add(insns, {load(op::kB, 1, 7, at), load(op::kB, 2, 7, other), alu(op::kAdd, 1, 2),
                        store(op::kB, 7, at, 1)});
            break;
        case 2:
            if (!std::exchange(moved[0], true)) {
                const bool grows = dice.below(2) == 0;
                adjust(insns, kAdjustHead, grows ? -8 : 8);
                if (grows) {  // what is new has no known value
                    add(insns, {store_k(op::kDw, 7, 0, dice.below(1 << 30))});
                }
            }
            break;
        case 3:
            if (!std::exchange(moved[1], true)) {
                grow_metadata(insns, dice.below(1 << 30));
            }
            break;
        case 4:
            if (!std::exchange(moved[1], true)) {
                adjust(insns, kAdjustMeta, 4);  // an error where there is none
            }
            break;
        case 5:
            if (!std::exchange(moved[2], true)) {
                adjust(insns, kAdjustTail, dice.below(17) - 8);
            }
            break;
        default:
            read_metadata(insns, at);
    }
}

Code random_program(Dice& dice) {
    std::vector<Insn> insns;
    add(insns, mov(6, 1));
    find_frame(insns);
    std::array<bool, 3> moved{};
    const int steps = 1 + dice.below(6);
    for (int i = 0; i < steps; ++i) {
        random_step(dice, insns, moved);
    }
    if (dice.often()) {
        // Of the packet: verdicts, and what is none.
        add(insns, {load(op::kB, 0, 7, dice.below(kChecked)), alu_k(op::kAnd, 0, 7)});
        if (dice.often()) {
            add(insns, {jump_k(op::kJle, 0, 4, 1), mov_k(0, 2)});
        }
    } else {
        constexpr std::array<int, 12> kCodes = {0, 1, 2, 3, 4, 5, 31, 32, 34, 64, 66, -1};
        add(insns, mov_k(0, kCodes[static_cast<std::size_t>(dice.below(kCodes.size()))]));
    }
    add(insns, exit_insn());
    return insns;
}

/// Asks the kernel by the dispatcher's instructions: actions and code are the first words of a
/// packet.
class DispatchersQuestion {
  public:
    DispatchersQuestion() {
        const ebpf::Program program = program_of(
            {load(op::kW, 2, 1, 0), load(op::kW, 3, 1, 4), mov(4, 2), add_k(4, 14),
             jump(op::kJle, 4, 3, 2), mov_k(0, 9), exit_insn(), load(op::kW, 1, 2, 0),
             load(op::kW, 0, 2, 4), mov(2, 0), alu_k(op::kLsh, 2, 32), alu_k(op::kRsh, 2, 32),
             alu(op::kRsh, 1, 2), alu_k(op::kAnd, 1, 1), mov(0, 1), exit_insn()});
        std::string log;
        fd_.reset(kernel::load_xdp(program, {}, &log));
        EXPECT_TRUE(fd_.valid()) << log;
    }

    [[nodiscard]] bool goes_on(std::uint32_t actions, std::uint32_t act) const {
        Bytes packet(16);
        std::memcpy(packet.data(), &actions, sizeof actions);
        std::memcpy(packet.data() + 4, &act, sizeof act);
        const kernel::Run run = kernel::test_run(fd_.get(), packet, 1);
        EXPECT_EQ(run.error, 0);
        EXPECT_LE(run.retval, 1U);
        return run.retval == 1;
    }

  private:
    UniqueFd fd_;
};

struct Sides {
    UniqueFd kernel;
    ChainedProgram crema;
};

Sides load_both(const ebpf::syscall::Session& session, const Code& code, std::uint32_t actions) {
    const ebpf::Program program = program_of(code);
    Sides sides;
    std::string log;
    sides.kernel.reset(kernel::load_xdp(program, {}, &log));
    EXPECT_TRUE(sides.kernel.valid()) << log;
    bpf_attr attr{};
    attr.prog_type = BPF_PROG_TYPE_XDP;
    attr.expected_attach_type = BPF_XDP;
    attr.insns = reinterpret_cast<std::uint64_t>(program.insns.data());
    attr.insn_cnt = static_cast<std::uint32_t>(program.insns.size());
    attr.license = reinterpret_cast<std::uint64_t>("GPL");
    const UniqueFd fd(static_cast<int>(ebpf::syscall::serve(BPF_PROG_LOAD, &attr, sizeof(attr))));
    EXPECT_TRUE(fd.valid()) << session.refusal()->message;
    sides.crema = {.program = ebpf::syscall::program_of(fd.get()),
                   .config = {.priority = 50, .actions = actions}};
    return sides;
}

/// What became of a packet.
struct Result {
    std::uint32_t verdict = 0;
    std::size_t decider = 0;
    Bytes bytes;  // metadata and frame
    std::size_t meta_bytes = 0;

    bool operator==(const Result&) const = default;
};

Result run_by_kernel(const std::vector<Sides>& chain,
                     const DispatchersQuestion& question,
                     const Bytes& packet) {
    Result result;
    result.bytes = packet;
    for (std::size_t i = 0; i < chain.size(); ++i) {
        kernel::Context context;
        context.data = static_cast<std::uint32_t>(result.meta_bytes);
        context.data_end = static_cast<std::uint32_t>(result.bytes.size());
        context.ingress_ifindex = 1;
        const kernel::Run run = kernel::test_run(chain[i].kernel.get(), result.bytes, context);
        EXPECT_EQ(run.error, 0);
        result.bytes = run.packet;
        result.meta_bytes = context.data;
        result.decider = i;
        result.verdict = run.retval;
        if (!question.goes_on(chain[i].crema.config.actions | 1U << 31, run.retval)) {
            return result;
        }
    }
    result.verdict = XDP_PASS;
    return result;
}

Result run_as_ports_do(const std::vector<Sides>& sides, const Bytes& packet) {
    std::vector<ChainedProgram> programs;
    programs.reserve(sides.size());
    for (const Sides& each : sides) {
        programs.push_back(each.crema);
    }
    const xdp::Chain chain(programs);
    alignas(ebpf::kTestRunPageBytes) std::array<std::uint8_t, ebpf::kTestRunPageBytes> page{};
    ebpf::XdpBuff buff{};
    buff.data_hard_start = page.data();
    buff.frame_sz = ebpf::kTestRunPageBytes;
    buff.data = buff.data_meta = page.data() + ebpf::kXdpHeadroom;
    buff.data_end = std::ranges::copy(packet, buff.data).out;
    buff.ingress_ifindex = 1;
    std::uint32_t decider = 0;
    Result result;
    {
        const ebpf::RunScope scope(buff);
        with_runs_of(xdp::ChainRuns{.chain = chain, .decider = decider},
                     [&](auto&& run) { result.verdict = static_cast<std::uint32_t>(run(buff)); });
    }
    result.bytes = {buff.data_meta, buff.data_end};
    result.meta_bytes = static_cast<std::size_t>(buff.data - buff.data_meta);
    const auto who = std::ranges::find(programs, decider,
                                       [](const ChainedProgram& each) { return each.program->id; });
    result.decider = static_cast<std::size_t>(who - programs.begin());
    return result;
}

class ChainConformance : public WithKernel {};

TEST_F(ChainConformance, IsAsTheProgramsOneByOne) {
    const DispatchersQuestion question;
    const std::uint64_t first = first_seed();
    std::array<std::uint64_t, xdp::kChainMax> decided{};
    constexpr std::uint64_t kRounds = 300;
    const std::uint64_t rounds = scaled_rounds(kRounds);
    for (std::uint64_t seed = first; seed < first + rounds && !HasFailure(); ++seed) {
        Dice dice(seed);
        const ebpf::syscall::Session session;
        std::vector<Sides> chain;
        const int programs = 2 + dice.below(static_cast<int>(xdp::kChainMax) - 1);
        for (int i = 0; i < programs; ++i) {
            // Mostly such that the next one has its turn.
            const auto actions =
                static_cast<std::uint32_t>(dice.below(32)) | (dice.often() ? 1U << XDP_PASS : 0U);
            chain.push_back(load_both(session, random_program(dice), actions));
        }
        for (int packet = 0; packet < 8; ++packet) {
            Bytes bytes(kFrameBytes);
            std::ranges::generate(bytes,
                                  [&] { return static_cast<std::uint8_t>(dice.below(256)); });
            const Result wanted = run_by_kernel(chain, question, bytes);
            const Result got = run_as_ports_do(chain, bytes);
            EXPECT_EQ(got.verdict, wanted.verdict) << "seed " << seed;
            EXPECT_EQ(got.decider, wanted.decider) << "seed " << seed;
            EXPECT_EQ(got.meta_bytes, wanted.meta_bytes) << "seed " << seed;
            EXPECT_EQ(got.bytes, wanted.bytes) << "seed " << seed;
            ++decided[wanted.decider];
        }
    }
    EXPECT_GT(decided[0], 0U);
    if (rounds >= kRounds) {
        EXPECT_GT(decided[xdp::kChainMax - 1] + decided[xdp::kChainMax - 2], 0U)
            << "long chains have been walked to their end";
    }
}

TEST_F(ChainConformance, EveryCodeIsAskedForAsByTheDispatcher) {
    const DispatchersQuestion question;
    std::mt19937_64 random(first_seed());
    for (std::uint32_t act = 0; act < 130; ++act) {
        const auto actions = static_cast<std::uint32_t>(random());
        EXPECT_EQ(xdp::goes_on(actions, act), question.goes_on(actions, act)) << act;
    }
    for (std::uint32_t i = 0; i < 200; ++i) {
        const auto actions = static_cast<std::uint32_t>(random());
        const auto act = static_cast<std::uint32_t>(random());
        EXPECT_EQ(xdp::goes_on(actions, act), question.goes_on(actions, act)) << act;
    }
}

}  // namespace
}  // namespace crema::test
