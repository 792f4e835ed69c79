// SPDX-License-Identifier: BSD-3-Clause
//
// Several programs on one port: which of them run on a frame, what each finds in it, whose verdict
// stands, and how programs come and go under traffic. Beside libxdp's own dispatcher:
// tests/conformance/chain_test.cpp and tests/system/chain_test.py.
#include "lib/xdp/chain.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <gtest/gtest.h>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "lib/xdp/attach.h"
#include "tests/support/eal.h"
#include "tests/support/fake_port.h"
#include "tests/support/tiny_program.h"

namespace crema::xdp {
namespace {

[[maybe_unused]] const auto* const eal = test::with_eal({"-m", "64", "-l", "0"});

using ebpf::action_bit;
using ebpf::LoadedProgram;
using ebpf::Verdict;
using Program = std::shared_ptr<const LoadedProgram>;

constexpr std::uint32_t kAborted = 0, kDrop = 1, kPass = 2, kTx = 3, kRedirect = 4;
constexpr std::uint32_t kPassOn = action_bit(Verdict::pass);
/// Where programs of these tests leave their marks: a count, then a mark each.
constexpr std::uint32_t kMarksAt = 20;

ebpf::XdpBuff& buff_at(std::uint64_t r1) {
    return *reinterpret_cast<ebpf::XdpBuff*>(r1);
}

/// Writes Mark behind those that are there, and returns Act.
template <std::uint8_t Mark, std::uint32_t Act>
std::uint64_t mark(std::uint64_t r1, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t) {
    std::uint8_t* const marks = buff_at(r1).data + kMarksAt;
    marks[++marks[0]] = Mark;
    return Act;
}

template <std::uint8_t Mark, std::uint32_t Act = kPass>
Program marking() {
    return test::calling(mark<Mark, Act>);
}

std::string marks_in(const Frame& frame) {
    const std::uint8_t* const marks = frame.data + kMarksAt;
    std::string text;
    for (std::uint8_t i = 1; i <= marks[0]; ++i) {
        text += static_cast<char>('0' + marks[i]);
    }
    return text;
}

ChainedProgram placed(Program program, std::uint32_t priority, std::uint32_t actions = kPassOn) {
    return {.program = std::move(program), .config = {.priority = priority, .actions = actions}};
}

Status join_all(std::vector<ChainedProgram> programs) {
    ChainChange change;
    change.join = std::move(programs);
    return change_chain(0, change);
}

Status leave(std::vector<std::uint32_t> ids) {
    ChainChange change;
    change.leave = std::move(ids);
    return change_chain(0, change);
}

class XdpChain : public testing::Test {
  protected:
    Frame one_frame() {
        Frame frame{};
        EXPECT_EQ(source_.make(&frame, 1), 1U);
        std::fill_n(frame.data + kMarksAt, 16, std::uint8_t{0});
        return frame;
    }

    /// What became of one frame: who marked it, if it is passed or sent.
    std::string marks_of_run() {
        Frame frame = one_frame();
        port_.keeps = true;
        if (port_.run(&frame, 1) == 1) {
            std::string marks = marks_in(frame);
            test::recycle(&frame, 1);
            return marks;
        }
        std::string marks = port_.sent.empty() ? "gone" : "sent " + marks_in(port_.sent.front());
        port_.drain();
        return marks;
    }

    test::FrameSource source_{"chain"};
    test::FakePort port_{0};
};

TEST(XdpChainActions, TheVerdictIsAskedForAsByTheDispatchersShift) {
    static_assert(goes_on(kPassOn, kPass) && !goes_on(kPassOn, kDrop));
    for (std::uint32_t act = 0; act < 32; ++act) {
        EXPECT_EQ(goes_on(1U << act, act), true) << act;
        EXPECT_EQ(goes_on(~(1U << act), act), false) << act;
        EXPECT_FALSE(goes_on(~0U, act + 32)) << act;
        EXPECT_EQ(goes_on(1U << act, act + 64), true) << act;
    }
    EXPECT_FALSE(goes_on(~0U, ~0U));
    EXPECT_TRUE(goes_on(1U << kTx, 0xffffffc3));
}

TEST_F(XdpChain, EachSeesWhatTheOneBeforeLeftAndTheLastGoesOnToPass) {
    ASSERT_TRUE(join_all({placed(marking<1>(), 10), placed(marking<2>(), 20),
                          placed(marking<3, kTx>(), 30, action_bit(Verdict::tx))}));
    EXPECT_EQ(marks_of_run(), "123");
    EXPECT_EQ(verdicts(0).pass, 1U);
}

TEST_F(XdpChain, AVerdictThatIsNoActionStands) {
    ASSERT_TRUE(join_all(
        {placed(marking<1>(), 10), placed(marking<2, kTx>(), 20), placed(marking<3>(), 30)}));
    EXPECT_EQ(marks_of_run(), "sent 12");
    ASSERT_TRUE(leave({attachment(0).programs[1].program->id}));
    EXPECT_EQ(marks_of_run(), "13");
    ASSERT_TRUE(join_all({placed(marking<4, kDrop>(), 5)}));
    EXPECT_EQ(marks_of_run(), "gone");
    EXPECT_EQ(verdicts(0).drop, 1U);
}

TEST_F(XdpChain, EveryVerdictCanGoOn) {
    constexpr std::uint32_t kAll = 0x1f;
    ASSERT_TRUE(
        join_all({placed(marking<1, kAborted>(), 1, kAll), placed(marking<2, kDrop>(), 2, kAll),
                  placed(marking<3, kTx>(), 3, kAll), placed(marking<4, kRedirect>(), 4, kAll),
                  placed(marking<5, 31>(), 5, 0),            // as if nothing were there
                  placed(marking<6, 64 + 2>(), 6, kPassOn),  // counts as PASS
                  placed(marking<7>(), 7, kAll)}));
    EXPECT_EQ(marks_of_run(), "1234567");
    EXPECT_EQ(verdicts(0).pass, 1U);
}

TEST_F(XdpChain, CodesThatGoNowhereAreAborted) {
    ASSERT_TRUE(join_all({placed(marking<1, 7>(), 1, kPassOn), placed(marking<2>(), 2)}));
    EXPECT_EQ(marks_of_run(), "gone");
    ASSERT_TRUE(detach(0));
    ASSERT_TRUE(join_all({placed(marking<1, 34>(), 1, ~0U), placed(marking<2>(), 2)}));
    EXPECT_EQ(marks_of_run(), "gone");
    EXPECT_EQ(verdicts(0).aborted, 2U);
}

TEST_F(XdpChain, OneAloneIsNotAskedWhetherItGoesOn) {
    ASSERT_TRUE(join_all({placed(marking<1, kTx>(), 10, action_bit(Verdict::tx))}));
    EXPECT_EQ(marks_of_run(), "sent 1");
}

std::uint64_t move_edges(
    std::uint64_t r1, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t) {
    ebpf::XdpBuff& buff = buff_at(r1);
    buff.data += 4;
    buff.data_end -= 8;
    buff.data_meta = buff.data - 12;
    buff.tail_calls = 30;
    buff.redirect = {.map = nullptr,
                     .slot = nullptr,
                     .index = 77,
                     .kind = ebpf::RedirectTarget::Kind::ifindex,
                     .flags = 0};
    return kPass;
}

std::uint64_t find_moved(
    std::uint64_t r1, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t) {
    const ebpf::XdpBuff& buff = buff_at(r1);
    const bool right = buff.data_end - buff.data == 64 - 12 && buff.data - buff.data_meta == 12 &&
                       buff.tail_calls == 30 && buff.redirect.index == 77 &&
                       buff.redirect.kind == ebpf::RedirectTarget::Kind::ifindex;
    return right ? kTx : kAborted;
}

TEST_F(XdpChain, EdgesMetadataAndRedirectTargetGoOn) {
    ASSERT_TRUE(
        join_all({placed(test::calling(move_edges), 1), placed(test::calling(find_moved), 2)}));
    Frame frame = one_frame();
    port_.keeps = true;
    ASSERT_EQ(port_.run(&frame, 1), 0U);
    ASSERT_EQ(port_.sent.size(), 1U);
    EXPECT_EQ(port_.sent.front().len, 52U);
    EXPECT_EQ(port_.sent.front().meta_len, 12U);
    port_.drain();
}

TEST_F(XdpChain, WhoDecidedIsKnownOfEachFrame) {
    const std::vector<ChainedProgram> programs = {
        placed(test::calling([](std::uint64_t r1, auto...) -> std::uint64_t {
                   return buff_at(r1).data[0] == 1 ? kDrop : kPass;
               }),
               1),
        placed(test::calling([](std::uint64_t r1, auto...) -> std::uint64_t {
                   return buff_at(r1).data[0] == 2 ? kDrop : kPass;
               }),
               2)};
    const Chain chain(programs);
    std::uint32_t decider = 0;
    with_runs_of(ChainRuns{.chain = chain, .decider = decider}, [&](auto&& run) {
        std::array<std::uint8_t, 64> bytes{};
        ebpf::XdpBuff buff{};
        buff.data = bytes.data();
        for (const auto& [byte, result, who] :
             {std::tuple(1, kDrop, 0), std::tuple(2, kDrop, 1), std::tuple(3, kPass, 1)}) {
            bytes[0] = static_cast<std::uint8_t>(byte);
            EXPECT_EQ(run(buff), result);
            EXPECT_EQ(decider, programs[static_cast<std::size_t>(who)].program->id);
        }
    });
}

TEST_F(XdpChain, EachCountsItsOwnRuns) {
    const Program first = test::calling([](std::uint64_t r1, auto...) -> std::uint64_t {
        return buff_at(r1).data[0] % 4 == 0 ? kDrop : kPass;
    });
    const Program second = marking<2>();
    ASSERT_TRUE(join_all({placed(first, 1), placed(second, 2)}));
    std::array<Frame, 64> frames;
    const auto burst = [&] {
        ASSERT_EQ(source_.make(frames.data(), 64), 64U);
        test::recycle(frames.data(), port_.run(frames.data(), 64));
    };
    burst();
    EXPECT_EQ(first->stats.runs(), 0U);
    {
        const ebpf::run_stats::User somebody;
        burst();
    }
    burst();
    EXPECT_EQ(first->stats.runs(), 64U);
    EXPECT_EQ(second->stats.runs(), 48U);
    EXPECT_EQ(verdicts(0).drop, 48U);
}

TEST_F(XdpChain, FramesOfSeveralBuffersAreForProgramsThatAllTakeThem) {
    const auto with = [](bool has_frags) {
        auto program = std::make_shared<LoadedProgram>();
        program->id = has_frags ? 1 : 2;
        program->program.has_frags = has_frags;
        program->code =
            ebpf::lowering::compile(
                {.functions = {{.insns = {{.code = 0x95, .dst = 0, .src = 0, .off = 0, .imm = 0}},
                                .natives = {}}}})
                .value();
        return program;
    };
    ASSERT_TRUE(join_all({placed(with(true), 1)}));
    EXPECT_TRUE(port_.asked_frags);
    ASSERT_TRUE(join_all({placed(with(false), 2)}));
    EXPECT_FALSE(port_.asked_frags);
    ASSERT_TRUE(leave({2}));
    port_.refuse_attach = fail(EINVAL, "MTU 9000 is too large");
    EXPECT_EQ(join_all({placed(with(false), 2)}).error().code, EINVAL);
    EXPECT_EQ(attachment(0).programs.size(), 1U) << "what is there stays";
}

TEST_F(XdpChain, WhoLeavesIsReleasedAndTheOthersStay) {
    Program first = marking<1>();
    Program second = marking<2>();
    const std::uint32_t id = first->id;
    const std::weak_ptr<const LoadedProgram> gone = first;
    ASSERT_TRUE(join_all({placed(std::move(first), 1), placed(second, 2)}));
    EXPECT_EQ(marks_of_run(), "12");
    ASSERT_TRUE(leave({id}));
    EXPECT_TRUE(gone.expired());
    EXPECT_EQ(marks_of_run(), "2");
    EXPECT_EQ(leave({id}).error().code, ENOENT);
    ASSERT_TRUE(leave({second->id}));
    EXPECT_EQ(attached(0), nullptr);
    EXPECT_EQ(marks_of_run(), "");
}

/// Sets of programs, each of which is put in place of the one before in one step.
class Sets {
  public:
    static constexpr std::size_t kSets = 4;

    Sets()
        : all_{{{placed(marking<1>(), 1), placed(marking<2>(), 2)},
                {placed(marking<3>(), 3), placed(marking<4>(), 4), placed(marking<5>(), 5)},
                {placed(marking<6>(), 6)},
                {}}} {}

    [[nodiscard]] ChainChange from(std::size_t old, std::size_t next) const {
        ChainChange change;
        for (const ChainedProgram& each : all_[old]) {
            change.leave.push_back(each.program->id);
        }
        change.join = all_[next];
        return change;
    }

    static bool is_one(const std::string& marks) {
        static const std::set<std::string> these = {"129", "3459", "69", "9", "12", "345", "6", ""};
        return these.contains(marks);
    }

  private:
    std::array<std::vector<ChainedProgram>, kSets> all_;
};

TEST_F(XdpChain, UnderTrafficEveryFrameMeetsOneSetOfPrograms) {
    std::atomic<bool> stop{false};
    std::atomic<std::uint64_t> ran{0};
    std::atomic<std::uint64_t> wrong{0};
    std::array<std::atomic<std::uint64_t>, 2> met{};  // without and with the one that stays
    std::thread poller([&] {
        std::array<Frame, kBurstMax> frames;
        while (!stop.load()) {
            const std::uint32_t n = source_.make(frames.data(), 32);
            for (std::uint32_t i = 0; i < n; ++i) {
                frames[i].data[kMarksAt] = 0;
            }
            const bool counted = port_.hooks[0].active.load(std::memory_order_acquire);
            const std::uint32_t passed = port_.run(frames.data(), n);
            std::set<std::string> seen;
            for (std::uint32_t i = 0; i < passed; ++i) {
                seen.insert(marks_in(frames[i]));
            }
            wrong += seen.size() == 1 && Sets::is_one(*seen.begin()) ? 0 : 1;
            ran += counted ? passed : 0;
            ++met[seen.begin()->ends_with('9') ? 1 : 0];
            test::recycle(frames.data(), passed);
        }
    });
    const Sets sets;
    const Program stays = marking<9>();
    std::size_t now = 3;
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    const auto seen_enough = [&] { return met[0].load() != 0 && met[1].load() != 0; };
    for (std::uint32_t i = 0; i < 400 || (!seen_enough() && std::chrono::steady_clock::now() < end);
         ++i) {
        if (i % 10 == 0) {
            ASSERT_TRUE(join_all({placed(stays, 9)}));
        }
        const std::size_t next = (now + 1 + i % 3) % Sets::kSets;
        ChainChange change = sets.from(now, next);
        if (i % 10 == 9) {
            change.leave.push_back(stays->id);
        }
        if (!change.join.empty() || !change.leave.empty()) {
            const Status done = change_chain(0, change);
            ASSERT_TRUE(done) << done.error().message;
        }
        now = next;
        std::this_thread::yield();
    }
    stop.store(true);
    poller.join();
    EXPECT_EQ(wrong.load(), 0U);
    EXPECT_TRUE(seen_enough());
    EXPECT_GE(ran.load(), verdicts(0).pass);
    EXPECT_EQ(source_.in_flight(), 0U);
}

}  // namespace
}  // namespace crema::xdp
