// SPDX-License-Identifier: BSD-3-Clause
//
// MAP_CREATE and the element commands as bpf(2) callers see them.
#include <cerrno>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/base/unique_fd.h"
#include "lib/ebpf/maps/map.h"
#include "lib/ebpf/syscall/session.h"
#include "tests/support/btf_writer.h"
#include "tests/unit/syscall/calls.h"

namespace crema::ebpf::syscall::test {
namespace {

class MapCommands : public testing::Test {
  protected:
    static bpf_attr element(int fd,
                            const void* key,
                            const void* value_or_next,
                            std::uint64_t flags = 0) {
        bpf_attr attr{};
        attr.map_fd = static_cast<std::uint32_t>(fd);
        attr.key = address(key);
        attr.value = address(value_or_next);
        attr.flags = flags;
        return attr;
    }

    static long lookup(int fd, std::uint32_t key, std::uint64_t& value) {
        bpf_attr attr = element(fd, &key, &value);
        return call(BPF_MAP_LOOKUP_ELEM, attr);
    }

    static long update(int fd, std::uint32_t key, std::uint64_t value, std::uint64_t flags = 0) {
        bpf_attr attr = element(fd, &key, &value, flags);
        return call(BPF_MAP_UPDATE_ELEM, attr);
    }

    Session session_;
};

TEST_F(MapCommands, ValuesComeBack) {
    const UniqueFd fd(new_array());
    ASSERT_TRUE(fd.valid());
    EXPECT_EQ(update(fd.get(), 3, 0x1122334455667788), 0);
    std::uint64_t value = 0;
    EXPECT_EQ(lookup(fd.get(), 3, value), 0);
    EXPECT_EQ(value, 0x1122334455667788U);
    EXPECT_EQ(lookup(fd.get(), 2, value), 0);
    EXPECT_EQ(value, 0U);
}

TEST_F(MapCommands, ArrayErrorsAreTheKernels) {
    const UniqueFd fd(new_array());
    std::uint64_t value = 0;
    EXPECT_EQ(lookup(fd.get(), 4, value), -ENOENT);
    EXPECT_EQ(update(fd.get(), 4, 1), -E2BIG);
    EXPECT_EQ(update(fd.get(), 0, 1, BPF_NOEXIST), -EEXIST);
    EXPECT_EQ(update(fd.get(), 0, 1, BPF_EXIST), 0);
    EXPECT_EQ(update(fd.get(), 0, 1, 3), -EINVAL);
    EXPECT_EQ(update(fd.get(), 0, 1, BPF_F_LOCK), -EINVAL);
    const std::uint32_t key = 0;
    bpf_attr erase{};
    erase.map_fd = static_cast<std::uint32_t>(fd.get());
    erase.key = address(&key);
    EXPECT_EQ(call(BPF_MAP_DELETE_ELEM, erase), -EINVAL);
    bpf_attr locked = element(fd.get(), &key, &value, BPF_F_LOCK);
    EXPECT_EQ(call(BPF_MAP_LOOKUP_ELEM, locked), -EINVAL);
}

TEST_F(MapCommands, NextKeyWalksTheArray) {
    const UniqueFd fd(new_array(3));
    std::uint32_t key = 77;
    bpf_attr first{};
    first.map_fd = static_cast<std::uint32_t>(fd.get());
    first.next_key = address(&key);
    EXPECT_EQ(call(BPF_MAP_GET_NEXT_KEY, first), 0);
    EXPECT_EQ(key, 0U);
    bpf_attr next = first;
    next.key = address(&key);
    EXPECT_EQ(call(BPF_MAP_GET_NEXT_KEY, next), 0);
    EXPECT_EQ(call(BPF_MAP_GET_NEXT_KEY, next), 0);
    EXPECT_EQ(key, 2U);
    EXPECT_EQ(call(BPF_MAP_GET_NEXT_KEY, next), -ENOENT);
}

TEST_F(MapCommands, FrozenMapsStayAsTheyAre) {
    const UniqueFd fd(new_array());
    ASSERT_EQ(update(fd.get(), 0, 7), 0);
    bpf_attr attr{};
    attr.map_fd = static_cast<std::uint32_t>(fd.get());
    EXPECT_EQ(call(BPF_MAP_FREEZE, attr), 0);
    EXPECT_EQ(call(BPF_MAP_FREEZE, attr), -EPERM);
    EXPECT_EQ(update(fd.get(), 0, 8), -EPERM);
    std::uint64_t value = 0;
    EXPECT_EQ(lookup(fd.get(), 0, value), 0);
    EXPECT_EQ(value, 7U);
}

TEST_F(MapCommands, AccessFlagsBindUserSpace) {
    bpf_attr attr = array_attr();
    attr.map_flags = BPF_F_RDONLY;
    const UniqueFd read_only(static_cast<int>(call(BPF_MAP_CREATE, attr)));
    EXPECT_EQ(update(read_only.get(), 0, 1), -EPERM);
    attr.map_flags = BPF_F_WRONLY;
    const UniqueFd write_only(static_cast<int>(call(BPF_MAP_CREATE, attr)));
    std::uint64_t value = 0;
    EXPECT_EQ(lookup(write_only.get(), 0, value), -EPERM);
}

TEST_F(MapCommands, PerCpuValuesCrossAsOneValuePerPossibleCpu) {
    bpf_attr attr = array_attr();
    attr.map_type = BPF_MAP_TYPE_PERCPU_ARRAY;
    attr.value_size = 4;
    const UniqueFd fd(static_cast<int>(call(BPF_MAP_CREATE, attr)));
    ASSERT_TRUE(fd.valid());
    std::vector<std::uint64_t> values(maps::possible_cpus(), 0);
    for (std::size_t cpu = 0; cpu < values.size(); ++cpu) {
        values[cpu] = cpu + 1;
    }
    const std::uint32_t key = 1;
    bpf_attr put = element(fd.get(), &key, values.data());
    EXPECT_EQ(call(BPF_MAP_UPDATE_ELEM, put), 0);
    std::vector<std::uint64_t> back(values.size() + 1, 99);
    bpf_attr get = element(fd.get(), &key, back.data());
    EXPECT_EQ(call(BPF_MAP_LOOKUP_ELEM, get), 0);
    EXPECT_EQ(back.back(), 99U) << "a lookup wrote behind the last CPU's value";
    back.pop_back();
    EXPECT_EQ(back, values);
}

TEST_F(MapCommands, BadPointersAreFaults) {
    const UniqueFd fd(new_array());
    const std::uint32_t key = 0;
    bpf_attr attr = element(fd.get(), nullptr, nullptr);
    EXPECT_EQ(call(BPF_MAP_LOOKUP_ELEM, attr), -EFAULT);
    attr = element(fd.get(), &key, reinterpret_cast<void*>(std::uintptr_t{16}));
    EXPECT_EQ(call(BPF_MAP_LOOKUP_ELEM, attr), -EFAULT);
    EXPECT_EQ(call(BPF_MAP_UPDATE_ELEM, attr), -EFAULT);
}

TEST_F(MapCommands, DescriptorsOfOtherThingsAreRefused) {
    std::uint64_t value = 0;
    EXPECT_EQ(lookup(-1, 0, value), -EBADF);
    EXPECT_EQ(lookup(STDIN_FILENO, 0, value), -EINVAL);
    const UniqueFd btf(static_cast<int>(load_btf(btf_with(std::string(1, '\0')))));
    EXPECT_EQ(lookup(btf.get(), 0, value), -EINVAL);
}

// What the kernel does: locks in arrays and hashes, not in per-CPU values nor in read-only ones;
// the value of kept pointers is refused by name, since nothing here could keep it.
TEST_F(MapCommands, FieldsOfValuesComeFromTheirTypes) {
    crema::test::BtfWriter w;
    const auto number = w.integer("u32", 4);
    const auto lock = w.structure("bpf_spin_lock", 4, {{"val", number, 0}});
    const auto locked = w.structure("locked", 8, {{"count", number, 0}, {"lock", lock, 32}});
    const auto tag = w.reference(BtfKind::type_tag, "kptr", locked);
    const auto pointer = w.reference(BtfKind::pointer, "", tag);
    const auto keeper = w.structure("keeper", 8, {{"kept", pointer, 0}});
    const UniqueFd btf(static_cast<int>(load_btf(w.bytes())));
    ASSERT_TRUE(btf.valid());
    bpf_attr attr = array_attr();
    attr.value_size = 8;
    attr.btf_fd = static_cast<std::uint32_t>(btf.get());
    attr.btf_key_type_id = number;
    attr.btf_value_type_id = locked;
    const UniqueFd map(static_cast<int>(call(BPF_MAP_CREATE, attr)));
    ASSERT_TRUE(map.valid()) << session_.refusal()->message;
    ASSERT_EQ(map_of(map.get())->spec().fields.size(), 1U);
    EXPECT_EQ(map_of(map.get())->spec().fields[0].offset, 4U);
    EXPECT_EQ(map_of(map.get())->spec().spin_lock_offset, 4);
    attr.map_flags = BPF_F_RDONLY_PROG;
    EXPECT_EQ(call(BPF_MAP_CREATE, attr), -EACCES);
    attr.map_flags = 0;
    attr.map_type = BPF_MAP_TYPE_PERCPU_ARRAY;
    EXPECT_EQ(call(BPF_MAP_CREATE, attr), -EOPNOTSUPP);
    attr = array_attr();
    attr.value_size = 8;
    attr.btf_fd = static_cast<std::uint32_t>(btf.get());
    attr.btf_key_type_id = number;
    attr.btf_value_type_id = keeper;
    EXPECT_EQ(call(BPF_MAP_CREATE, attr), -ENOTSUP);
    EXPECT_NE(session_.refusal()->message.find("kptr"), std::string::npos);
}

TEST_F(MapCommands, RefusalsSayWhatIsNotServed) {
    bpf_attr attr = array_attr();
    attr.map_type = BPF_MAP_TYPE_CGROUP_ARRAY;
    EXPECT_LT(call(BPF_MAP_CREATE, attr), 0);
    ASSERT_TRUE(session_.refusal());
    EXPECT_NE(session_.refusal()->message.find("map numbers"), std::string::npos)
        << session_.refusal()->message;

    attr = array_attr();
    attr.map_type = BPF_MAP_TYPE_ARRAY_OF_MAPS;
    attr.value_size = 4;
    attr.inner_map_fd = STDIN_FILENO;
    EXPECT_EQ(call(BPF_MAP_CREATE, attr), -EINVAL);
    EXPECT_NE(session_.refusal()->message.find("no map descriptor"), std::string::npos);

    attr = array_attr();
    std::memset(attr.map_name, 'x', sizeof(attr.map_name));
    EXPECT_EQ(call(BPF_MAP_CREATE, attr), -EINVAL);

    attr = array_attr();
    attr.btf_fd = 0;
    attr.btf_value_type_id = 4;
    EXPECT_LT(call(BPF_MAP_CREATE, attr), 0);

    attr = array_attr();
    const UniqueFd fine(static_cast<int>(call(BPF_MAP_CREATE, attr)));
    EXPECT_TRUE(fine.valid());
    EXPECT_FALSE(session_.refusal()) << "what was refused before did not matter";
}

TEST_F(MapCommands, AMmapableArrayIsItsDescriptorsMemory) {
    bpf_attr attr = array_attr(1, 16);
    attr.map_flags = BPF_F_MMAPABLE;
    const UniqueFd fd(static_cast<int>(call(BPF_MAP_CREATE, attr)));
    ASSERT_TRUE(fd.valid());
    const auto page = static_cast<std::size_t>(getpagesize());
    void* memory = ::mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
    ASSERT_NE(memory, MAP_FAILED);
    static_cast<std::uint64_t*>(memory)[1] = 42;
    const std::uint32_t key = 0;
    std::uint64_t value[2] = {};
    bpf_attr get = element(fd.get(), &key, value);
    EXPECT_EQ(call(BPF_MAP_LOOKUP_ELEM, get), 0);
    EXPECT_EQ(value[1], 42U);
    EXPECT_EQ(::munmap(memory, page), 0);
}

TEST_F(MapCommands, AHashHasNoMoreBucketsThanTheKernels) {
    for (const auto type : {BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_LRU_HASH, BPF_MAP_TYPE_PERCPU_HASH}) {
        bpf_attr attr = array_attr((1U << 27U) + 1);
        attr.map_type = type;
        EXPECT_EQ(call(BPF_MAP_CREATE, attr), -E2BIG) << "type " << type;
    }
}

}  // namespace
}  // namespace crema::ebpf::syscall::test
