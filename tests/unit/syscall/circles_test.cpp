// SPDX-License-Identifier: BSD-3-Clause
//
// Programs and maps that keep each other: gone when nothing else keeps them, whole until then.
#include <array>
#include <cerrno>
#include <gtest/gtest.h>
#include <memory>
#include <optional>
#include <unistd.h>

#include "lib/base/unique_fd.h"
#include "lib/ebpf/maps/map.h"
#include "lib/ebpf/maps/slot_programs.h"
#include "lib/ebpf/maps/target_hooks.h"
#include "lib/ebpf/program/program.h"
#include "lib/ebpf/syscall/loaded_program.h"
#include "lib/ebpf/syscall/object_ids.h"
#include "lib/ebpf/syscall/object_store.h"
#include "lib/ebpf/syscall/session.h"
#include "tests/unit/syscall/calls.h"

namespace crema::ebpf::syscall::test {
namespace {

using object_ids::Kind;

constexpr std::uint32_t kPassed = 2;

/// What a slot of either kind of map looks like.
struct SlotValue {
    std::uint32_t target;  // ifindex or queue size
    std::int32_t program;
};

/// A data path that takes any target and, as the real one, keeps a copy of the slot's program.
template <typename Slot>
int acquire(const Slot& slot, void** target) {
    *target = new std::shared_ptr<const LoadedProgram>(slot.program);
    return 0;
}

void release(void* target) {
    delete static_cast<std::shared_ptr<const LoadedProgram>*>(target);
}

class Circles : public testing::TestWithParam<bpf_map_type> {
  protected:
    void SetUp() override {
        maps::set_target_hooks({.device_acquire = acquire<maps::DeviceSlot>,
                                .cpu_acquire = acquire<maps::CpuSlot>,
                                .device_release = release,
                                .cpu_release = release});
        session_.emplace();
    }

    void TearDown() override {
        session_.reset();
        EXPECT_EQ(object_ids::next(Kind::map, 0), 0U);
        EXPECT_EQ(object_ids::next(Kind::program, 0), 0U);
        EXPECT_EQ(maps::SlotPrograms::count_of_all(), 0U);
        maps::set_target_hooks(real_hooks_);
    }

    static UniqueFd new_slots() {
        bpf_attr attr{};
        attr.map_type = GetParam();
        attr.key_size = 4;
        attr.value_size = sizeof(SlotValue);
        attr.max_entries = 4;
        return UniqueFd(static_cast<int>(call(BPF_MAP_CREATE, attr)));
    }

    /// Passes all; names the maps.
    template <typename... Fds>
    static UniqueFd program_with(const Fds&... maps) {
        std::vector<Insn> insns;
        [[maybe_unused]] const auto name = [&insns](int fd) {
            insns.push_back(insn(op::kLdImm64, 1, BPF_PSEUDO_MAP_FD, 0, fd));
            insns.push_back(insn(0, 0, 0, 0, 0));
        };
        (name(maps.get()), ...);
        insns.push_back(move(0, kPassed));
        insns.push_back(exit_insn());
        bpf_attr attr = prog_attr(insns);
        attr.expected_attach_type =
            GetParam() == BPF_MAP_TYPE_CPUMAP ? BPF_XDP_CPUMAP : BPF_XDP_DEVMAP;
        return UniqueFd(static_cast<int>(call(BPF_PROG_LOAD, attr)));
    }

    template <typename Value>
    static long put(const UniqueFd& map, std::uint32_t key, const Value& value) {
        bpf_attr attr{};
        attr.map_fd = static_cast<std::uint32_t>(map.get());
        attr.key = address(&key);
        attr.value = address(&value);
        return call(BPF_MAP_UPDATE_ELEM, attr);
    }

    static long put_program(const UniqueFd& map, std::uint32_t key, const UniqueFd& program) {
        return put(map, key, SlotValue{.target = 1, .program = program.get()});
    }

    /// Number of the program in a slot of the map; 0: none there.
    static std::uint32_t program_in(const std::shared_ptr<maps::Map>& map, std::uint32_t key) {
        SlotValue value{};
        return map->lookup(&key, &value) == 0 ? static_cast<std::uint32_t>(value.program) : 0;
    }

    maps::TargetHooks real_hooks_ = maps::target_hooks();
    std::optional<Session> session_;
};

TEST_P(Circles, OfAMapAndTheProgramInIt) {
    const UniqueFd map = new_slots();
    const UniqueFd program = program_with(map);
    ASSERT_TRUE(program.valid());
    ASSERT_EQ(put_program(map, 0, program), 0);
    ASSERT_EQ(put_program(map, 1, program), 0);
    EXPECT_EQ(maps::SlotPrograms::count_of_all(), 2U);
}

TEST_P(Circles, OfTwoMapsAndTheirPrograms) {
    const std::array maps = {new_slots(), new_slots()};
    const std::array programs = {program_with(maps[1]), program_with(maps[0])};
    ASSERT_EQ(put_program(maps[0], 0, programs[0]), 0);
    ASSERT_EQ(put_program(maps[1], 0, programs[1]), 0);
}

TEST_P(Circles, ByWayOfAMapOfMaps) {
    for (const bpf_map_type type : {BPF_MAP_TYPE_ARRAY_OF_MAPS, BPF_MAP_TYPE_HASH_OF_MAPS}) {
        const UniqueFd inner = new_slots();
        bpf_attr attr{};
        attr.map_type = type;
        attr.key_size = 4;
        attr.value_size = 4;
        attr.max_entries = 2;
        attr.inner_map_fd = static_cast<std::uint32_t>(inner.get());
        const UniqueFd outer(static_cast<int>(call(BPF_MAP_CREATE, attr)));
        ASSERT_TRUE(outer.valid());
        ASSERT_EQ(put(outer, 0, inner.get()), 0);
        const UniqueFd program = program_with(outer);
        ASSERT_EQ(put_program(inner, 0, program), 0);
    }
}

TEST_P(Circles, ByWayOfABoundMap) {
    const UniqueFd map = new_slots();
    const UniqueFd program = program_with();
    bpf_attr attr{};
    attr.prog_bind_map.prog_fd = static_cast<std::uint32_t>(program.get());
    attr.prog_bind_map.map_fd = static_cast<std::uint32_t>(map.get());
    ASSERT_EQ(call(BPF_PROG_BIND_MAP, attr), 0);
    ASSERT_EQ(put_program(map, 0, program), 0);
}

TEST_P(Circles, WithASlotThatWasReplaced) {
    const UniqueFd map = new_slots();
    const UniqueFd program = program_with(map);
    ASSERT_EQ(put_program(map, 0, program), 0);
    ASSERT_EQ(put(map, 0, SlotValue{.target = 1, .program = 0}), 0);
}

TEST_P(Circles, StayWhileTheirProgramIsHeld) {
    std::shared_ptr<const LoadedProgram> held;
    {
        const UniqueFd map = new_slots();
        const UniqueFd program = program_with(map);
        ASSERT_EQ(put_program(map, 0, program), 0);
        held = program_of(program.get());
    }
    session_.reset();
    EXPECT_EQ(program_in(held->program.maps[0], 0), held->id);
    held.reset();
    object_store::collect();
    EXPECT_EQ(object_ids::next(Kind::program, 0), 0U);
}

TEST_P(Circles, StayWhileAnotherProgramUsesTheMap) {
    std::shared_ptr<const LoadedProgram> user;
    std::uint32_t id = 0;
    {
        const UniqueFd map = new_slots();
        const UniqueFd program = program_with(map);
        ASSERT_EQ(put_program(map, 0, program), 0);
        id = program_of(program.get())->id;
        const UniqueFd other = program_with(map);
        user = program_of(other.get());
    }
    session_.reset();
    EXPECT_EQ(program_in(user->program.maps[0], 0), id);
    user.reset();
    object_store::collect();
    EXPECT_EQ(object_ids::next(Kind::program, 0), 0U);
}

INSTANTIATE_TEST_SUITE_P(Maps,
                         Circles,
                         testing::Values(BPF_MAP_TYPE_DEVMAP,
                                         BPF_MAP_TYPE_DEVMAP_HASH,
                                         BPF_MAP_TYPE_CPUMAP),
                         [](const auto& given) {
                             switch (given.param) {
                                 case BPF_MAP_TYPE_DEVMAP:
                                     return "devmap";
                                 case BPF_MAP_TYPE_DEVMAP_HASH:
                                     return "devmap_hash";
                                 default:
                                     return "cpumap";
                             }
                         });

}  // namespace
}  // namespace crema::ebpf::syscall::test
