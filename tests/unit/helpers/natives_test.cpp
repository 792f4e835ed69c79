// SPDX-License-Identifier: BSD-3-Clause
//
// The native helpers called as compiled code calls them. Numbers of the adjust_head cases are
// those measured on the kernel (64-byte frame, 256 bytes headroom).
#include "lib/ebpf/helpers/natives.h"

#include <array>
#include <cerrno>
#include <cstdint>
#include <gtest/gtest.h>
#include <string>

#include "lib/ebpf/helpers/prototypes.h"
#include "lib/ebpf/maps/devmap.h"
#include "tests/support/without_targets.h"

namespace crema::ebpf::helpers {
namespace {

constexpr std::uint64_t kBroadcast = 8, kExcludeIngress = 16;

struct Frame {
    alignas(64) std::array<std::uint8_t, 4096> page{};
    XdpBuff buff{};

    explicit Frame(std::uint32_t meta_bytes = 0) {
        buff.data_hard_start = page.data();
        buff.frame_sz = 4096;
        buff.data = page.data() + kXdpHeadroom;
        buff.data_end = buff.data + 64;
        buff.data_meta = buff.data - meta_bytes;
    }

    std::int64_t adjust_head(std::int32_t offset) {
        return static_cast<std::int64_t>(xdp_adjust_head(
            reinterpret_cast<std::uintptr_t>(&buff), static_cast<std::uint32_t>(offset), 0, 0, 0));
    }

    std::uint64_t context() { return reinterpret_cast<std::uintptr_t>(&buff); }
};

TEST(XdpAdjustHead, KeepsTheKernelsLimits) {
    for (const auto& [offset, result] :
         {std::pair{-216, 0}, {-217, -EINVAL}, {50, 0}, {51, -EINVAL}, {INT32_MIN, -EINVAL}}) {
        Frame frame;
        std::uint8_t* const before = frame.buff.data;
        EXPECT_EQ(frame.adjust_head(offset), result) << offset;
        EXPECT_EQ(frame.buff.data - before, result == 0 ? offset : 0);
        EXPECT_EQ(frame.buff.data_meta, frame.buff.data);
    }
}

TEST(XdpAdjustHead, MetadataMovesAlong) {
    Frame frame(8);
    frame.buff.data_meta[0] = 0x5a;
    frame.buff.data_meta[7] = 0xa5;
    EXPECT_EQ(frame.adjust_head(-209), -EINVAL);
    EXPECT_EQ(frame.adjust_head(-208), 0);
    EXPECT_EQ(frame.buff.data - frame.buff.data_meta, 8);
    EXPECT_EQ(frame.buff.data_meta[0], 0x5a);
    EXPECT_EQ(frame.buff.data_meta[7], 0xa5);
}

TEST(Redirect, FlagsLeaveTheEarlierTarget) {
    Frame frame;
    EXPECT_EQ(redirect(7, 0, 0, 0, frame.context()), 4U);
    EXPECT_EQ(redirect(8, 1, 0, 0, frame.context()), 0U);
    EXPECT_EQ(frame.buff.redirect.kind, RedirectTarget::Kind::ifindex);
    EXPECT_EQ(frame.buff.redirect.index, 7U);
}

TEST(RedirectMap, FollowsTheKernelsStateMachine) {
    const crema::test::WithoutTargets no_targets;
    auto map = *maps::create({.type = maps::MapType::devmap,
                              .key_size = 4,
                              .value_size = 4,
                              .max_entries = 4,
                              .flags = 0,
                              .name = "d"});
    const std::uint32_t key = 1;
    const std::uint32_t ifindex = 9;
    ASSERT_EQ(map->update(&key, &ifindex, maps::kAny), 0);
    const std::uint64_t r1 = map_argument(*map);
    Frame frame;
    const RedirectTarget& target = frame.buff.redirect;

    EXPECT_EQ(redirect_map_devmap(r1, 1, 0, 0, frame.context()), 4U);
    EXPECT_EQ(target.map, map.get());
    EXPECT_EQ(target.index, 1U);
    EXPECT_EQ(redirect_map_any(r1, 0x1'0000'0001, 0, 0, frame.context()), 4U) << "key has 32 bits";
    EXPECT_EQ(redirect_map_devmap(r1, 1, 32, 0, frame.context()), 0U) << "unknown flag";
    EXPECT_EQ(target.kind, RedirectTarget::Kind::map) << "and nothing changed";

    EXPECT_EQ(redirect_map_devmap(r1, 2, 3, 0, frame.context()), 3U) << "empty slot: low flags";
    EXPECT_EQ(target.kind, RedirectTarget::Kind::ifindex) << "the earlier map is forgotten,";
    EXPECT_EQ(target.map, nullptr);
    EXPECT_EQ(target.index, 1U) << "what was its key stays, and REDIRECT goes to that ifindex";
    EXPECT_EQ(redirect_map_devmap(r1, 99, 2, 0, frame.context()), 2U);

    EXPECT_EQ(redirect_map_devmap(r1, 99, kBroadcast | kExcludeIngress, 0, frame.context()), 4U);
    EXPECT_EQ(target.flags, kBroadcast | kExcludeIngress);
    EXPECT_EQ(target.slot, nullptr);
    EXPECT_EQ(redirect_map_devmap(r1, 1, kExcludeIngress, 0, frame.context()), 4U);
    EXPECT_EQ(target.flags, 0U) << "no broadcast: the flag has no effect";
}

TEST(RedirectMap, CpumapKnowsNoBroadcast) {
    const crema::test::WithoutTargets no_targets;
    auto map = *maps::create({.type = maps::MapType::cpumap,
                              .key_size = 4,
                              .value_size = 4,
                              .max_entries = 1,
                              .flags = 0,
                              .name = "c"});
    const std::uint32_t key = 0;
    const std::uint32_t queue = 64;
    ASSERT_EQ(map->update(&key, &queue, maps::kAny), 0);
    Frame frame;
    EXPECT_EQ(redirect_map_cpumap(map_argument(*map), 0, kBroadcast, 0, frame.context()), 0U);
    EXPECT_EQ(redirect_map_cpumap(map_argument(*map), 0, 0, 0, frame.context()), 4U);
}

TEST(Lookup, DevmapShowsTheSlotsValue) {
    const crema::test::WithoutTargets no_targets;
    auto map = *maps::create({.type = maps::MapType::devmap_hash,
                              .key_size = 4,
                              .value_size = 8,
                              .max_entries = 4,
                              .flags = 0,
                              .name = "d"});
    const std::uint32_t key = 1000;
    const std::uint32_t value[2] = {9, 0};
    ASSERT_EQ(map->update(&key, value, maps::kAny), 0);
    const std::uint64_t found =
        lookup_any(map_argument(*map), reinterpret_cast<std::uintptr_t>(&key), 0, 0, 0);
    ASSERT_NE(found, 0U);
    EXPECT_EQ(*reinterpret_cast<const std::uint32_t*>(found), 9U);
    EXPECT_NE(map->spec().flags & maps::kRdonlyProg, 0U) << "programs may not write it";
}

TEST(Prototypes, NamesHelpersThatAreNotServed) {
    EXPECT_EQ(find(9), nullptr);
    EXPECT_STREQ(name_of(9), "skb_store_bytes");
    EXPECT_STREQ(name_of(211), "cgrp_storage_delete");
    EXPECT_STREQ(name_of(0), "unspec");
    EXPECT_STREQ(name_of(212), "unknown");
}

TEST(Prototypes, EveryRowStandsUnderItsId) {
    std::uint32_t rows = 0;
    for (std::uint32_t id = 0; id < 300; ++id) {
        const Prototype* prototype = find(id);
        if (prototype != nullptr) {
            ++rows;
            EXPECT_EQ(prototype->id, id);
            EXPECT_FALSE(prototype->wants_context && (prototype->registers_read() & 0x20) != 0)
                << name_of(id) << " has no free register for the context";
        }
    }
    EXPECT_EQ(rows, 104U);
}

TEST(Prototypes, PairsMapTypesAsTheKernelDoes) {
    EXPECT_TRUE(takes_map_type(1, maps::MapType::devmap));
    EXPECT_FALSE(takes_map_type(1, maps::MapType::cpumap));
    EXPECT_FALSE(takes_map_type(51, maps::MapType::array));
    EXPECT_EQ(native_for(51, maps::MapType::cpumap), redirect_map_cpumap);
}

}  // namespace
}  // namespace crema::ebpf::helpers
