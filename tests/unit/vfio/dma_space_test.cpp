// SPDX-License-Identifier: BSD-3-Clause
//
// The IOVA space: addresses, refusals, reuse, and lookups while other ranges come and go.
#include "lib/vfio/dma_space.h"

#include <atomic>
#include <cerrno>
#include <gtest/gtest.h>
#include <thread>
#include <vector>

namespace crema::vfio {
namespace {

alignas(4096) std::uint8_t memory[64 * 4096];

TEST(DmaSpace, TranslatesBothWays) {
    DmaSpace space;
    const auto iova = space.map(memory + 64, 4096);
    ASSERT_TRUE(iova.has_value()) << iova.error().message;
    EXPECT_NE(*iova, DmaSpace::kNoIova);
    EXPECT_EQ(*iova % 4096, 64U) << "the page offset of the address is kept";
    EXPECT_EQ(space.iova_of(memory + 64 + 100), *iova + 100);
    EXPECT_EQ(space.iova_of(memory), DmaSpace::kNoIova);
    EXPECT_EQ(space.va_of(*iova + 100, 10), memory + 64 + 100);
    EXPECT_EQ(space.va_of(*iova, 4096), memory + 64);
    EXPECT_EQ(space.va_of(*iova, 4097), nullptr);
    EXPECT_EQ(space.va_of(*iova + 4096, 1), nullptr);
    EXPECT_EQ(space.va_of(*iova - 1, 1), nullptr);
    EXPECT_EQ(space.va_of(0, 1), nullptr);
    EXPECT_EQ(space.va_of(0xffffffffU, 0xffffffffU), nullptr);
    const auto window = space.window_of(memory + 64);
    EXPECT_EQ(window.bytes, 4096U);
    EXPECT_EQ(window.iova_of(memory + 128), *iova + 64);
    EXPECT_EQ(space.window_at(*iova + 4095).va, memory + 64);
    EXPECT_EQ(space.window_at(*iova + 4096).bytes, 0U);
}

TEST(DmaSpace, NeighboursHaveAGapBetween) {
    DmaSpace space;
    const auto first = space.map(memory, 4096);
    const auto second = space.map(memory + 4096, 4096);
    ASSERT_TRUE(first && second);
    const auto low = std::min(*first, *second);
    const auto high = std::max(*first, *second);
    EXPECT_GE(high - low, 8192U);
    EXPECT_EQ(space.va_of(low + 4096, 1), nullptr);
    EXPECT_EQ(space.ranges(), 2U);
}

TEST(DmaSpace, LargeRangesKeepTheirPlaceInAHugePage) {
    constexpr std::size_t kHugePage = 2U << 20U;
    DmaSpace space;
    auto* const address = reinterpret_cast<std::uint8_t*>(7 * kHugePage + 5 * 4096);  // not touched
    const auto iova = space.map(address, 3 * kHugePage);
    ASSERT_TRUE(iova) << iova.error().message;
    EXPECT_EQ(*iova % kHugePage, 5U * 4096U);
    const auto next = space.map(address + 3 * kHugePage, kHugePage);
    ASSERT_TRUE(next) << next.error().message;
    EXPECT_EQ(*next % kHugePage, 5U * 4096U);
    EXPECT_GT(*next, *iova + 3 * kHugePage) << "with a gap";
}

/// A device that cannot use some addresses, and keeps what it is told.
struct Picky final : DmaListener {
    [[nodiscard]] std::vector<DmaHole> holes() const override { return unusable; }

    [[nodiscard]] Status range_added(const DmaReach::Window& window,
                                     std::span<const DmaBacking> /*backing*/) override {
        known.push_back(window);
        return {};
    }

    void range_removed(const DmaReach::Window& /*window*/) override { known.pop_back(); }

    std::vector<DmaHole> unusable;
    std::vector<DmaReach::Window> known;
};

TEST(DmaSpace, RangesStayOutOfTheHolesOfDevices) {
    DmaSpace space;
    Picky device;
    device.unusable = {{.start = 0, .end = 0x100000}, {.start = 0x102000, .end = 0x200000}};
    ASSERT_TRUE(space.attach(device));
    const auto first = space.map(memory, 4096);
    ASSERT_TRUE(first);
    EXPECT_EQ(*first, 0x100000U) << "a page and its gap fit between the holes";
    const auto second = space.map(memory + 8192, 8192);
    ASSERT_TRUE(second);
    EXPECT_EQ(*second, 0x200000U);
    EXPECT_EQ(device.known.size(), 2U);
}

TEST(DmaSpace, MemoryThatLiesInAHoleKeepsADeviceOut) {
    DmaSpace space;
    const auto iova = space.map(memory, 4096);
    ASSERT_TRUE(iova);
    Picky device;
    device.unusable = {{.start = *iova + 2048, .end = *iova + 8192}};
    const auto attached = space.attach(device);
    ASSERT_FALSE(attached);
    EXPECT_EQ(attached.error().code, ENOSPC);
    EXPECT_TRUE(device.known.empty());
    const auto next = space.map(memory + 8192, 4096);
    ASSERT_TRUE(next);
    EXPECT_EQ(*next, *iova + 8192) << "holes of a device that was refused do not count";
}

/// A device that sees memory where it physically is.
struct Unprotected final : DmaListener {
    [[nodiscard]] Result<std::vector<DmaPiece>> places(void* va, std::size_t bytes) const override {
        if (refuses) {
            return fail(EPERM, "not told");
        }
        std::vector<DmaPiece> pieces;
        const auto page = static_cast<std::size_t>(static_cast<std::uint8_t*>(va) - memory) / 4096;
        for (std::size_t i = 0; i < bytes / 4096; ++i) {
            pieces.push_back({.iova = frames.at(page + i) * 4096, .bytes = 4096});
        }
        return pieces;
    }

    [[nodiscard]] Status range_added(const DmaReach::Window& window,
                                     std::span<const DmaBacking> backing) override {
        if (known.size() == most) {
            return fail(ENOMEM, "enough");
        }
        known.push_back(window);
        files.insert(files.end(), backing.begin(), backing.end());
        return {};
    }

    void range_removed(const DmaReach::Window& window) override {
        std::erase_if(known, [&](const auto& each) { return each.va == window.va; });
    }

    std::vector<std::uint64_t> frames{};
    bool refuses = false;
    std::size_t most = 100;
    std::vector<DmaReach::Window> known{};
    std::vector<DmaBacking> files{};
};

TEST(DmaSpace, PhysicalMemoryIsWhereItIs) {
    DmaSpace space;
    Unprotected device;
    Picky other;
    device.frames = {100, 7, 8, 50};
    ASSERT_TRUE(space.attach(other));
    ASSERT_TRUE(space.attach(device));
    const std::vector<DmaBacking> files = {{.fd = 3, .offset = 0, .bytes = 6144},
                                           {.fd = 4, .offset = 4096, .bytes = 6144}};
    const auto iova = space.map(memory, std::size_t{3} * 4096, files);
    ASSERT_TRUE(iova) << iova.error().message;
    EXPECT_EQ(*iova, 100U * 4096);
    EXPECT_EQ(space.ranges(), 1U);
    EXPECT_EQ(device.known.size(), 3U);
    EXPECT_EQ(other.known.size(), 3U) << "all devices have the same addresses";
    EXPECT_EQ(space.iova_of(memory + 4095), 100U * 4096 + 4095);
    EXPECT_EQ(space.iova_of(memory + 4096), 7U * 4096);
    EXPECT_EQ(space.iova_of(memory + 2 * 4096 + 5), 8U * 4096 + 5);
    EXPECT_EQ(space.window_of(memory + 4096).bytes, 4096U) << "windows end where pieces do";
    EXPECT_EQ(space.va_of(7 * 4096 + 1, 4095), memory + 4097);
    EXPECT_EQ(space.va_of(7 * 4096 + 1, 4096), nullptr);
    ASSERT_EQ(device.files.size(), 4U);  // the second page lies in both files
    EXPECT_EQ(device.files[1].offset, 4096U);
    EXPECT_EQ(device.files[1].bytes, 2048U);
    EXPECT_EQ(device.files[2].fd, 4);
    EXPECT_EQ(device.files[2].bytes, 2048U);
    EXPECT_EQ(device.files[3].offset, 6144U);
    ASSERT_TRUE(space.unmap(memory));
    EXPECT_TRUE(device.known.empty());
    EXPECT_EQ(space.iova_of(memory + 4096), DmaSpace::kNoIova);
    EXPECT_EQ(space.ranges(), 0U);
}

TEST(DmaSpace, PhysicalMemoryOutOfReachIsRefusedAsAWhole) {
    DmaSpace space;
    Unprotected device;
    ASSERT_TRUE(space.attach(device));
    device.frames = {100, std::uint64_t{1} << 20U, 0, 7, 7};
    EXPECT_EQ(space.map(memory, 8192).error().code, ENOSPC) << "at 4 GiB";
    EXPECT_EQ(space.map(memory + 8192, 4096).error().code, ENOSPC) << "at 0";
    device.refuses = true;
    EXPECT_EQ(space.map(memory, 4096).error().code, EPERM);
    device.refuses = false;
    ASSERT_TRUE(space.map(memory + std::size_t{3} * 4096, 4096));
    EXPECT_EQ(space.map(memory + std::size_t{4} * 4096, 4096).error().code, EEXIST);
    device.most = 2;
    device.frames = {100, 101};
    EXPECT_EQ(space.map(memory, 8192).error().code, ENOMEM);
    EXPECT_EQ(device.known.size(), 1U) << "the piece before is taken back";
    EXPECT_EQ(space.ranges(), 1U);
    EXPECT_EQ(space.iova_of(memory), DmaSpace::kNoIova);
}

TEST(DmaSpace, ADeviceThatSeesPhysicalMemoryComesBeforeOthers) {
    DmaSpace space;
    Unprotected device;
    device.frames = {100};
    ASSERT_TRUE(space.map(memory, 4096));
    const auto attached = space.attach(device);
    ASSERT_FALSE(attached);
    EXPECT_EQ(attached.error().code, ENOSPC);
    EXPECT_NE(attached.error().message.find("before others"), std::string::npos);
    ASSERT_TRUE(space.unmap(memory));
    ASSERT_TRUE(space.attach(device));
    ASSERT_TRUE(space.map(memory, 4096));
    Unprotected second;
    second.frames = {100};
    ASSERT_TRUE(space.attach(second)) << "the same addresses";
    EXPECT_EQ(second.known.size(), 1U);
    Picky hole;
    hole.unusable = {{.start = 100 * 4096 + 100, .end = 100 * 4096 + 200}};
    EXPECT_EQ(space.attach(hole).error().code, ENOSPC);
}

TEST(DmaSpace, RefusesWhatItCannotServe) {
    DmaSpace space;
    EXPECT_EQ(space.map(memory + 1, 64).error().code, EINVAL);
    EXPECT_EQ(space.map(memory, 65).error().code, EINVAL);
    EXPECT_EQ(space.map(memory, 0).error().code, EINVAL);
    EXPECT_EQ(space.map(nullptr, 64).error().code, EINVAL);
    ASSERT_TRUE(space.map(memory + 4096, 4096));
    EXPECT_EQ(space.map(memory + 4096, 4096).error().code, EEXIST);
    EXPECT_EQ(space.map(memory, 8192).error().code, EEXIST);
    EXPECT_EQ(space.map(memory + 8192 - 64, 4096).error().code, EEXIST);
    EXPECT_EQ(space.unmap(memory).error().code, ENOENT);
    // Never touched, so the size alone counts.
    auto* far = reinterpret_cast<std::uint8_t*>(std::uintptr_t{1} << 40U);
    EXPECT_EQ(space.map(far, std::size_t{1} << 33U).error().code, ENOSPC);
    ASSERT_TRUE(space.map(far, std::size_t{3} << 30U));
    EXPECT_EQ(space.map(far + (std::size_t{4} << 30U), std::size_t{1} << 30U).error().code, ENOSPC);
}

TEST(DmaSpace, FillsTheTableAndReusesIt) {
    DmaSpace space;
    std::vector<std::uint32_t> iovas;
    for (unsigned i = 0; i < 1024; ++i) {
        const auto iova = space.map(memory + std::size_t{i} * 128, 64);
        ASSERT_TRUE(iova.has_value()) << i << ": " << iova.error().message;
        iovas.push_back(*iova);
    }
    EXPECT_EQ(space.map(memory + 60 * 4096, 64).error().code, ENOSPC);
    ASSERT_TRUE(space.unmap(memory + 128));
    EXPECT_EQ(space.va_of(iovas[1], 1), nullptr);
    EXPECT_EQ(space.ranges(), 1023U);
    const auto again = space.map(memory + 60 * 4096, 64);
    ASSERT_TRUE(again.has_value());
    EXPECT_EQ(space.va_of(*again, 64), memory + 60 * 4096);
}

TEST(DmaSpace, GenerationMovesWithUnmapOnly) {
    DmaSpace space;
    const auto before = space.generation();
    ASSERT_TRUE(space.map(memory, 64));
    EXPECT_EQ(space.generation(), before);
    ASSERT_TRUE(space.unmap(memory));
    EXPECT_NE(space.generation(), before);
    EXPECT_EQ(space.ranges(), 0U);
}

TEST(DmaSpace, LookupsSurviveChangesOfOtherRanges) {
    DmaSpace space;
    ASSERT_TRUE(space.map(memory, 64));
    const auto mine = space.map(memory + 4096, 4096);
    ASSERT_TRUE(mine.has_value());
    std::atomic<bool> stop{false};
    std::thread churn([&] {
        while (!stop.load(std::memory_order_relaxed)) {
            EXPECT_TRUE(space.unmap(memory));
            EXPECT_TRUE(space.map(memory, 64));
        }
    });
    for (unsigned i = 0; i < 20000; ++i) {
        ASSERT_EQ(space.va_of(*mine + 8, 8), memory + 4096 + 8);
        ASSERT_EQ(space.iova_of(memory + 4096), *mine);
    }
    stop.store(true, std::memory_order_relaxed);
    churn.join();
}

}  // namespace
}  // namespace crema::vfio
