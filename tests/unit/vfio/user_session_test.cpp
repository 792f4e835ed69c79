// SPDX-License-Identifier: BSD-3-Clause
//
// The server's answers, command by command, right ones and wrong ones; and a client's memory.
#include <cerrno>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <random>
#include <sys/eventfd.h>

#include "lib/vfio/user/session.h"
#include "tests/unit/vfio/copy_engine.h"

namespace crema::vfio::user {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20U;

class UserSession : public testing::Test {
  protected:
    void SetUp() override { start(Flavour::plain); }

    void start(Flavour flavour) {
        session_ = std::make_unique<Session>(engine_, memory_, flavour);
        EXPECT_EQ(say(Command::version, Version{}), 0);
    }

    template <typename Request>
    int say(Command command, const Request& request, int fd = -1) {
        const auto bytes = bytes_of(request);
        return say_bytes(command, {bytes.begin(), bytes.end()}, fd);
    }

    int say_bytes(Command command, const std::vector<std::uint8_t>& bytes, int fd = -1) {
        Fds fds;
        if (fd >= 0) {
            fds.add(UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, 0)));
        }
        return session_->handle(command, bytes, fds, reply_);
    }

    template <typename Reply>
    Reply reply() {
        Reply value{};
        EXPECT_EQ(reply_.size(), sizeof(Reply));
        EXPECT_TRUE(load(std::span<const std::uint8_t>(reply_), value));
        return value;
    }

    int read(std::uint64_t offset, std::uint32_t count, std::uint32_t region = 0) {
        return say(Command::region_read, RegionAccess{offset, region, count});
    }

    int write(std::uint64_t offset, std::vector<std::uint8_t> data, std::uint32_t region = 0) {
        const RegionAccess access{offset, region, static_cast<std::uint32_t>(data.size())};
        const auto head = bytes_of(access);
        data.insert(data.begin(), head.begin(), head.end());
        return say_bytes(Command::region_write, data);
    }

    std::vector<std::uint8_t> read_data() {
        return {reply_.begin() + sizeof(RegionAccess), reply_.end()};
    }

    int map(std::uint64_t address, std::uint64_t size, int fd, std::uint32_t flags = 3) {
        return say(Command::dma_map, DmaMap{sizeof(DmaMap), flags, 0, address, size}, fd);
    }

    int map_part(std::uint64_t address,
                 std::uint64_t size,
                 int fd,
                 std::uint64_t offset,
                 std::uint32_t flags = 3) {
        return say(Command::dma_map, DmaMap{sizeof(DmaMap), flags, offset, address, size}, fd);
    }

    int set_line(std::uint32_t flags, std::uint32_t count, int fd = -1) {
        return say(Command::set_irqs, SetIrqs{sizeof(SetIrqs), flags, 0, 0, count}, fd);
    }

    static bool fired(int fd) {
        std::uint64_t events = 0;
        return ::read(fd, &events, sizeof(events)) == sizeof(events);
    }

    GuestMemory memory_;
    CopyEngine engine_{memory_};
    std::unique_ptr<Session> session_;
    Session::Out reply_;
};

TEST_F(UserSession, NothingIsServedBeforeTheVersion) {
    session_ = std::make_unique<Session>(engine_, memory_, Flavour::plain);
    EXPECT_EQ(say(Command::device_info, DeviceInfo{.argsz = 16}), EINVAL);
    EXPECT_EQ(say(Command::version, Version{.major = 1}), EINVAL);
    EXPECT_EQ(say_bytes(Command::version, {0, 0}), EINVAL);
    EXPECT_EQ(say_bytes(Command::version, {0, 0, 0, 0, '{', '}'}), EINVAL);  // no NUL
    EXPECT_EQ(say_bytes(Command::version, {0, 0, 5, 0, '{', '}', 0}), 0);
    ASSERT_GT(reply_.size(), 4U);
    EXPECT_EQ(reply_[2], 0);  // the older of both minors
    EXPECT_EQ(reply_.back(), 0);
    EXPECT_EQ(say(Command::version, Version{}), EINVAL);  // once
    EXPECT_EQ(say(Command::device_info, DeviceInfo{.argsz = 16}), 0);
}

TEST_F(UserSession, TellsWhatItIs) {
    ASSERT_EQ(say(Command::device_info, DeviceInfo{.argsz = 16}), 0);
    EXPECT_EQ(reply<DeviceInfo>().flags, kDeviceReset | kDevicePlatform);
    EXPECT_EQ(reply<DeviceInfo>().regions, 1U);
    ASSERT_EQ(say(Command::region_info, RegionInfo{.argsz = 32}), 0);
    EXPECT_EQ(reply<RegionInfo>().size, CopyEngine::kBytes);
    EXPECT_EQ(reply<RegionInfo>().flags, kRegionRead | kRegionWrite);
    EXPECT_EQ(say(Command::region_info, RegionInfo{.argsz = 32, .index = 1}), EINVAL);
    EXPECT_EQ(say(Command::region_info, RegionInfo{.argsz = 31}), EINVAL);
    start(Flavour::pci);
    ASSERT_EQ(say(Command::device_info, DeviceInfo{.argsz = 16}), 0);
    EXPECT_EQ(reply<DeviceInfo>().flags, kDeviceReset | kDevicePci);
    EXPECT_EQ(reply<DeviceInfo>().regions, 9U);
    EXPECT_EQ(reply<DeviceInfo>().irqs, 5U);
    for (std::uint32_t index = 0; index < 9; ++index) {
        ASSERT_EQ(say(Command::region_info, RegionInfo{.argsz = 32, .index = index}), 0);
        const std::uint64_t want = index == 0 ? CopyEngine::kBytes : index == 7 ? 256 : 0;
        EXPECT_EQ(reply<RegionInfo>().size, want) << index;
    }
    for (std::uint32_t index = 0; index < 5; ++index) {
        ASSERT_EQ(say(Command::irq_info, IrqInfo{.argsz = 16, .index = index}), 0);
        EXPECT_EQ(reply<IrqInfo>().count, index == 0 ? 1U : 0U);
    }
    EXPECT_EQ(say(Command::irq_info, IrqInfo{.argsz = 16, .index = 5}), EINVAL);
}

TEST_F(UserSession, RegistersInAnyPieceAndNeverBeyond) {
    ASSERT_EQ(write(0x20, {1, 2, 3, 4, 5, 6, 7, 8}), 0);
    ASSERT_EQ(read(0x20, 8), 0);
    EXPECT_EQ(read_data(), (std::vector<std::uint8_t>{1, 2, 3, 4, 5, 6, 7, 8}));
    ASSERT_EQ(write(0x23, {9, 10}), 0);
    ASSERT_EQ(read(0x22, 4), 0);
    EXPECT_EQ(read_data(), (std::vector<std::uint8_t>{3, 9, 10, 6}));
    EXPECT_EQ(read(0, CopyEngine::kBytes), 0);
    EXPECT_EQ(read(CopyEngine::kBytes, 0), 0);
    EXPECT_EQ(read(CopyEngine::kBytes - 3, 4), EINVAL);
    EXPECT_EQ(read(CopyEngine::kBytes + 1, 0), EINVAL);
    EXPECT_EQ(read(~std::uint64_t{0}, 4), EINVAL);
    EXPECT_EQ(read(0, ~0U), EINVAL);
    EXPECT_EQ(read(0, 4, 1), EINVAL);
    EXPECT_EQ(write(CopyEngine::kBytes - 3, {1, 2, 3, 4}), EINVAL);
    // The data is not as long as it says.
    EXPECT_EQ(say(Command::region_write, RegionAccess{0, 0, 4}), EINVAL);
    EXPECT_EQ(session_->counts().refused, 7U);
}

TEST_F(UserSession, ConfigurationSpaceTakesWhatAFunctionTakes) {
    start(Flavour::pci);
    ASSERT_EQ(read(0, 64, 7), 0);
    EXPECT_EQ(read_data()[0], 0xab);
    EXPECT_EQ(read_data()[1], 0x11);
    EXPECT_EQ(read_data()[0x3d], 1);
    ASSERT_EQ(write(0x10, {0xff, 0xff, 0xff, 0xff}, 7), 0);
    ASSERT_EQ(read(0x10, 4, 7), 0);
    EXPECT_EQ(read_data(), (std::vector<std::uint8_t>{0xf0, 0xff, 0xff, 0xff}));
    ASSERT_EQ(write(0, {0, 0, 0, 0}, 7), 0);
    ASSERT_EQ(read(0, 2, 7), 0);
    EXPECT_EQ(read_data(), (std::vector<std::uint8_t>{0xab, 0x11}));
    EXPECT_EQ(read(250, 8, 7), EINVAL);
    EXPECT_EQ(write(255, {1, 2}, 7), EINVAL);
    EXPECT_EQ(read(0, 4, 3), EINVAL);  // a BAR that is not there
}

TEST_F(UserSession, LineFiresOnceUntilItIsUnmasked) {
    const UniqueFd event(::eventfd(0, EFD_NONBLOCK));
    ASSERT_EQ(set_line(kIrqDataEventfd | kIrqTrigger, 1, event.get()), 0);
    EXPECT_FALSE(fired(event.get()));
    ASSERT_EQ(write(CopyEngine::kLine, {1, 0, 0, 0}), 0);
    EXPECT_TRUE(fired(event.get()));
    session_->update_interrupt();
    EXPECT_FALSE(fired(event.get()));  // masked by itself
    ASSERT_EQ(set_line(kIrqDataNone | kIrqUnmask, 1), 0);
    EXPECT_TRUE(fired(event.get()));  // still up
    ASSERT_EQ(write(CopyEngine::kLine, {0, 0, 0, 0}), 0);
    ASSERT_EQ(set_line(kIrqDataNone | kIrqUnmask, 1), 0);
    EXPECT_FALSE(fired(event.get()));
    ASSERT_EQ(set_line(kIrqDataNone | kIrqTrigger, 1), 0);  // by the client's wish
    EXPECT_TRUE(fired(event.get()));
    ASSERT_EQ(set_line(kIrqDataNone | kIrqMask, 1), 0);
    ASSERT_EQ(write(CopyEngine::kLine, {1, 0, 0, 0}), 0);
    EXPECT_FALSE(fired(event.get()));
    ASSERT_EQ(set_line(kIrqDataEventfd | kIrqTrigger, 1), 0);  // taken away
    ASSERT_EQ(set_line(kIrqDataNone | kIrqUnmask, 1), 0);
    EXPECT_FALSE(fired(event.get()));
}

TEST_F(UserSession, PciShowsTheLineAndLetsItBeSwitchedOff) {
    start(Flavour::pci);
    const UniqueFd event(::eventfd(0, EFD_NONBLOCK));
    ASSERT_EQ(set_line(kIrqDataEventfd | kIrqTrigger, 1, event.get()), 0);
    ASSERT_EQ(write(5, {0x04}, 7), 0);  // INTx disable
    ASSERT_EQ(write(CopyEngine::kLine, {1, 0, 0, 0}), 0);
    EXPECT_FALSE(fired(event.get()));
    ASSERT_EQ(read(6, 1, 7), 0);
    EXPECT_EQ(read_data()[0] & 8, 8);
    ASSERT_EQ(write(5, {0}, 7), 0);
    EXPECT_TRUE(fired(event.get()));
    ASSERT_EQ(write(CopyEngine::kLine, {0, 0, 0, 0}), 0);
    ASSERT_EQ(read(6, 1, 7), 0);
    EXPECT_EQ(read_data()[0] & 8, 0);
}

TEST_F(UserSession, WrongInterruptsAreRefused) {
    const UniqueFd event(::eventfd(0, EFD_NONBLOCK));
    const SharedFile file(4096);
    EXPECT_EQ(set_line(kIrqDataEventfd | kIrqTrigger, 1, file.fd.get()), EINVAL);  // no eventfd
    EXPECT_EQ(set_line(kIrqDataEventfd | kIrqTrigger, 2, event.get()), EINVAL);
    EXPECT_EQ(set_line(kIrqDataEventfd | kIrqMask, 1, event.get()), EINVAL);
    EXPECT_EQ(set_line(kIrqDataNone | kIrqDataBool | kIrqTrigger, 1), EINVAL);
    EXPECT_EQ(set_line(kIrqDataNone, 1), EINVAL);
    EXPECT_EQ(set_line(kIrqDataNone | kIrqTrigger | kIrqMask, 1), EINVAL);
    EXPECT_EQ(set_line(0x1000 | kIrqDataNone | kIrqTrigger, 1), EINVAL);
    EXPECT_EQ(set_line(kIrqDataBool | kIrqTrigger, 1), EINVAL);  // without the byte
    EXPECT_EQ(set_line(kIrqDataNone | kIrqTrigger, 1, event.get()), EINVAL);
    EXPECT_EQ(say(Command::set_irqs, SetIrqs{20, kIrqDataNone | kIrqTrigger, 0, ~0U, 1}), EINVAL);
    EXPECT_EQ(say(Command::set_irqs, SetIrqs{20, kIrqDataNone | kIrqTrigger, 1, 0, 0}), EINVAL);
    EXPECT_EQ(set_line(kIrqDataEventfd | kIrqTrigger, 1, event.get()), 0);
}

TEST_F(UserSession, ClientsCannotMakeUsWait) {
    // Its counter is full: another event would block a writer.
    const UniqueFd event(::eventfd(0, 0));
    const std::uint64_t full = ~std::uint64_t{0} - 1;
    ASSERT_EQ(::write(event.get(), &full, sizeof(full)), 8);
    ASSERT_EQ(set_line(kIrqDataEventfd | kIrqTrigger, 1, event.get()), 0);
    ASSERT_EQ(set_line(kIrqDataNone | kIrqTrigger, 1), 0);
    EXPECT_EQ(session_->counts().interrupts, 0U);
}

TEST_F(UserSession, MemoryIsCheckedBeforeItIsMapped) {
    const SharedFile file(kMiB);
    const int fd = file.fd.get();
    EXPECT_EQ(map(0x10000, kMiB, fd), 0);
    EXPECT_EQ(map(0x10000, kMiB, fd), EEXIST);
    EXPECT_EQ(map(0x10000 + kMiB - 1, 1, fd), EEXIST);
    EXPECT_EQ(map(0, 0x10001, fd), EEXIST);
    EXPECT_EQ(map(0x10000 + kMiB, kMiB, fd), 0);
    EXPECT_EQ(map(0x40000000, kMiB + 1, fd), EINVAL);  // longer than the file
    EXPECT_EQ(map(0x40000000, 0, fd), EINVAL);
    EXPECT_EQ(map(~std::uint64_t{0}, 2, fd), EINVAL);
    EXPECT_EQ(map(0x40000000, kMiB, fd, 0), EINVAL);
    EXPECT_EQ(map(0x40000000, kMiB, fd, 8 | 3), EINVAL);
    DmaMap wraps{sizeof(DmaMap), 3, ~std::uint64_t{0} - 4095, 0x40000000, kMiB};
    EXPECT_EQ(say(Command::dma_map, wraps, fd), EINVAL);
    const UniqueFd event(::eventfd(0, EFD_NONBLOCK));
    EXPECT_EQ(map(0x40000000, 8, event.get()), EINVAL);  // no memory at all
    const UniqueFd zero(::open("/dev/zero", O_RDWR | O_CLOEXEC));
    EXPECT_EQ(map(0x40000000, 4096, zero.get()), EINVAL);
    const std::string again = "/proc/self/fd/" + std::to_string(fd);
    const UniqueFd read_only(::open(again.c_str(), O_RDONLY | O_CLOEXEC));
    EXPECT_EQ(map(0x40000000, kMiB, read_only.get()), EACCES);
    EXPECT_EQ(map(0x40000000, kMiB, read_only.get(), kMapReadable), 0);
    EXPECT_EQ(memory_.ranges(), 3U);
}

TEST_F(UserSession, RightsEndsAndHolesAreKept) {
    const SharedFile file(kMiB);
    ASSERT_EQ(map(0x100000, kMiB, file.fd.get(), kMapReadable), 0);
    ASSERT_EQ(map(0x300000, kMiB / 2, file.fd.get(), kMapWritable), 0);
    ASSERT_EQ(map(0x500000, kMiB, -1), 0);  // without a file
    ASSERT_EQ(map((std::uint64_t{1} << 32U) - 4096, 8192, file.fd.get()), 0);
    ASSERT_EQ(map(std::uint64_t{1} << 40U, 4096, file.fd.get()), 0);
    EXPECT_EQ(memory_.window_at(0x100000 + 5).rights, DmaRights::read);
    EXPECT_EQ(memory_.window_at(0x300000).rights, DmaRights::write);
    EXPECT_EQ(memory_.window_at(0xfffff).bytes, 0U);
    EXPECT_EQ(memory_.window_at(0x200000).bytes, 0U);
    EXPECT_EQ(memory_.window_at(0x500000).bytes, 0U);
    EXPECT_EQ(memory_.window_at(0xfffff000).bytes, 4096U);
    std::memcpy(file.memory + 4096, "crema", 6);
    const auto window = memory_.window_at(0x101000);
    EXPECT_STREQ(reinterpret_cast<const char*>(window.va + 4096), "crema");
}

TEST_F(UserSession, NeighboursAreOnePieceForADevice) {
    constexpr std::uint64_t kPage = 4096;
    const SharedFile file(kMiB);
    // As an IOMMU tells of scattered memory: page by page, out of order.
    for (const std::uint64_t page : {2U, 0U, 3U, 1U}) {
        ASSERT_EQ(map_part(0x100000 + page * kPage, kPage, file.fd.get(), (7 - 2 * page) * kPage),
                  0);
        std::memset(file.memory + (7 - 2 * page) * kPage, static_cast<int>('a' + page), kPage);
    }
    ASSERT_EQ(map_part(0x100000 + 4 * kPage, kPage, file.fd.get(), 0, kMapReadable), 0);
    const auto window = memory_.window_at(0x100000);
    ASSERT_EQ(window.bytes, 4 * kPage) << "what may only be read is another piece";
    for (unsigned page = 0; page < 4; ++page) {
        EXPECT_EQ(window.va[page * kPage], 'a' + page);
        EXPECT_EQ(window.va[page * kPage + kPage - 1], 'a' + page);
    }
    const auto second = memory_.window_at(0x100000 + kPage + 5);
    EXPECT_EQ(second.iova, 0x100000 + kPage);
    EXPECT_EQ(second.bytes, 3 * kPage);
    EXPECT_EQ(memory_.window_at(0x100000 + 4 * kPage).bytes, kPage);
    // Half a page, and a page at another place of it, cannot lie where they are told.
    ASSERT_EQ(map_part(0x200000, kPage, file.fd.get(), 0), 0);
    ASSERT_EQ(map_part(0x200000 + kPage, kPage / 2, file.fd.get(), kPage), 0);
    ASSERT_EQ(map_part(0x200000 + 2 * kPage, kPage, file.fd.get(), 100), 0);
    EXPECT_EQ(memory_.window_at(0x200000).bytes, kPage);
    // A page in the middle goes, and is out of reach at once.
    ASSERT_EQ(say(Command::dma_unmap, DmaUnmap{sizeof(DmaUnmap), 0, 0x100000 + 2 * kPage, kPage}),
              0);
    EXPECT_EQ(memory_.window_at(0x100000).bytes, 2 * kPage);
    EXPECT_EQ(memory_.window_at(0x100000 + 2 * kPage).bytes, 0U);
    EXPECT_EXIT(std::_Exit(window.va[2 * kPage]), testing::KilledBySignal(SIGSEGV), "");
    ASSERT_EQ(map_part(0x100000 + 2 * kPage, kPage, file.fd.get(), 0), 0);
    EXPECT_EQ(memory_.window_at(0x100000).bytes, 4 * kPage);
}

TEST_F(UserSession, UnmapTakesWholeRangesOnly) {
    const SharedFile file(kMiB);
    for (std::uint64_t i = 1; i <= 4; ++i) {
        ASSERT_EQ(map(i * kMiB, kMiB, file.fd.get()), 0);
    }
    const auto unmap = [&](std::uint64_t at, std::uint64_t size, std::uint32_t flags = 0) {
        return say(Command::dma_unmap, DmaUnmap{sizeof(DmaUnmap), flags, at, size});
    };
    EXPECT_EQ(unmap(kMiB + 4096, kMiB), EINVAL);
    EXPECT_EQ(unmap(kMiB, kMiB + 1), EINVAL);
    EXPECT_EQ(unmap(0, 0), EINVAL);
    EXPECT_EQ(unmap(0, 0, 1), EINVAL);
    EXPECT_EQ(memory_.ranges(), 4U);
    const auto generation = memory_.generation();
    EXPECT_EQ(unmap(kMiB, 2 * kMiB), 0);
    EXPECT_EQ(reply<DmaUnmap>().size, 2 * kMiB);
    EXPECT_NE(memory_.generation(), generation);
    EXPECT_EQ(memory_.window_at(kMiB).bytes, 0U);
    EXPECT_EQ(unmap(0, kMiB), 0);  // nothing there
    EXPECT_EQ(reply<DmaUnmap>().size, 0U);
    EXPECT_EQ(unmap(0, 1, kUnmapAll), EINVAL);
    EXPECT_EQ(unmap(0, 0, kUnmapAll), 0);
    EXPECT_EQ(reply<DmaUnmap>().size, 2 * kMiB);
    EXPECT_EQ(memory_.ranges(), 0U);
}

TEST_F(UserSession, RangesAreBounded) {
    for (std::uint64_t i = 0; i < kRangesMax; ++i) {
        ASSERT_EQ(map(i * 4096, 4096, -1), 0);
    }
    EXPECT_EQ(map(std::uint64_t{kRangesMax} * 4096, 4096, -1), ENOSPC);
}

TEST_F(UserSession, FilesThatShrinkAreSurvived) {
    const GuestMemory::Guard guard(memory_);
    const SharedFile file(kMiB);
    ASSERT_EQ(map(0x100000, kMiB, file.fd.get()), 0);
    const auto window = memory_.window_at(0x100000);
    std::memcpy(file.memory, "crema", 6);
    EXPECT_STREQ(reinterpret_cast<const char*>(window.va), "crema");
    ASSERT_EQ(::ftruncate(file.fd.get(), 0), 0);
    EXPECT_FALSE(memory_.broken());
    auto* const lost = const_cast<volatile std::uint8_t*>(window.va + 8192);
    EXPECT_EQ(*lost, 0);
    EXPECT_TRUE(memory_.broken());
    *lost = 1;  // private now
    EXPECT_EQ(memory_.clear(), kMiB);
    EXPECT_FALSE(memory_.broken());
}

TEST_F(UserSession, ResetIsAPowerCycle) {
    ASSERT_EQ(write(0x20, {1, 2, 3, 4}), 0);
    EXPECT_EQ(say_bytes(Command::device_reset, {1}), EINVAL);
    EXPECT_EQ(engine_.power_cycles, 0U);
    EXPECT_EQ(say_bytes(Command::device_reset, {}), 0);
    EXPECT_EQ(engine_.power_cycles, 1U);
    ASSERT_EQ(read(0x20, 4), 0);
    EXPECT_EQ(read_data(), (std::vector<std::uint8_t>(4, 0)));
}

TEST_F(UserSession, WhatIsNotServedIsSaid) {
    EXPECT_EQ(say_bytes(Command::device_feature, {}), ENOTSUP);
    EXPECT_EQ(say_bytes(Command::region_write_multi, {}), ENOTSUP);
    EXPECT_EQ(say_bytes(Command::dma_read, {}), EINVAL);
    EXPECT_EQ(say_bytes(static_cast<Command>(0), {}), EINVAL);
    EXPECT_EQ(say_bytes(static_cast<Command>(0xffff), {}), EINVAL);
    EXPECT_EQ(say(Command::region_io_fds, RegionIoFds{.argsz = 16}), 0);
    EXPECT_EQ(reply<RegionIoFds>().count, 0U);
}

// Random commands with random contents, half of them nearly right: no answer may be wrong enough to
// be found by the sanitizers, and the books of memory stay balanced.
TEST_F(UserSession, RandomCommandsAreAnswered) {
    start(Flavour::pci);
    const GuestMemory::Guard guard(memory_);
    std::mt19937 dice(std::random_device{}());
    const SharedFile file(kMiB);
    const UniqueFd event(::eventfd(0, EFD_NONBLOCK));
    const auto small = [&] {
        return static_cast<std::uint8_t>(dice() % 8 == 0 ? dice() : dice() % 4);
    };
    for (unsigned round = 0; round < 100'000; ++round) {
        std::vector<std::uint8_t> bytes(dice() % 4 == 0 ? dice() % 80 : 16 + 8 * (dice() % 3));
        for (auto& byte : bytes) {
            byte = dice() % 2 == 0 ? 0 : small();
        }
        if (!bytes.empty() && dice() % 2 == 0) {
            bytes[0] = static_cast<std::uint8_t>(bytes.size());
        }
        const int fd = dice() % 3 == 0 ? -1 : dice() % 2 == 0 ? file.fd.get() : event.get();
        const auto command = static_cast<Command>(dice() % 20);
        const int error = say_bytes(command, bytes, fd);
        ASSERT_TRUE(error == 0 || reply_.empty());
        ASSERT_LE(memory_.ranges(), kRangesMax);
    }
    memory_.clear();
    EXPECT_EQ(memory_.ranges(), 0U);
}

}  // namespace
}  // namespace crema::vfio::user
