// SPDX-License-Identifier: BSD-3-Clause
//
// Hash maps under programs on several CPUs and a control thread at once: keys that nobody deletes
// are always found, however much happens in their buckets; no element is lost or given out twice.
// Few buckets and few keys, so that chains, replacements and reuse happen all the time.
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <gtest/gtest.h>
#include <memory>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include "lib/ebpf/helpers/map_natives.h"
#include "lib/ebpf/maps/map.h"
#include "lib/ebpf/maps/value_copy.h"

namespace crema::ebpf::maps {
namespace {

constexpr std::uint32_t kStableKeys = 24;
constexpr std::uint32_t kChurnedKeys = 64;
constexpr std::uint32_t kEntries = 48;  // fewer than keys: inserting also fails
constexpr int kWorkers = 7;
constexpr int kRounds = 20000;

struct Value {
    std::uint64_t key;
    std::uint64_t number;
};

/// A program's calls on one map, from one CPU number.
class Caller {
  public:
    Caller(const std::shared_ptr<Map>& map, std::uint32_t cpu)
        : map_(helpers::map_argument(*map)),
          lookup_(helpers::map_native(1, map->spec().type)),
          update_(helpers::map_native(2, map->spec().type)),
          delete_(helpers::map_native(3, map->spec().type)) {
        context_.cpu = cpu;
    }

    std::uint8_t* lookup(std::uint32_t key) {
        return reinterpret_cast<std::uint8_t*>(lookup_(map_, address(&key), 0, 0, context()));
    }

    int update(std::uint32_t key, std::uint64_t number, std::uint64_t flags) {
        const Value value{.key = key, .number = number};
        return static_cast<int>(update_(map_, address(&key), address(&value), flags, context()));
    }

    int erase(std::uint32_t key) {
        return static_cast<int>(delete_(map_, address(&key), 0, 0, context()));
    }

  private:
    static std::uint64_t address(const void* at) { return reinterpret_cast<std::uintptr_t>(at); }

    std::uint64_t context() { return address(&context_); }

    std::uint64_t map_;
    helpers::Native lookup_, update_, delete_;
    XdpBuff context_{};
};

std::shared_ptr<Map> make(MapType type, std::uint32_t flags, std::uint32_t entries) {
    auto map = create({.type = type,
                       .key_size = sizeof(std::uint32_t),
                       .value_size = sizeof(Value),
                       .max_entries = entries,
                       .flags = flags,
                       .name = "m"});
    EXPECT_TRUE(map) << map.error().message;
    return *map;
}

void work(const std::shared_ptr<Map>& map, std::uint32_t worker, std::atomic<int>& missed) {
    Caller caller(map, worker % possible_cpus());
    std::mt19937 random(worker + 1);
    for (int round = 0; round < kRounds; round++) {
        const std::uint32_t stable = static_cast<std::uint32_t>(random() % kStableKeys);
        const std::uint32_t churned =
            kStableKeys + static_cast<std::uint32_t>(random() % kChurnedKeys);
        switch (random() % 5) {
            case 0:
                // Replaces: readers see the old element or the new one, never none.
                EXPECT_EQ(caller.update(stable, random(), kExist), 0);
                break;
            case 1: {
                const int rc = caller.update(churned, random(), kAny);
                EXPECT_TRUE(rc == 0 || rc == -E2BIG) << rc;
                break;
            }
            case 2: {
                const int rc = caller.erase(churned);
                EXPECT_TRUE(rc == 0 || rc == -ENOENT) << rc;
                break;
            }
            default: {
                const std::uint8_t* found = caller.lookup(stable);
                if (found == nullptr) {
                    missed++;
                    break;
                }
                Value value{};
                read_value(&value, found, sizeof value);
                // Maybe of another key by now, but of a key.
                EXPECT_LT(value.key, kStableKeys + kChurnedKeys);
                break;
            }
        }
    }
}

void control(const std::shared_ptr<Map>& map, const std::atomic<bool>& stop) {
    std::vector<std::uint8_t> value(map->user_value_bytes());
    while (!stop.load(std::memory_order_relaxed)) {
        std::uint32_t key = 0;
        bool first = true;
        for (int steps = 0; steps < 1000; steps++) {
            std::uint32_t next = 0;
            if (map->next_key(first ? nullptr : &key, &next) != 0) {
                break;
            }
            EXPECT_LT(next, kStableKeys + kChurnedKeys);
            key = next;
            first = false;
            static_cast<void>(map->lookup(&key, value.data()));
        }
        Map::Bucket bucket;
        for (std::uint32_t at = 0; at < map->bucket_count(); at++) {
            EXPECT_TRUE(map->read_bucket(at, kEntries * 2, false, bucket));
        }
        key = kStableKeys;
        static_cast<void>(map->take(&key, value.data()));
    }
}

/// Nothing got lost: all can be taken out, and as many put in as the map promises.
void count_elements(const std::shared_ptr<Map>& map) {
    std::set<std::uint32_t> keys;
    std::uint32_t key = 0;
    while (map->next_key(nullptr, &key) == 0) {
        EXPECT_TRUE(keys.insert(key).second);
        ASSERT_EQ(map->erase(&key), 0);
    }
    EXPECT_GE(keys.size(), kStableKeys);
    EXPECT_LE(keys.size(), map->spec().max_entries);
    const std::vector<std::uint8_t> value(map->user_value_bytes());
    for (key = 0; key < map->spec().max_entries; key++) {
        EXPECT_EQ(map->update(&key, value.data(), kNoExist), 0) << key;
    }
    EXPECT_EQ(map->update(&key, value.data(), kAny), -E2BIG);
}

class HashThreads : public testing::TestWithParam<std::pair<MapType, std::uint32_t>> {};

TEST_P(HashThreads, StableKeysAreAlwaysFoundAndNoElementIsLost) {
    const auto map = make(GetParam().first, GetParam().second, kEntries);
    Caller first(map, 0);
    for (std::uint32_t key = 0; key < kStableKeys; key++) {
        ASSERT_EQ(first.update(key, 0, kNoExist), 0);
    }
    std::atomic<int> missed{0};
    std::atomic<bool> stop{false};
    std::thread controller([&] { control(map, stop); });
    std::vector<std::thread> workers;
    for (std::uint32_t worker = 0; worker < kWorkers; worker++) {
        workers.emplace_back([&, worker] { work(map, worker, missed); });
    }
    for (std::thread& worker : workers) {
        worker.join();
    }
    stop = true;
    controller.join();
    EXPECT_EQ(missed, 0);
    count_elements(map);
}

INSTANTIATE_TEST_SUITE_P(Types,
                         HashThreads,
                         testing::Values(std::pair{MapType::hash, 0U},
                                         std::pair{MapType::hash, kNoPrealloc},
                                         std::pair{MapType::percpu_hash, 0U}));

TEST(LruHash, InsertionNeverFailsAndUsedKeysStay) {
    constexpr std::uint32_t kRoom = 256;
    for (const MapType type : {MapType::lru_hash, MapType::lru_percpu_hash}) {
        const auto map = make(type, 0, kRoom);
        Caller caller(map, 0);
        for (std::uint32_t key = 0; key < 100000; key++) {
            ASSERT_EQ(caller.update(1000 + key, key, kAny), 0);
            if (key % 16 == 0) {
                for (std::uint32_t hot = 0; hot < 16; hot++) {
                    if (caller.lookup(hot) == nullptr) {
                        ASSERT_LT(key, 16U) << "hot key " << hot << " was evicted";
                        ASSERT_EQ(caller.update(hot, 0, kAny), 0);
                    }
                }
            }
        }
        std::uint32_t count = 0;
        std::uint32_t key = 0;
        for (bool more = map->next_key(nullptr, &key) == 0; more;) {
            count++;
            std::uint32_t next = 0;
            more = map->next_key(&key, &next) == 0;
            key = next;
        }
        EXPECT_EQ(count, kRoom);
    }
}

TEST(LruHash, ManyThreadsNeverExceedTheRoom) {
    for (const std::uint32_t flags : {0U, kNoCommonLru}) {
        constexpr std::uint32_t kRoom = 64;
        const auto map = make(MapType::lru_hash, flags, kRoom);
        std::atomic<int> failed{0};
        std::vector<std::thread> workers;
        for (std::uint32_t worker = 0; worker < 8; worker++) {
            workers.emplace_back([&, worker] {
                Caller caller(map, worker % possible_cpus());
                std::mt19937 random(worker + 1);
                for (int round = 0; round < kRounds; round++) {
                    const std::uint32_t key = static_cast<std::uint32_t>(random() % 500);
                    if (caller.update(key, key, kAny) != 0) {
                        failed++;
                    }
                    static_cast<void>(caller.lookup(static_cast<std::uint32_t>(random() % 500)));
                    if (round % 7 == 0) {
                        static_cast<void>(caller.erase(static_cast<std::uint32_t>(random() % 500)));
                    }
                }
            });
        }
        for (std::thread& worker : workers) {
            worker.join();
        }
        EXPECT_EQ(failed, 0);
        std::set<std::uint32_t> keys;
        std::uint32_t key = 0;
        while (map->next_key(nullptr, &key) == 0 && map->erase(&key) == 0) {
            EXPECT_TRUE(keys.insert(key).second);
        }
        EXPECT_LE(keys.size(), map->spec().max_entries);
        // With shares of its own, a CPU whose threads are done leaves what others delete unused.
        EXPECT_GT(keys.size(), flags == 0 ? kRoom / 2 : 0U);
    }
}

}  // namespace
}  // namespace crema::ebpf::maps
