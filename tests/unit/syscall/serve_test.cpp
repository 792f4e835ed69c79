// SPDX-License-Identifier: BSD-3-Clause
//
// Size rules of bpf(2), who may create, and that objects leave the store with their session.
#include "lib/ebpf/syscall/serve.h"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/base/unique_fd.h"
#include "lib/ebpf/syscall/object_store.h"
#include "lib/ebpf/syscall/session.h"
#include "lib/ebpf/syscall/user_memory.h"
#include "tests/support/open_files.h"
#include "tests/unit/syscall/calls.h"

namespace crema::ebpf::syscall::test {
namespace {

TEST(Serve, ShortAttributesAreExtendedWithZeros) {
    const Session session;
    bpf_attr attr = array_attr();
    // Up to and including max_entries; flags, name and the rest are not passed.
    const UniqueFd fd(static_cast<int>(serve(BPF_MAP_CREATE, &attr, 16)));
    ASSERT_TRUE(fd.valid());
    EXPECT_EQ(map_of(fd.get())->spec().name, "");
}

TEST(Serve, LongAttributesMustBeZeroBehindWhatIsKnown) {
    const Session session;

    struct {
        bpf_attr known;
        std::array<std::uint8_t, 64> behind;
    } attr{array_attr(), {}};

    UniqueFd fd(static_cast<int>(serve(BPF_MAP_CREATE, &attr, sizeof(attr))));
    EXPECT_TRUE(fd.valid());
    attr.behind.back() = 1;
    EXPECT_EQ(serve(BPF_MAP_CREATE, &attr, sizeof(attr)), -E2BIG);
}

TEST(Serve, AttributesLongerThanAPageAreRefused) {
    std::vector<std::uint8_t> attr(static_cast<std::size_t>(getpagesize()) + 1);
    EXPECT_EQ(serve(BPF_MAP_FREEZE, attr.data(), static_cast<std::uint32_t>(attr.size())), -E2BIG);
}

TEST(Serve, FieldsThatTheCommandDoesNotHaveMustBeZero) {
    const Session session;
    bpf_attr attr{};
    const UniqueFd fd(new_array());
    attr.map_fd = static_cast<std::uint32_t>(fd.get());
    attr.flags = 1;  // MAP_FREEZE ends with map_fd
    EXPECT_EQ(call(BPF_MAP_FREEZE, attr), -EINVAL);
}

TEST(Serve, UnreadableAttributesAreAFaultAndNoCrash) {
    EXPECT_EQ(serve(BPF_MAP_CREATE, nullptr, 16), -EFAULT);
    EXPECT_EQ(serve(BPF_MAP_CREATE, reinterpret_cast<void*>(std::uintptr_t{8}), 16), -EFAULT);
}

TEST(Serve, CommandsThatAreNotServedAreInvalid) {
    bpf_attr attr{};
    for (const int command : {BPF_PROG_ATTACH, BPF_PROG_DETACH, BPF_ITER_CREATE}) {
        EXPECT_EQ(call(command, attr), -EINVAL) << "command " << command;
    }
    for (int command = BPF_PROG_BIND_MAP + 1; command < 64; ++command) {
        EXPECT_EQ(call(command, attr), -EINVAL) << "command " << command;
    }
    // How libbpf learns that there are links.
    const Session session;
    attr.link_create.prog_fd = static_cast<std::uint32_t>(-1);
    EXPECT_EQ(call(BPF_LINK_CREATE, attr), -EBADF);
    attr = {};
    EXPECT_EQ(call(-1, attr), -EINVAL);
}

TEST(Serve, NothingIsCreatedOutsideOfASession) {
    bpf_attr attr = array_attr();
    EXPECT_EQ(call(BPF_MAP_CREATE, attr), -EPERM);
    EXPECT_EQ(load(returns(2)), -EPERM);
    EXPECT_EQ(load_btf(btf_with(std::string(1, '\0'))), -EPERM);
}

TEST(Session, ObjectsLeaveWithItAndWhatIsSharedLives) {
    const std::size_t files = crema::test::open_files();
    std::shared_ptr<maps::Map> map;
    UniqueFd fd;
    {
        const Session session;
        EXPECT_EQ(Session::current(), &session);
        fd.reset(new_array());
        map = map_of(fd.get());
        ASSERT_NE(map, nullptr);
        EXPECT_EQ(object_store::size(), 1U);
    }
    EXPECT_EQ(Session::current(), nullptr);
    EXPECT_EQ(object_store::size(), 0U);
    EXPECT_EQ(map_of(fd.get()), nullptr) << "the descriptor outlived the session and means nothing";
    const std::uint32_t key = 0;
    std::uint64_t value = 0;
    EXPECT_EQ(map->lookup(&key, &value), 0);
    fd.reset();
    map.reset();
    EXPECT_EQ(crema::test::open_files(), files);
}

TEST(Session, AnObjectIsKnownByItsInodeAndNotByANumber) {
    const Session session;
    const UniqueFd first(new_array());
    const UniqueFd other(new_array());
    const UniqueFd copy(::fcntl(first.get(), F_DUPFD_CLOEXEC, 100));
    EXPECT_EQ(map_of(copy.get()), map_of(first.get()));
    EXPECT_NE(map_of(copy.get()), map_of(other.get()));
    ASSERT_EQ(::dup3(other.get(), copy.get(), O_CLOEXEC), copy.get());
    EXPECT_EQ(map_of(copy.get()), map_of(other.get()));
}

TEST(Session, NewDescriptorsCloseOnExec) {
    const Session session;
    const UniqueFd fd(new_array());
    EXPECT_EQ(::fcntl(fd.get(), F_GETFD), FD_CLOEXEC);
}

TEST(ProgramFd, NamesAProgramAsLongAsItLives) {
    std::shared_ptr<const LoadedProgram> program;
    {
        const Session session;
        const UniqueFd fd(static_cast<int>(load(returns(1))));
        program = program_of(fd.get());
    }
    ASSERT_NE(program, nullptr);
    const std::size_t files = crema::test::open_files();
    {
        auto opened = ProgramFd::open(program);
        ASSERT_TRUE(opened) << opened.error().message;
        const ProgramFd handle = std::move(*opened);
        EXPECT_EQ(program_of(handle.get()), program);
        EXPECT_EQ(object_store::size(), 1U);
    }
    EXPECT_EQ(object_store::size(), 0U);
    EXPECT_EQ(crema::test::open_files(), files);
}

TEST(UserMemory, EndsAtUnmappedPages) {
    const auto page = static_cast<std::size_t>(getpagesize());
    auto* memory = static_cast<char*>(
        ::mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    ASSERT_NE(memory, MAP_FAILED);
    ASSERT_EQ(::mprotect(memory + page, page, PROT_NONE), 0);
    char* end = memory + page;
    std::memcpy(end - 4, "GPL", 4);
    std::string text;
    EXPECT_EQ(copy_in_string(text, address(end - 4), 127), 0);
    EXPECT_EQ(text, "GPL");
    end[-1] = 'x';
    EXPECT_EQ(copy_in_string(text, address(end - 4), 127), -EFAULT);
    std::array<char, 8> bytes{};
    EXPECT_EQ(copy_in(bytes.data(), address(end - 4), 4), 0);
    EXPECT_EQ(copy_in(bytes.data(), address(end - 4), 5), -EFAULT);
    EXPECT_EQ(copy_out(address(end - 4), bytes.data(), 5), -EFAULT);
    EXPECT_EQ(copy_out(address(end - 4), bytes.data(), 4), 0);
    EXPECT_EQ(::munmap(memory, 2 * page), 0);
}

}  // namespace
}  // namespace crema::ebpf::syscall::test
