// SPDX-License-Identifier: BSD-3-Clause
//
// Every verdict to its end: where the frames are afterwards, what was counted, and that as many
// pages come home as went out.
#include <array>
#include <atomic>
#include <chrono>
#include <gtest/gtest.h>
#include <thread>

#include "lib/xdp/attach.h"
#include "lib/xdp/quiescence.h"
#include "tests/support/eal.h"
#include "tests/support/fake_port.h"
#include "tests/support/tiny_program.h"

namespace crema::xdp {
namespace {

[[maybe_unused]] const auto* const eal = test::with_eal({"-m", "64", "-l", "0"});

constexpr std::uint32_t kAborted = 0, kDrop = 1, kPass = 2, kTx = 3, kRedirect = 4;

std::uint64_t sum_of(const VerdictCounters& own) {
    return own.drop + own.aborted + own.pass + own.tx + own.tx_errors + own.redirect +
           own.redirect_errors;
}

class XdpVerdict : public testing::Test {
  protected:
    /// Runs one burst of n frames; passed ones are recycled. Returns how many were passed.
    std::uint32_t burst(std::uint32_t n) {
        std::array<Frame, kBurstMax> frames;
        const std::uint32_t got = source_.make(frames.data(), n);
        EXPECT_EQ(got, n);
        const std::uint32_t passed = port_.run(frames.data(), got);
        test::recycle(frames.data(), passed);
        return passed;
    }

    test::FrameSource source_{"verdict"};
    test::FakePort port_{0};
};

TEST_F(XdpVerdict, WithoutProgramEverythingPassesUncounted) {
    EXPECT_EQ(burst(64), 64U);
    EXPECT_EQ(sum_of(verdicts(0)), 0U);
}

TEST_F(XdpVerdict, DropGoesHome) {
    ASSERT_TRUE(attach(0, test::returning(kDrop)));
    EXPECT_EQ(burst(33), 0U);
    EXPECT_EQ(verdicts(0).drop, 33U);
    EXPECT_EQ(source_.in_flight(), 0U);
}

TEST_F(XdpVerdict, PassStaysWithTheCaller) {
    ASSERT_TRUE(attach(0, test::returning(kPass)));
    EXPECT_EQ(burst(64), 64U);
    EXPECT_EQ(verdicts(0).pass, 64U);
}

TEST_F(XdpVerdict, TxLeavesByTheSamePortWithOneDoorbell) {
    ASSERT_TRUE(attach(0, test::returning(kTx)));
    EXPECT_EQ(burst(64), 0U);
    EXPECT_EQ(port_.transmitted, 64U);
    EXPECT_EQ(port_.xmit_calls, 1U);
    EXPECT_EQ(verdicts(0).tx, 64U);
}

TEST_F(XdpVerdict, TxRefusedByTheRingGoesHomeAndIsCounted) {
    ASSERT_TRUE(attach(0, test::returning(kTx)));
    port_.room = 10;
    burst(64);
    EXPECT_EQ(verdicts(0).tx, 10U);
    EXPECT_EQ(verdicts(0).tx_errors, 54U);
    EXPECT_EQ(source_.in_flight(), 0U);
}

TEST_F(XdpVerdict, AbortedAndUnknownCodesAreAborted) {
    for (const std::uint32_t act : {kAborted, 5U, 77U, 0xffffffffU}) {
        ASSERT_TRUE(attach(0, test::returning(act)));
        EXPECT_EQ(burst(8), 0U) << "verdict " << act;
    }
    EXPECT_EQ(verdicts(0).aborted, 32U);
    EXPECT_EQ(sum_of(verdicts(0)), 32U);
    EXPECT_EQ(source_.in_flight(), 0U);
}

TEST_F(XdpVerdict, OnlyTheLowHalfOfTheReturnValueCounts) {
    ASSERT_TRUE(attach(0, test::calling([](auto...) -> std::uint64_t { return 0x700000002; })));
    EXPECT_EQ(burst(4), 4U);
}

TEST_F(XdpVerdict, RedirectWithoutTargetIsAnError) {
    ASSERT_TRUE(attach(0, test::returning(kRedirect)));
    EXPECT_EQ(burst(16), 0U);
    EXPECT_EQ(verdicts(0).redirect_errors, 16U);
    EXPECT_EQ(verdicts(0).redirect, 0U);
    EXPECT_EQ(source_.in_flight(), 0U);
}

std::uint64_t by_first_byte(
    std::uint64_t r1, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t) {
    return reinterpret_cast<ebpf::XdpBuff*>(r1)->data[0] % 4;
}

TEST_F(XdpVerdict, PassedFramesKeepTheirOrder) {
    ASSERT_TRUE(attach(0, test::calling(by_first_byte)));
    std::array<Frame, kBurstMax> frames;
    ASSERT_EQ(source_.make(frames.data(), 64), 64U);
    const std::uint32_t passed = port_.run(frames.data(), 64);
    ASSERT_EQ(passed, 16U);
    for (std::uint32_t i = 0; i < passed; ++i) {
        EXPECT_EQ(frames[i].data[0], 4 * i + kPass);
    }
    test::recycle(frames.data(), passed);
    EXPECT_EQ(verdicts(0).drop, 16U);
    EXPECT_EQ(verdicts(0).tx, 16U);
    EXPECT_EQ(verdicts(0).aborted, 16U);
}

std::uint64_t shrink(std::uint64_t r1, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t) {
    auto& buff = *reinterpret_cast<ebpf::XdpBuff*>(r1);
    buff.data += 14;
    buff.data_end -= 4;
    buff.data_meta = buff.data - 8;
    return kPass;
}

TEST_F(XdpVerdict, MovedEdgesReachTheCaller) {
    ASSERT_TRUE(attach(0, test::calling(shrink)));
    Frame frame{};
    ASSERT_EQ(source_.make(&frame, 1), 1U);
    const std::uint8_t* const before = frame.data;
    ASSERT_EQ(port_.run(&frame, 1), 1U);
    EXPECT_EQ(frame.data, before + 14);
    EXPECT_EQ(frame.len, 64U - 18);
    EXPECT_EQ(frame.meta_len, 8U);
    test::recycle(&frame, 1);
}

std::uint64_t check_context(
    std::uint64_t r1, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t) {
    const auto& buff = *reinterpret_cast<const ebpf::XdpBuff*>(r1);
    const bool right = buff.ingress_ifindex == 1 && buff.rx_queue_index == 3 &&
                       buff.egress_ifindex == 0 && buff.data_end - buff.data == 64 &&
                       buff.data_meta == buff.data &&
                       buff.data - buff.data_hard_start == ebpf::kXdpHeadroom &&
                       buff.redirect.kind == ebpf::RedirectTarget::Kind::none &&
                       buff.cpu == static_cast<std::uint32_t>(sched_getcpu());
    return right ? kPass : kDrop;
}

TEST_F(XdpVerdict, ContextSaysWhereTheFrameIsFrom) {
    ASSERT_TRUE(attach(0, test::calling(check_context)));
    Frame frame{};
    ASSERT_EQ(source_.make(&frame, 1), 1U);
    ASSERT_EQ(port_.run(&frame, 1, 3), 1U);
    test::recycle(&frame, 1);
}

TEST_F(XdpVerdict, AMillionFramesPerVerdictAreAccountedFor) {
    constexpr std::uint32_t kFrames = 1'000'000;
    for (std::uint32_t act = 0; act <= 5; ++act) {
        const std::uint64_t before = sum_of(verdicts(0));
        ASSERT_TRUE(attach(0, test::returning(act)));
        std::uint32_t done = 0;
        while (done < kFrames) {
            const std::uint32_t n = std::min(kBurstMax, kFrames - done);
            burst(n);
            done += n;
        }
        EXPECT_EQ(sum_of(verdicts(0)) - before, kFrames) << "verdict " << act;
        EXPECT_EQ(source_.in_flight(), 0U) << "verdict " << act;
    }
}

TEST_F(XdpVerdict, AttachRefusesWhatDoesNotFit) {
    EXPECT_EQ(attach(7, test::returning(kPass)).error().code, ENODEV);
    EXPECT_EQ(attach(0, test::returning(kPass, ebpf::kAttachXdpDevmap)).error().code, EINVAL);
    EXPECT_EQ(attach(0, test::returning(kPass, ebpf::kAttachXdpCpumap)).error().code, EINVAL);
    const auto bound = std::make_shared<ebpf::LoadedProgram>();
    bound->code =
        ebpf::lowering::compile(
            {.functions = {{.insns = {{.code = 0x95, .dst = 0, .src = 0, .off = 0, .imm = 0}},
                            .natives = {}}}})
            .value();
    bound->program.bound_ifindex = 2;  // port 1
    EXPECT_EQ(attach(0, bound).error().code, EINVAL);
    port_.refuse_attach = fail(EINVAL, "MTU 9000 is too large");
    const Status refused = attach(0, test::returning(kPass));
    EXPECT_EQ(refused.error().code, EINVAL);
    EXPECT_NE(refused.error().message.find("MTU 9000 is too large"), std::string::npos);
    EXPECT_EQ(attached(0), nullptr);
    EXPECT_EQ(detach(0).error().code, ENOENT);
    EXPECT_EQ(detach(9).error().code, ENODEV);
}

TEST_F(XdpVerdict, ReplacedProgramIsReleasedAndDetachPasses) {
    auto first = test::returning(kDrop);
    const std::weak_ptr<const ebpf::LoadedProgram> watch = first;
    ASSERT_TRUE(attach(0, std::move(first)));
    ASSERT_TRUE(attach(0, test::returning(kTx)));
    EXPECT_TRUE(watch.expired()) << "nobody can run the old program any more";
    burst(4);
    EXPECT_EQ(verdicts(0).tx, 4U);
    ASSERT_TRUE(detach(0));
    EXPECT_EQ(attached(0), nullptr);
    EXPECT_EQ(burst(4), 4U);
}

TEST_F(XdpVerdict, RegisteringTwiceIsRefused) {
    EXPECT_EQ(register_port(0, test::FakePort::kOps, nullptr).error().code, EEXIST);
    EXPECT_EQ(register_port(kPortsMax, test::FakePort::kOps, nullptr).error().code, EINVAL);
    EXPECT_EQ(port_by_ifindex(0), nullptr);
    EXPECT_EQ(port_by_ifindex(2), nullptr);
    ASSERT_NE(port_by_ifindex(1), nullptr);
    EXPECT_EQ(port_by_ifindex(1)->port_id, 0);
}

TEST_F(XdpVerdict, ProgramsAreSwappedUnderTrafficWithoutLosingAFrame) {
    std::atomic<bool> stop{false};
    std::atomic<std::uint64_t> ran{0};
    std::thread poller([&] {
        std::array<Frame, kBurstMax> frames;
        while (!stop.load()) {
            const std::uint32_t n = source_.make(frames.data(), 32);
            const bool counted = port_.hooks[0].active.load(std::memory_order_acquire);
            const std::uint32_t passed =
                counted ? port_.hooks[0].run(&port_.hooks[0], frames.data(), n) : n;
            ran += counted ? n : 0;
            test::recycle(frames.data(), passed);
        }
    });
    // On a busy machine the poller may have no turn for a while.
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    for (std::uint32_t i = 0;
         i < 300 || (ran.load() == 0 && std::chrono::steady_clock::now() < end); ++i) {
        ASSERT_TRUE(attach(0, test::returning(i % 4)));
        std::this_thread::yield();
        if (i % 7 == 0) {
            ASSERT_TRUE(detach(0));
        }
    }
    stop.store(true);
    poller.join();
    EXPECT_GT(ran.load(), 0U);
    EXPECT_EQ(sum_of(verdicts(0)), ran.load());
    EXPECT_EQ(source_.in_flight(), 0U);
}

TEST(XdpQuiescence, SynchronizeWaitsForTheBurst) {
    Reader reader;
    std::atomic<int> step{0};
    reader.enter();
    std::thread control([&] {
        step.store(1);
        synchronize();
        step.store(2);
    });
    while (step.load() == 0) {
        std::this_thread::yield();
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_EQ(step.load(), 1) << "a burst still runs";
    reader.leave();
    control.join();
    EXPECT_EQ(step.load(), 2);
}

TEST(XdpQuiescence, IdleReadersDoNotHoldAnybodyUp) {
    const Reader idle;
    synchronize();
}

}  // namespace
}  // namespace crema::xdp
