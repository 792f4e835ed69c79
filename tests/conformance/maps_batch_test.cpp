// SPDX-License-Identifier: BSD-3-Clause
//
// The batch commands of bpf(2), served here and by the running kernel: results, errno, counts and
// contents must be equal. Cursors are each side's own; hash maps deliver in their own order.
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <gtest/gtest.h>
#include <map>
#include <string>
#include <unistd.h>
#include <vector>

#include <linux/bpf.h>

#include "lib/base/unique_fd.h"
#include "lib/ebpf/maps/map.h"
#include "lib/ebpf/syscall/serve.h"
#include "lib/ebpf/syscall/session.h"
#include "tests/support/kernel_bpf.h"
#include "tests/support/with_kernel.h"

namespace crema::test {
namespace {

using ebpf::maps::MapSpec;
using ebpf::maps::MapType;
using Bytes = std::vector<std::uint8_t>;

std::uint64_t address(const void* at) {
    return reinterpret_cast<std::uintptr_t>(at);
}

/// The same calls through serve().
int served_create(const MapSpec& spec) {
    bpf_attr attr{};
    attr.map_type = static_cast<std::uint32_t>(spec.type);
    attr.key_size = spec.key_size;
    attr.value_size = spec.value_size;
    attr.max_entries = spec.max_entries;
    attr.map_flags = spec.flags;
    return static_cast<int>(ebpf::syscall::serve(BPF_MAP_CREATE, &attr, sizeof attr));
}

int served_batch(int command, int map, kernel::Batch& batch) {
    bpf_attr attr{};
    attr.batch.map_fd = static_cast<std::uint32_t>(map);
    attr.batch.in_batch = address(batch.in);
    attr.batch.out_batch = address(batch.out);
    attr.batch.keys = address(batch.keys);
    attr.batch.values = address(batch.values);
    attr.batch.count = batch.count;
    attr.batch.elem_flags = batch.element_flags;
    attr.batch.flags = batch.flags;
    const long rc = ebpf::syscall::serve(command, &attr, sizeof attr);
    batch.count = attr.batch.count;
    return static_cast<int>(rc);
}

using BatchCall = int (*)(int command, int map, kernel::Batch& batch);

struct Side {
    const char* name;
    BatchCall batch;
    UniqueFd map;
};

class MapsBatch : public WithKernel {
  protected:
    std::array<Side, 2> sides(const MapSpec& spec) {
        std::array<Side, 2> both = {
            Side{"kernel", kernel::batch, UniqueFd(kernel::create_map(spec))},
            Side{"crema", served_batch, UniqueFd(served_create(spec))}};
        EXPECT_TRUE(both[0].map.valid() && both[1].map.valid())
            << "type " << static_cast<int>(spec.type);
        return both;
    }

    ebpf::syscall::Session session_;
};

MapSpec spec_of(MapType type, std::uint32_t entries) {
    const bool trie = type == MapType::lpm_trie;
    const bool no_keys = type == MapType::queue || type == MapType::ringbuf;
    return {.type = type,
            .key_size = no_keys ? 0U
                        : trie  ? 8U
                                : 4U,
            .value_size = type == MapType::ringbuf      ? 0U
                          : type == MapType::prog_array ? 4U
                                                        : 8U,
            .max_entries = type == MapType::ringbuf ? 4096 : entries,
            .flags = trie ? ebpf::maps::kNoPrealloc : 0U,
            .name = "m"};
}

Bytes keys_of(const MapSpec& spec, std::uint32_t first, std::uint32_t count) {
    Bytes keys(std::size_t{spec.key_size} * count);
    for (std::uint32_t i = 0; i < count && spec.key_size != 0; i++) {
        const std::uint32_t number = first + i;
        std::uint8_t* at = keys.data() + std::size_t{i} * spec.key_size;
        if (spec.type == MapType::lpm_trie) {
            const std::uint32_t bits = 32;
            std::memcpy(at, &bits, 4);
            at += 4;
        }
        std::memcpy(at, &number, 4);
    }
    return keys;
}

std::size_t value_bytes(const MapSpec& spec) {
    const bool percpu = spec.type == MapType::percpu_hash || spec.type == MapType::percpu_array ||
                        spec.type == MapType::lru_percpu_hash;
    return percpu ? std::size_t{8} * ebpf::maps::possible_cpus() : spec.value_size;
}

constexpr std::array kTypes = {
    MapType::hash,    MapType::percpu_hash,  MapType::lru_hash, MapType::lru_percpu_hash,
    MapType::array,   MapType::percpu_array, MapType::lpm_trie, MapType::queue,
    MapType::ringbuf, MapType::prog_array,
};

/// Reads all of a map in pieces of `count`; result, and for each call what came back.
struct Walk {
    std::map<Bytes, Bytes> contents;
    int last = 0;
    std::uint64_t total = 0;
};

Walk walk(const Side& side, const MapSpec& spec, int command, std::uint32_t count) {
    Walk result;
    Bytes cursor(64);
    Bytes next(64);
    bool first = true;
    for (int calls = 0; calls < 1000; calls++) {
        Bytes keys(std::size_t{spec.key_size} * count + 1);
        Bytes values(value_bytes(spec) * count + 1);
        kernel::Batch batch{.in = first ? nullptr : cursor.data(),
                            .out = next.data(),
                            .keys = keys.data(),
                            .values = values.data(),
                            .count = count};
        result.last = side.batch(command, side.map.get(), batch);
        if (result.last != 0 && result.last != -ENOENT) {
            break;
        }
        for (std::size_t i = 0; i < batch.count; i++) {
            const auto key = keys.begin() + static_cast<std::ptrdiff_t>(i * spec.key_size);
            const auto value = values.begin() + static_cast<std::ptrdiff_t>(i * value_bytes(spec));
            result.contents[Bytes(key, key + spec.key_size)] =
                Bytes(value, value + static_cast<std::ptrdiff_t>(value_bytes(spec)));
        }
        result.total += batch.count;
        cursor = next;
        first = false;
        if (result.last == -ENOENT) {
            break;
        }
    }
    return result;
}

TEST_F(MapsBatch, EveryTypeHasTheKernelsCommandsAndResults) {
    constexpr std::uint32_t kEntries = 40;
    for (const MapType type : kTypes) {
        SCOPED_TRACE("type " + std::to_string(static_cast<int>(type)));
        const MapSpec spec = spec_of(type, type == MapType::lru_hash ? 20000 : kEntries);
        const auto both = sides(spec);
        const Bytes keys = keys_of(spec, 0, kEntries);
        Bytes values(value_bytes(spec) * kEntries, 0x33);
        std::array<Walk, 2> walks;
        std::array<Walk, 2> taken;
        for (std::size_t at = 0; at < both.size(); at++) {
            kernel::Batch update{.keys = keys.data(), .values = values.data(), .count = kEntries};
            walks[at].total = static_cast<std::uint64_t>(static_cast<unsigned>(
                both[at].batch(BPF_MAP_UPDATE_BATCH, both[at].map.get(), update)));
            walks[at].total += std::uint64_t{update.count} << 32U;
        }
        EXPECT_EQ(walks[0].total, walks[1].total) << "update";
        for (const std::uint32_t count : {16U, 64U}) {
            for (std::size_t at = 0; at < both.size(); at++) {
                walks[at] = walk(both[at], spec, BPF_MAP_LOOKUP_BATCH, count);
            }
            EXPECT_EQ(walks[0].last, walks[1].last) << "lookup by " << count;
            EXPECT_EQ(walks[0].total, walks[1].total) << "lookup by " << count;
            EXPECT_EQ(walks[0].contents, walks[1].contents) << "lookup by " << count;
        }
        // Deleting stops at a key that is not there.
        for (std::size_t at = 0; at < both.size(); at++) {
            Bytes some = keys_of(spec, 0, 5);
            const Bytes missing = keys_of(spec, 1000000, 1);
            std::copy(missing.begin(), missing.end(),
                      some.begin() + std::ptrdiff_t{3} * spec.key_size);
            kernel::Batch erase{.keys = some.data(), .count = 5};
            taken[at].last = both[at].batch(BPF_MAP_DELETE_BATCH, both[at].map.get(), erase);
            taken[at].total = erase.count;
        }
        EXPECT_EQ(taken[0].last, taken[1].last) << "delete";
        EXPECT_EQ(taken[0].total, taken[1].total) << "delete";
        for (std::size_t at = 0; at < both.size(); at++) {
            taken[at] = walk(both[at], spec, BPF_MAP_LOOKUP_AND_DELETE_BATCH, 64);
            walks[at] = walk(both[at], spec, BPF_MAP_LOOKUP_BATCH, 64);
        }
        EXPECT_EQ(taken[0].last, taken[1].last) << "take";
        EXPECT_EQ(taken[0].contents, taken[1].contents) << "take";
        EXPECT_EQ(walks[0].contents, walks[1].contents) << "after taking";
    }
}

TEST_F(MapsBatch, OddArgumentsAreRefusedAsInTheKernel) {
    for (const MapType type : {MapType::hash, MapType::array, MapType::lpm_trie}) {
        const MapSpec spec = spec_of(type, 40);
        const auto both = sides(spec);
        for (const int command : {BPF_MAP_LOOKUP_BATCH, BPF_MAP_LOOKUP_AND_DELETE_BATCH,
                                  BPF_MAP_UPDATE_BATCH, BPF_MAP_DELETE_BATCH}) {
            for (const std::uint64_t element_flags : {0U, 1U, 4U, 8U}) {
                for (const std::uint64_t flags : {0U, 1U}) {
                    for (const std::uint32_t count : {0U, 3U}) {
                        std::array<int, 2> results{};
                        std::array<std::uint32_t, 2> counts{};
                        for (std::size_t at = 0; at < both.size(); at++) {
                            const Bytes keys = keys_of(spec, 1, 3);
                            const Bytes values(value_bytes(spec) * 3);
                            Bytes next(16);
                            kernel::Batch batch{.out = next.data(),
                                                .keys = keys.data(),
                                                .values = values.data(),
                                                .count = count,
                                                .element_flags = element_flags,
                                                .flags = flags};
                            results[at] = both[at].batch(command, both[at].map.get(), batch);
                            counts[at] = batch.count;
                        }
                        EXPECT_EQ(results[0], results[1])
                            << "type " << static_cast<int>(type) << " command " << command
                            << " element flags " << element_flags << " flags " << flags << " count "
                            << count;
                        if (results[0] == 0) {
                            EXPECT_EQ(counts[0], counts[1]);
                        }
                    }
                }
            }
        }
    }
}

}  // namespace
}  // namespace crema::test
