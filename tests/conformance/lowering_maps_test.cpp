// SPDX-License-Identifier: BSD-3-Clause
//
// The same map operations on a map of the running kernel and on ours: return codes and values must
// be equal, for creation with every attribute around its limits and for random sequences of all
// operations. Device slots use ifindex 1, the loopback device; our side runs without a data path.
#include <array>
#include <cerrno>
#include <cstdint>
#include <gtest/gtest.h>
#include <memory>
#include <random>
#include <string>
#include <unistd.h>
#include <vector>

#include "lib/ebpf/maps/map.h"
#include "tests/support/kernel_bpf.h"
#include "tests/support/with_kernel.h"
#include "tests/support/without_targets.h"

namespace crema::test {
namespace {

using ebpf::maps::MapSpec;
using ebpf::maps::MapType;

constexpr std::array kTypes = {MapType::array, MapType::percpu_array, MapType::devmap,
                               MapType::devmap_hash, MapType::cpumap};

std::string text(const MapSpec& spec) {
    return "type " + std::to_string(static_cast<int>(spec.type)) + " key " +
           std::to_string(spec.key_size) + " value " + std::to_string(spec.value_size) +
           " entries " + std::to_string(spec.max_entries) + " flags " + std::to_string(spec.flags) +
           " name \"" + spec.name + "\"";
}

class LoweringMaps : public WithKernel {};

void compare_creation(const MapSpec& spec) {
    const int fd = kernel::create_map(spec);
    const auto map = ebpf::maps::create(spec);
    EXPECT_EQ(map ? 0 : -map.error().code, fd < 0 ? fd : 0)
        << text(spec) << (map ? "" : ": " + map.error().message);
    if (fd >= 0) {
        ::close(fd);
    }
}

/// A specification that both sides accept.
MapSpec good_spec(MapType type) {
    MapSpec good{
        .type = type, .key_size = 4, .value_size = 8, .max_entries = 2, .flags = 0, .name = "m"};
    switch (type) {
        case MapType::prog_array:
        case MapType::perf_event_array:
        case MapType::xskmap:
            good.value_size = 4;
            break;
        case MapType::lpm_trie:
            good.key_size = 8;
            good.flags = 1;
            break;
        case MapType::queue:
        case MapType::stack:
        case MapType::bloom_filter:
            good.key_size = 0;
            break;
        case MapType::ringbuf:
        case MapType::user_ringbuf:
            good.key_size = 0;
            good.value_size = 0;
            good.max_entries = 4096;
            break;
        default:
            break;
    }
    return good;
}

bool refuses_many_entries(MapType type) {
    return type == MapType::hash || type == MapType::percpu_hash || type == MapType::lru_hash ||
           type == MapType::lru_percpu_hash || type == MapType::cpumap;
}

constexpr std::array kCreatedTypes = {
    MapType::hash,
    MapType::array,
    MapType::prog_array,
    MapType::percpu_hash,
    MapType::percpu_array,
    MapType::lru_hash,
    MapType::lru_percpu_hash,
    MapType::devmap,
    MapType::devmap_hash,
    MapType::cpumap,
    MapType::lpm_trie,
    MapType::xskmap,
    MapType::perf_event_array,
    MapType::queue,
    MapType::stack,
    MapType::bloom_filter,
    MapType::ringbuf,
    MapType::user_ringbuf,
    MapType::stack_trace,
};

TEST_F(LoweringMaps, CreationIsRefusedAsTheKernelRefusesIt) {
    for (const MapType type : kCreatedTypes) {
        const MapSpec good = good_spec(type);
        compare_creation(good);
        for (std::uint32_t bit = 0; bit < 20; bit++) {
            for (const std::uint32_t also : {0U, 1U, 4U, 8U, 128U}) {
                MapSpec spec = good;
                spec.flags ^= (1U << bit) | also;
                compare_creation(spec);
            }
        }
        for (const std::uint32_t size : {0U, 1U, 3U, 4U, 5U, 7U, 8U, 9U, 16U, 260U, 261U, 1016U,
                                         1024U, 32767U, 32768U, 32769U, 4194000U, 4194304U}) {
            MapSpec spec = good;
            spec.value_size = size;
            compare_creation(spec);
            spec = good;
            spec.key_size = size;
            compare_creation(spec);
        }
        for (const std::uint32_t entries :
             {0U, 1U, 3U, 128U, 300U, 4095U, 4096U, 8192U, 8193U, 0x80000000U, 0xffffffffU}) {
            if (entries > 8193 && !refuses_many_entries(type)) {
                continue;  // how much memory there is, and not which numbers are right
            }
            MapSpec spec = good;
            spec.max_entries = entries;
            compare_creation(spec);
        }
        for (const std::uint64_t extra : {1U, 15U, 16U}) {
            MapSpec spec = good;
            spec.extra = extra;
            compare_creation(spec);
        }
        for (const std::uint32_t node : {0U, 1U, 4000U}) {
            MapSpec spec = good;
            spec.numa_node = node;
            compare_creation(spec);
            spec.flags |= 4;
            compare_creation(spec);
        }
        for (const char* name : {"", "a.b_C9", "with space", "dash-", "fifteen_letters"}) {
            MapSpec spec = good;
            spec.name = name;
            compare_creation(spec);
        }
    }
    for (const std::uint32_t type : {0U, 40U, 0xffffffffU}) {
        compare_creation({.type = static_cast<MapType>(type),
                          .key_size = 4,
                          .value_size = 4,
                          .max_entries = 1,
                          .flags = 0,
                          .name = "m"});
    }
}

// One map of each side, and operations on both.
class Pair {
  public:
    explicit Pair(const MapSpec& spec)
        : fd_(kernel::create_map(spec)), map_(*ebpf::maps::create(spec)) {}

    Pair(const Pair&) = delete;
    Pair& operator=(const Pair&) = delete;

    ~Pair() { ::close(fd_); }

    void lookup(std::uint32_t key) {
        std::vector<std::uint8_t> theirs(map_->user_value_bytes());
        std::vector<std::uint8_t> ours(map_->user_value_bytes());
        same(kernel::lookup(fd_, &key, theirs.data()), map_->lookup(&key, ours.data()), "lookup",
             key);
        EXPECT_EQ(theirs, ours) << text(map_->spec()) << " lookup of " << key;
    }

    void update(std::uint32_t key, const void* value, std::uint64_t flags) {
        same(kernel::update(fd_, &key, value, flags), map_->update(&key, value, flags), "update",
             key, flags);
    }

    void erase(std::uint32_t key) {
        same(kernel::erase(fd_, &key), map_->erase(&key), "erase", key);
    }

    void next_key(const std::uint32_t* key) {
        std::uint32_t theirs = 0xabcd;
        std::uint32_t ours = 0xabcd;
        same(kernel::next_key(fd_, key, &theirs), map_->next_key(key, &ours), "next_key",
             key != nullptr ? *key : 0);
        EXPECT_EQ(theirs, ours) << text(map_->spec());
    }

    void freeze() { same(kernel::freeze(fd_), map_->freeze(), "freeze", 0); }

  private:
    void same(int theirs, int ours, const char* what, std::uint32_t key, std::uint64_t flags = 0) {
        EXPECT_EQ(theirs, ours) << text(map_->spec()) << ": " << what << " of key " << key
                                << " flags " << flags;
    }

    int fd_;
    std::shared_ptr<ebpf::maps::Map> map_;
};

// A value of the type: any bytes for arrays, {ifindex or queue size, fd} for the others.
std::vector<std::uint32_t> random_value(std::mt19937_64& random, const MapSpec& spec) {
    std::vector<std::uint32_t> words(2 * ebpf::maps::possible_cpus() + 2);
    if (spec.type == MapType::array || spec.type == MapType::percpu_array) {
        for (std::uint32_t& word : words) {
            word = static_cast<std::uint32_t>(random());
        }
        return words;
    }
    const bool is_cpumap = spec.type == MapType::cpumap;
    constexpr std::array<std::uint32_t, 5> kQueues = {0, 1, 64, 16384, 16385};
    words[0] =
        is_cpumap ? kQueues[random() % kQueues.size()] : static_cast<std::uint32_t>(random() % 2);
    words[1] = random() % 6 == 0 ? 999 : random() % 6 == 0 ? 0xffffffff : 0;
    return words;
}

void random_operations(const MapSpec& spec, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    Pair pair(spec);
    for (int round = 0; round < 400; round++) {
        // Few keys, so that they meet; in hash maps few chains, too.
        const auto key = static_cast<std::uint32_t>(random() % 12);
        switch (random() % 6) {
            case 0:
            case 1:
            case 2: {
                const std::uint64_t flags = random() % 3 == 0 ? random() % 10 : 0;
                pair.update(key, random_value(random, spec).data(), flags);
                break;
            }
            case 3:
                pair.lookup(key);
                break;
            case 4:
                pair.erase(key);
                break;
            default:
                // Order inside a hash chain is no promise: only the first key's existence is.
                if (spec.type != MapType::devmap_hash) {
                    pair.next_key(random() % 4 == 0 ? nullptr : &key);
                }
                break;
        }
    }
}

TEST_F(LoweringMaps, RandomOperationsGiveTheSameCodesAndValues) {
    const WithoutTargets no_data_path;
    for (const MapType type : kTypes) {
        for (const std::uint32_t value_size : {4U, 8U}) {
            for (const std::uint32_t entries : {1U, 2U, 5U}) {
                random_operations({.type = type,
                                   .key_size = 4,
                                   .value_size = value_size,
                                   .max_entries = entries,
                                   .flags = 0,
                                   .name = "m"},
                                  entries);
            }
        }
    }
}

TEST_F(LoweringMaps, RightsAndFreezingAreTheSame) {
    for (const MapType type : {MapType::array, MapType::percpu_array}) {
        for (const std::uint32_t flags : {0U, 8U, 16U, 128U}) {
            Pair pair({.type = type,
                       .key_size = 4,
                       .value_size = 8,
                       .max_entries = 2,
                       .flags = flags,
                       .name = "m"});
            const std::vector<std::uint64_t> value(ebpf::maps::possible_cpus(), 7);
            const std::uint32_t key = 0;
            for (int round = 0; round < 3; round++) {
                pair.update(0, value.data(), 0);
                pair.update(9, value.data(), 77);
                pair.lookup(0);
                pair.erase(0);
                pair.next_key(&key);
                pair.freeze();
            }
        }
    }
}

}  // namespace
}  // namespace crema::test
