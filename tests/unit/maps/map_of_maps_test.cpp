// SPDX-License-Identifier: BSD-3-Clause
//
// Maps of maps: which maps fit, what programs and user space read, and that an inner map lives as
// long as a slot or a run may still use it.
#include "lib/ebpf/maps/map_of_maps.h"

#include <cerrno>
#include <cstdint>
#include <gtest/gtest.h>
#include <memory>
#include <utility>

#include "lib/ebpf/maps/target_hooks.h"

namespace crema::ebpf::maps {
namespace {

int g_waits = 0;
std::shared_ptr<Map> g_by_fd[4];

std::shared_ptr<Map> by_fd(int fd, int* error) {
    if (fd < 0 || fd >= 4 || g_by_fd[fd] == nullptr) {
        *error = fd == 3 ? -EINVAL : -EBADF;
        return nullptr;
    }
    return g_by_fd[fd];
}

MapSpec inner_spec(std::uint32_t entries, std::uint32_t flags = 0) {
    return {.type = MapType::array,
            .key_size = 4,
            .value_size = 8,
            .max_entries = entries,
            .flags = flags,
            .name = "inner"};
}

class MapOfMaps : public testing::Test {
  protected:
    void SetUp() override {
        set_map_by_fd(by_fd);
        g_waits = 0;
        set_wait_for_runs([] { g_waits++; });
        for (int fd = 0; fd < 3; fd++) {
            // 0 and 1 fit each other, 2 is longer.
            g_by_fd[fd] = *create(inner_spec(fd == 2 ? 3 : 2));
        }
    }

    void TearDown() override {
        for (auto& map : g_by_fd) {
            map = nullptr;
        }
        set_map_by_fd(nullptr);
        set_wait_for_runs(nullptr);
    }

    static std::shared_ptr<Map> outer(MapType type, const MapSpec& inner) {
        auto map = create({.type = type,
                           .key_size = 4,
                           .value_size = 4,
                           .max_entries = 2,
                           .name = "outer",
                           .inner = std::make_shared<const MapSpec>(inner)});
        EXPECT_TRUE(map) << map.error().message;
        return *map;
    }
};

TEST_F(MapOfMaps, TemplatesAreCheckedAsInTheKernel) {
    for (const auto& [type, code] : {std::pair{MapType::prog_array, kNotSupported},
                                     {MapType::array_of_maps, EINVAL},
                                     {MapType::hash_of_maps, EINVAL}}) {
        MapSpec inner = inner_spec(2);
        inner.type = type;
        const auto refused = create({.type = MapType::array_of_maps,
                                     .key_size = 4,
                                     .value_size = 4,
                                     .max_entries = 1,
                                     .name = "outer",
                                     .inner = std::make_shared<const MapSpec>(inner)});
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().code, code);
    }
    const auto without =
        create({.type = MapType::array_of_maps, .key_size = 4, .value_size = 4, .max_entries = 1});
    ASSERT_FALSE(without);
    EXPECT_EQ(without.error().code, EBADF);
}

TEST_F(MapOfMaps, SlotsTakeWhatFitsAndShowIds) {
    for (const MapType type : {MapType::array_of_maps, MapType::hash_of_maps}) {
        const auto map = outer(type, inner_spec(2));
        const std::uint32_t key = 1;
        std::uint32_t value = 0;
        EXPECT_EQ(map->lookup(&key, &value), -ENOENT);
        EXPECT_EQ(map->erase(&key), -ENOENT);
        value = 2;  // longer than the template
        EXPECT_EQ(map->update(&key, &value, kAny), -EINVAL);
        value = 3;  // open, and no map
        EXPECT_EQ(map->update(&key, &value, kAny), -EINVAL);
        value = 77;
        EXPECT_EQ(map->update(&key, &value, kAny), -EBADF);
        value = 0;
        EXPECT_EQ(map->update(&key, &value, kAny), 0);
        EXPECT_EQ(map->lookup(&key, &value), 0);
        EXPECT_EQ(value, g_by_fd[0]->id());
        const Map* seen = type == MapType::array_of_maps
                              ? std::static_pointer_cast<ArrayOfMaps>(map)->inner(key)
                              : std::static_pointer_cast<HashOfMaps>(map)->inner(&key);
        EXPECT_EQ(seen, g_by_fd[0].get());
        const int waits = g_waits;
        value = 1;
        EXPECT_EQ(map->update(&key, &value, kAny), 0);
        EXPECT_EQ(g_waits, waits + 1) << "runs may still use the old map";
        EXPECT_EQ(map->erase(&key), 0);
        EXPECT_EQ(g_waits, waits + 2);
        EXPECT_EQ(map->lookup(&key, &value), -ENOENT);
        EXPECT_EQ(g_by_fd[0].use_count(), 1) << "nothing keeps it";
        EXPECT_EQ(g_by_fd[1].use_count(), 1);
    }
}

TEST_F(MapOfMaps, LengthDoesNotCountWithInnerMapFlag) {
    const auto map = outer(MapType::array_of_maps, inner_spec(9, kInnerMap));
    g_by_fd[0] = *create(inner_spec(2, kInnerMap));
    const std::uint32_t key = 0;
    std::uint32_t value = 0;
    EXPECT_EQ(map->update(&key, &value, kAny), 0);
    value = 1;  // without the flag
    EXPECT_EQ(map->update(&key, &value, kAny), -EINVAL);
}

}  // namespace
}  // namespace crema::ebpf::maps
