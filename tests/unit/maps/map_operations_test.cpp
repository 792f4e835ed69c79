// SPDX-License-Identifier: BSD-3-Clause
//
// Map operations as a program's control side sees them, without a kernel: values, rights, slots.
// The same operations against the running kernel: tests/conformance/lowering_maps_test.cpp.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <vector>

#include "lib/ebpf/maps/array.h"
#include "lib/ebpf/maps/cpumap.h"
#include "lib/ebpf/maps/devmap.h"
#include "lib/ebpf/maps/hash.h"
#include "lib/ebpf/maps/map.h"
#include "lib/ebpf/maps/percpu_array.h"
#include "lib/ebpf/maps/target_hooks.h"
#include "tests/support/without_targets.h"

namespace crema::ebpf::maps {
namespace {

std::shared_ptr<Map> make(MapType type,
                          std::uint32_t value_size,
                          std::uint32_t entries,
                          std::uint32_t flags = 0) {
    auto map = create({.type = type,
                       .key_size = 4,
                       .value_size = value_size,
                       .max_entries = entries,
                       .flags = flags,
                       .name = "m"});
    EXPECT_TRUE(map) << map.error().message;
    return map ? *map : nullptr;
}

TEST(ArrayMap, KeepsValuesAndRefusesWhatTheKernelRefuses) {
    auto map = make(MapType::array, 12, 3);
    std::uint32_t key = 2;
    const std::uint8_t in[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    std::uint8_t out[12] = {};
    EXPECT_EQ(map->update(&key, in, kAny), 0);
    EXPECT_EQ(map->lookup(&key, out), 0);
    EXPECT_EQ(std::memcmp(in, out, sizeof in), 0);
    EXPECT_EQ(map->update(&key, in, kNoExist), -EEXIST);
    EXPECT_EQ(map->update(&key, in, kLock), -EINVAL);
    EXPECT_EQ(map->erase(&key), -EINVAL);
    key = 3;
    EXPECT_EQ(map->update(&key, in, kAny), -E2BIG);
    EXPECT_EQ(map->lookup(&key, out), -ENOENT);
}

TEST(ArrayMap, ValuesLieWhereTheLayoutSays) {
    auto map = make(MapType::array, 12, 3);
    const ValueLayout layout = map->layout();
    EXPECT_EQ(layout.stride, 16U);
    const std::uint32_t key = 1;
    const std::uint8_t in[12] = {0xab};
    ASSERT_EQ(map->update(&key, in, kAny), 0);
    EXPECT_EQ(layout.base[layout.stride], 0xab);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(layout.base) % 8, 0U);
}

TEST(ArrayMap, MmapableSharesItsMemoryUntilFrozen) {
    auto map = make(MapType::array, 8, 1, kMmapable);
    ASSERT_GE(map->memory_fd(), 0);
    void* shared = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, map->memory_fd(), 0);
    ASSERT_NE(shared, MAP_FAILED);
    *static_cast<std::uint64_t*>(shared) = 77;
    const std::uint32_t key = 0;
    std::uint64_t out = 0;
    EXPECT_EQ(map->lookup(&key, &out), 0);
    EXPECT_EQ(out, 77U);
    munmap(shared, 4096);

    EXPECT_EQ(map->freeze(), 0);
    EXPECT_TRUE(map->frozen());
    EXPECT_EQ(map->freeze(), -EPERM);
    EXPECT_EQ(map->update(&key, &out, kAny), -EPERM);
    EXPECT_EQ(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, map->memory_fd(), 0),
              MAP_FAILED);
    shared = mmap(nullptr, 4096, PROT_READ, MAP_SHARED, map->memory_fd(), 0);
    ASSERT_NE(shared, MAP_FAILED);
    munmap(shared, 4096);
}

/// What a field of a kind of its own keeps in a value is no data: nobody writes over it or sees it.
TEST(SpecialFields, AreLeftAloneByCopies) {
    constexpr std::uint32_t kBytes = 30, kField = 8, kFieldBytes = 16;
    for (const MapType type : {MapType::array, MapType::hash}) {
        MapSpec spec{.type = type, .key_size = 4, .value_size = kBytes, .max_entries = 2};
        spec.fields = {{.kind = SpecialKind::workqueue, .offset = kField, .size = kFieldBytes}};
        const auto map = create(spec);
        ASSERT_TRUE(map.has_value()) << map.error().message;
        const std::uint32_t key = 0;
        std::vector<std::uint8_t> value(kBytes, 0xab);
        std::vector<std::uint8_t> seen(kBytes, 0xff);
        std::vector<std::uint8_t> expected = value;
        std::fill_n(expected.begin() + kField, kFieldBytes, 0);
        ASSERT_EQ((*map)->update(&key, value.data(), kAny), 0);
        std::uint8_t* const kept = type == MapType::array
                                       ? static_cast<ArrayMap&>(**map).value(key)
                                       : static_cast<HashMap&>(**map).value(&key);
        ASSERT_NE(kept, nullptr);
        EXPECT_TRUE(std::equal(expected.begin(), expected.end(), kept))
            << "type " << unsigned(type);
        kept[kField + 3] = 7;
        ASSERT_EQ((*map)->lookup(&key, seen.data()), 0);
        EXPECT_EQ(seen, expected);
        if (type == MapType::array) {  // a hash map's update takes another element
            ASSERT_EQ((*map)->update(&key, value.data(), kAny), 0);
            EXPECT_EQ(kept[kField + 3], 7);
        }
    }
}

/// Who maps a value could change a lock or a timer in it.
TEST(SpecialFields, AreNobodysToMap) {
    MapSpec spec{.type = MapType::array,
                 .key_size = 4,
                 .value_size = 32,
                 .max_entries = 1,
                 .flags = kMmapable};
    EXPECT_GE((*create(spec))->memory_fd(), 0);
    spec.fields = {{.kind = SpecialKind::timer, .offset = 8, .size = 16}};
    const auto map = *create(spec);
    EXPECT_EQ(map->memory_fd(), -1);
    EXPECT_EQ(map->freeze(), 0);
}

TEST(PercpuArrayMap, UserBufferHoldsOneRoundedValuePerPossibleCpu) {
    auto map = make(MapType::percpu_array, 5, 2);
    EXPECT_EQ(map->user_value_bytes(), 8 * possible_cpus());
    std::vector<std::uint64_t> in(possible_cpus());
    for (std::size_t cpu = 0; cpu < in.size(); cpu++) {
        in[cpu] = 100 + cpu;
    }
    const std::uint32_t key = 1;
    ASSERT_EQ(map->update(&key, in.data(), kAny), 0);
    std::vector<std::uint64_t> out(possible_cpus());
    ASSERT_EQ(map->lookup(&key, out.data()), 0);
    EXPECT_EQ(in, out);
    const ValueLayout layout = map->layout();
    const std::uint32_t last = possible_cpu_ids().back();
    EXPECT_EQ(layout.base[last * layout.percpu_stride + layout.stride], 100 + in.size() - 1);
    EXPECT_EQ(layout.percpu_stride % 128, 0U);
}

TEST(MapCreate, NamesWhatItDoesNotServe) {
    const auto arena = create({.type = MapType::arena,
                               .key_size = 0,
                               .value_size = 0,
                               .max_entries = 1,
                               .flags = kMmapable,
                               .name = "a"});
    ASSERT_FALSE(arena);
    EXPECT_EQ(arena.error().code, ENOTSUP);
    EXPECT_NE(arena.error().message.find("(arena) is not served"), std::string::npos);
}

TEST(Devmap, HashWalksAllKeysAndKeepsThePlaceOfAReplacedOne) {
    const crema::test::WithoutTargets no_targets;
    auto map = make(MapType::devmap_hash, 8, 4);

    struct Value {
        std::uint32_t ifindex;
        std::int32_t program;
    };

    for (const std::uint32_t key : {1U, 5U, 9U, 2U}) {  // 1, 5 and 9 share a chain
        const Value value{key + 100, 0};
        ASSERT_EQ(map->update(&key, &value, kAny), 0);
    }
    std::uint32_t key = 5;
    Value value{777, 0};
    EXPECT_EQ(map->update(&key, &value, kNoExist), -EEXIST);
    ASSERT_EQ(map->update(&key, &value, kExist), 0);
    key = 13;
    EXPECT_EQ(map->update(&key, &value, kAny), -E2BIG);

    std::vector<std::uint32_t> seen;
    std::uint32_t next = 0;
    for (int rc = map->next_key(nullptr, &next); rc == 0; rc = map->next_key(&next, &next)) {
        seen.push_back(next);
    }
    EXPECT_EQ(seen, (std::vector<std::uint32_t>{9, 5, 1, 2}));

    key = 5;
    EXPECT_EQ(map->erase(&key), 0);
    EXPECT_EQ(map->erase(&key), -ENOENT);
    EXPECT_EQ(map->lookup(&key, &value), -ENOENT);
    std::uint32_t visited = 0;
    static_cast<const Devmap*>(map.get())->for_each([&](const DevmapEntry& entry) {
        EXPECT_EQ(entry.ifindex, entry.key + 100);
        visited++;
    });
    EXPECT_EQ(visited, 3U);
}

// Hooks that count: a target is a small number dressed as a pointer.
int g_acquired = 0;
int g_released = 0;

TargetHooks counting_hooks() {
    return {.device_acquire =
                [](const DeviceSlot& slot, void** target) {
                    if (slot.ifindex > 10) {
                        return -EINVAL;
                    }
                    g_acquired++;
                    *target = reinterpret_cast<void*>(std::uintptr_t{slot.ifindex});
                    return 0;
                },
            .cpu_acquire =
                [](const CpuSlot& slot, void** target) {
                    g_acquired++;
                    *target = reinterpret_cast<void*>(std::uintptr_t{slot.queue_size});
                    return 0;
                },
            .device_release = [](void*) { g_released++; },
            .cpu_release = [](void*) { g_released++; }};
}

TEST(TargetHooks, EveryAcquiredTargetIsReleasedOnce) {
    const TargetHooks before = target_hooks();
    set_target_hooks(counting_hooks());
    g_acquired = g_released = 0;
    {
        auto devices = make(MapType::devmap, 4, 4);
        auto cpus = make(MapType::cpumap, 4, 4);
        std::uint32_t key = 0;
        std::uint32_t value = 3;
        EXPECT_EQ(devices->update(&key, &value, kAny), 0);
        EXPECT_EQ(static_cast<const Devmap*>(devices.get())->find_direct(0)->target,
                  reinterpret_cast<void*>(std::uintptr_t{3}));
        value = 11;  // no such device: the slot keeps what it had
        EXPECT_EQ(devices->update(&key, &value, kAny), -EINVAL);
        value = 4;
        EXPECT_EQ(devices->update(&key, &value, kAny), 0);
        EXPECT_EQ(g_released, 1);
        value = 0;  // ifindex 0 empties the slot
        EXPECT_EQ(devices->update(&key, &value, kAny), 0);
        EXPECT_EQ(g_released, 2);
        value = 64;
        EXPECT_EQ(cpus->update(&key, &value, kAny), 0);
        EXPECT_EQ(g_acquired, 3);
    }
    EXPECT_EQ(g_released, 3);
    set_target_hooks(before);
}

TEST(TargetHooks, ProgramInASlotMustHaveTheSlotsAttachType) {
    set_program_by_fd([](int fd) {
        // The tests look at the id only; any non-null pointer stands for the program.
        static const int anything = 0;
        return fd == 5 ? ProgramRef{.program = std::shared_ptr<const LoadedProgram>(
                                        std::shared_ptr<void>(),
                                        reinterpret_cast<const LoadedProgram*>(&anything)),
                                    .id = 42,
                                    .traits = {.expected_attach_type = 33}}
                       : ProgramRef{};
    });
    const TargetHooks before = target_hooks();
    set_target_hooks({});
    auto devices = make(MapType::devmap, 8, 1);
    auto cpus = make(MapType::cpumap, 8, 1);
    const std::uint32_t key = 0;
    std::uint32_t value[2] = {1, 5};
    EXPECT_EQ(devices->update(&key, value, kAny), 0);
    EXPECT_EQ(cpus->update(&key, value, kAny), -ENOMEM);
    EXPECT_EQ(devices->lookup(&key, value), 0);
    EXPECT_EQ(value[1], 42U);
    value[1] = 6;
    EXPECT_EQ(devices->update(&key, value, kAny), -EINVAL);
    set_program_by_fd(nullptr);
    set_target_hooks(before);
}

}  // namespace
}  // namespace crema::ebpf::maps
