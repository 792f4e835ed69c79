// SPDX-License-Identifier: BSD-3-Clause
//
// Functions that are replaced while programs run on other threads: every run sees the one or the
// other, and what is taken away is freed only when nobody is inside.
#include <array>
#include <atomic>
#include <gtest/gtest.h>
#include <thread>
#include <vector>

#include "lib/base/unique_fd.h"
#include "lib/ebpf/syscall/object_store.h"
#include "lib/ebpf/syscall/session.h"
#include "lib/xdp/test_run.h"
#include "tests/support/extensions.h"

namespace crema::xdp {
namespace {

using ebpf::Engine;
using ebpf::syscall::Session;
using test::ContextTypes;

constexpr std::uint32_t kOriginal = 3, kReplaced = 1000;
constexpr std::array<std::uint8_t, 64> kPacket{};

/// Spends time inside, so that it is seldom empty, and returns `verdict`.
test::Code slow(std::uint32_t verdict) {
    return {test::mov_k(1, 200), test::add_k(1, -1), test::jump_k(ebpf::op::kJne, 1, 0, -2),
            test::mov_k(0, verdict), test::exit_insn()};
}

struct Trial {
    Engine engine;
    bool whole;  // the first function, or one that it calls
};

class Replacement : public testing::TestWithParam<Trial> {};

TEST_P(Replacement, WhileOthersRun) {
    const Session session(0, Session::OnRefusal::fail, GetParam().engine,
                          Session::Lifetime::descriptors);
    const ContextTypes types;
    const UniqueFd types_fd(static_cast<int>(test::load_types(types.writer)));
    const UniqueFd target_fd(static_cast<int>(test::load_target(types_fd.get())));
    ASSERT_TRUE(target_fd.valid()) << session.refusal()->message;
    const auto target = ebpf::syscall::program_of(target_fd.get());
    const std::uint32_t function = GetParam().whole ? types.whole : types.called;

    std::atomic<bool> done{false};
    std::atomic<std::uint64_t> originals{0};
    std::atomic<std::uint64_t> replaced{0};
    std::atomic<std::uint64_t> others{0};
    constexpr std::size_t kRunners = 3;
    std::vector<std::thread> runners;
    runners.reserve(kRunners);
    for (std::size_t i = 0; i < kRunners; ++i) {
        runners.emplace_back([&] {
            while (!done.load(std::memory_order_relaxed)) {
                const std::uint32_t verdict = test_run(*target, kPacket, 0, 70)->retval;
                (verdict == kOriginal   ? originals
                 : verdict == kReplaced ? replaced
                                        : others)
                    .fetch_add(1, std::memory_order_relaxed);
            }
        });
    }
    for (int round = 0; round < 100; ++round) {
        // Each is new code, which is unmapped when the link goes.
        UniqueFd extension(static_cast<int>(
            test::load_extension(slow(kReplaced), types_fd.get(), target_fd.get(), function)));
        ASSERT_TRUE(extension.valid()) << session.refusal()->message;
        EXPECT_EQ(test_run(*target, kPacket, 0, 1)->retval, kOriginal);
        UniqueFd link(static_cast<int>(test::put_in_place(extension.get())));
        ASSERT_TRUE(link.valid()) << session.refusal()->message;
        EXPECT_EQ(test_run(*target, kPacket, 0, 1)->retval, kReplaced);
        std::this_thread::yield();
        link.reset();
        extension.reset();
        ebpf::syscall::object_store::collect();
    }
    done.store(true);
    for (std::thread& runner : runners) {
        runner.join();
    }
    EXPECT_EQ(others.load(), 0U);
    EXPECT_GT(originals.load(), 0U);
    EXPECT_GT(replaced.load(), 0U);
}

INSTANTIATE_TEST_SUITE_P(Both,
                         Replacement,
                         testing::Values(Trial{Engine::automatic, false},
                                         Trial{Engine::automatic, true},
                                         Trial{Engine::interpreter, false},
                                         Trial{Engine::interpreter, true}),
                         [](const auto& each) {
                             return std::string(each.param.engine == Engine::interpreter
                                                    ? "Interpreted"
                                                    : "Compiled") +
                                    (each.param.whole ? "Whole" : "Called");
                         });

}  // namespace
}  // namespace crema::xdp
