// SPDX-License-Identifier: BSD-3-Clause
//
// Devices without IOMMU: where memory is said to lie, and who stops the device when its process is
// gone. That a device really finds its frames there is tried in guests (tests/guest).
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <gtest/gtest.h>
#include <string>
#include <sys/mman.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "lib/vfio/kernel/guardian.h"
#include "lib/vfio/kernel/mapper.h"
#include "lib/vfio/kernel/physical.h"

namespace crema::vfio::kernel {
namespace {

constexpr std::uint64_t kPresent = std::uint64_t{1} << 63U;
constexpr std::size_t kHuge = 2U << 20U;
constexpr std::size_t kPagesOfHuge = kHuge / 4096;

void add_huge_page(std::vector<std::uint64_t>& entries, std::uint64_t address) {
    for (std::size_t i = 0; i < kPagesOfHuge; ++i) {
        entries.push_back(kPresent | (address / 4096 + i));
    }
}

TEST(PhysicalMemory, NeighboursArePiecesOfOne) {
    std::vector<std::uint64_t> entries;
    add_huge_page(entries, 8 * kHuge);
    add_huge_page(entries, 9 * kHuge);
    add_huge_page(entries, 3 * kHuge);
    const auto pieces = pieces_of(entries, 4096);
    ASSERT_TRUE(pieces) << pieces.error().message;
    ASSERT_EQ(pieces->size(), 2U);
    EXPECT_EQ((*pieces)[0].iova, 8 * kHuge);
    EXPECT_EQ((*pieces)[0].bytes, 2 * kHuge);
    EXPECT_EQ((*pieces)[1].iova, 3 * kHuge);
    EXPECT_EQ((*pieces)[1].bytes, kHuge);
}

TEST(PhysicalMemory, WhatCannotBeUsedIsRefused) {
    std::vector<std::uint64_t> entries;
    add_huge_page(entries, 8 * kHuge);
    entries[5] &= ~kPresent;
    EXPECT_EQ(pieces_of(entries, 4096).error().code, EFAULT);
    entries[5] = kPresent;  // what a process without rights reads
    EXPECT_EQ(pieces_of(entries, 4096).error().code, EPERM);
    entries[5] = kPresent | 12345;
    EXPECT_EQ(pieces_of(entries, 4096).error().code, ENOTSUP);
    entries.resize(5);
    EXPECT_EQ(pieces_of(entries, 4096).error().code, ENOTSUP) << "a piece of a huge page";
}

TEST(PhysicalMemory, SmallPagesOfThisProcessAreRefused) {
    void* const memory = ::mmap(nullptr, kHuge, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    ASSERT_NE(memory, MAP_FAILED);
    ASSERT_EQ(::madvise(memory, kHuge, MADV_NOHUGEPAGE), 0);
    const auto pieces = physical_pieces(static_cast<std::uint8_t*>(memory) + 4096, 8192);
    ASSERT_FALSE(pieces);
    const int code = pieces.error().code;
    EXPECT_TRUE(code == ENOTSUP || code == EPERM || code == ENOMEM) << pieces.error().message;
    ::munmap(memory, kHuge);
}

TEST(IovaRanges, WhatIsBetweenThemIsAHole) {
    EXPECT_TRUE(holes_between({}).empty()) << "nobody says";
    const auto holes = holes_between({{0, 0xfedfffff}, {0xfef00000, 0xffffffffff}});
    ASSERT_EQ(holes.size(), 1U);
    EXPECT_EQ(holes[0].start, 0xfee00000U);
    EXPECT_EQ(holes[0].end, 0xfef00000U);
    const auto low = holes_between({{0x1000, 0xffff}});
    ASSERT_EQ(low.size(), 2U);
    EXPECT_EQ(low[0].end, 0x1000U);
    EXPECT_EQ(low[1].start, 0x10000U);
    EXPECT_EQ(low[1].end, std::uint64_t{1} << 32U);
    EXPECT_EQ(holes_between({{std::uint64_t{1} << 32U, ~std::uint64_t{0}}}).front().end,
              std::uint64_t{1} << 32U);
}

/// A file for a device: what the guardian wrote is in it.
class GuardianTest : public testing::Test {
  protected:
    static constexpr std::uint64_t kRegion = 4096;
    static constexpr std::array<RegisterWrite, 2> kWrites = {{{8, 0xff00}, {0, 0x11223344}}};

    void SetUp() override { ASSERT_TRUE(device_.valid()); }

    [[nodiscard]] std::uint32_t register_at(std::uint32_t offset) const {
        std::uint32_t value = 0;
        return ::pread(device_.get(), &value, sizeof(value),
                       static_cast<off_t>(kRegion + offset)) == sizeof(value)
                   ? value
                   : 0;
    }

    void expect_stopped_soon() const {
        for (int i = 0; i < 5000 && register_at(0) == 0; ++i) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        EXPECT_EQ(register_at(0), 0x11223344U);
        EXPECT_EQ(register_at(8), 0xff00U);
    }

    UniqueFd device_{::memfd_create("device", MFD_CLOEXEC)};
};

TEST_F(GuardianTest, StopsTheDeviceWhenItsProcessIsKilled) {
    const pid_t victim = ::fork();
    if (victim == 0) {
        const auto guardian = Guardian::start(device_.get(), kRegion, kWrites);
        // A child that outlives the process, with all its descriptors, keeps nothing from being
        // done.
        if (!guardian || ::fork() == 0) {
            ::sleep(guardian ? 3 : 0);
            ::_exit(1);
        }
        ::kill(::getpid(), SIGKILL);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(victim, &status, 0), victim);
    ASSERT_TRUE(WIFSIGNALED(status)) << "it was to be killed";
    expect_stopped_soon();
}

TEST_F(GuardianTest, WaitsAsLongAsItsProcessLives) {
    {
        const auto guardian = Guardian::start(device_.get(), kRegion, kWrites);
        ASSERT_TRUE(guardian) << guardian.error().message;
        EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "nobody here has a child";
        EXPECT_EQ(errno, ECHILD);
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
        EXPECT_EQ(register_at(0), 0U);
    }
    EXPECT_EQ(register_at(0), 0x11223344U) << "when its owner goes it has done its work";
}

TEST_F(GuardianTest, HasRoomForSoManyWrites) {
    const std::vector<RegisterWrite> many(Guardian::kWritesMax + 1);
    EXPECT_EQ(Guardian::start(device_.get(), kRegion, many).error().code, E2BIG);
}

}  // namespace
}  // namespace crema::vfio::kernel
