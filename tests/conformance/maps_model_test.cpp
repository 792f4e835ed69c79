// SPDX-License-Identifier: BSD-3-Clause
//
// The same random operations on a map of the running kernel and on ours, for every map type of keys
// and values: results, errno and values must be equal after each one, and from time to time all
// contents, by walking both maps. The order of the walk is a hash map's own business; in all other
// types it must be the kernel's.
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <unistd.h>
#include <vector>

#include "lib/ebpf/maps/map.h"
#include "tests/support/kernel_bpf.h"
#include "tests/support/with_kernel.h"

namespace crema::test {
namespace {

using ebpf::maps::MapSpec;
using ebpf::maps::MapType;
using Bytes = std::vector<std::uint8_t>;

std::string text(const MapSpec& spec) {
    return "type " + std::to_string(static_cast<int>(spec.type)) + " key " +
           std::to_string(spec.key_size) + " value " + std::to_string(spec.value_size) +
           " entries " + std::to_string(spec.max_entries) + " flags " + std::to_string(spec.flags);
}

bool is_percpu(MapType type) {
    return type == MapType::percpu_array || type == MapType::percpu_hash ||
           type == MapType::lru_percpu_hash;
}

bool has_free_order(MapType type) {
    return type == MapType::hash || type == MapType::percpu_hash || type == MapType::lru_hash ||
           type == MapType::lru_percpu_hash;
}

/// Bytes of a value that mean something: padding of per-CPU values does not.
Bytes without_padding(const MapSpec& spec, Bytes value) {
    if (is_percpu(spec.type)) {
        const std::size_t stride = (spec.value_size + 7U) & ~7U;
        for (std::size_t at = 0; at < value.size(); at++) {
            if (at % stride >= spec.value_size) {
                value[at] = 0;
            }
        }
    }
    return value;
}

class Pair {
  public:
    explicit Pair(const MapSpec& spec) : fd_(kernel::create_map(spec)) {
        auto map = ebpf::maps::create(spec);
        EXPECT_GE(fd_, 0) << text(spec);
        EXPECT_TRUE(map) << map.error().message;
        if (map) {
            map_ = *map;
        }
    }

    Pair(const Pair&) = delete;
    Pair& operator=(const Pair&) = delete;

    ~Pair() { ::close(fd_); }

    [[nodiscard]] bool valid() const { return fd_ >= 0 && map_ != nullptr; }

    [[nodiscard]] const MapSpec& spec() const { return map_->spec(); }

    [[nodiscard]] std::size_t value_bytes() const { return map_->user_value_bytes(); }

    void lookup(const Bytes& key) {
        Bytes theirs(value_bytes());
        Bytes ours(value_bytes());
        same(kernel::lookup(fd_, pointer(key), theirs.data()),
             map_->lookup(pointer(key), ours.data()), "lookup");
        same_value(theirs, ours, "lookup");
    }

    void take(const Bytes& key) {
        Bytes theirs(value_bytes());
        Bytes ours(value_bytes());
        same(kernel::take(fd_, pointer(key), theirs.data()), map_->take(pointer(key), ours.data()),
             "take");
        same_value(theirs, ours, "take");
    }

    void update(const Bytes& key, const Bytes& value, std::uint64_t flags) {
        same(kernel::update(fd_, pointer(key), value.data(), flags),
             map_->update(pointer(key), value.data(), flags), "update", flags);
    }

    void erase(const Bytes& key) {
        same(kernel::erase(fd_, pointer(key)), map_->erase(pointer(key)), "erase");
    }

    void next_key(const Bytes* key) {
        Bytes theirs(spec().key_size);
        Bytes ours(spec().key_size);
        const int code =
            kernel::next_key(fd_, key != nullptr ? key->data() : nullptr, theirs.data());
        const int own = map_->next_key(key != nullptr ? key->data() : nullptr, ours.data());
        if (!has_free_order(spec().type)) {
            same(code, own, "next_key");
            EXPECT_EQ(theirs, ours) << text(spec()) << " next_key";
        } else if (key == nullptr) {
            same(code, own, "next_key");
        }
    }

    void same_contents() {
        const auto theirs =
            walk([this](const void* key, void* next) { return kernel::next_key(fd_, key, next); },
                 [this](const void* key, void* value) { return kernel::lookup(fd_, key, value); });
        const auto ours =
            walk([this](const void* key, void* next) { return map_->next_key(key, next); },
                 [this](const void* key, void* value) { return map_->lookup(key, value); });
        EXPECT_EQ(theirs, ours) << text(spec());
    }

  private:
    static const void* pointer(const Bytes& key) { return key.empty() ? nullptr : key.data(); }

    template <typename Next, typename Lookup>
    std::map<Bytes, Bytes> walk(Next&& next, Lookup&& lookup_value) {
        std::map<Bytes, Bytes> contents;
        Bytes key(spec().key_size);
        Bytes after(spec().key_size);
        bool first = true;
        for (int steps = 0; next(first ? nullptr : key.data(), after.data()) == 0; steps++) {
            EXPECT_LT(steps, 100000) << text(spec()) << ": the walk does not end";
            if (steps == 100000) {
                break;
            }
            key = after;
            first = false;
            Bytes value(value_bytes());
            EXPECT_EQ(lookup_value(key.data(), value.data()), 0) << text(spec());
            EXPECT_TRUE(contents.emplace(key, without_padding(spec(), value)).second)
                << text(spec()) << ": a key twice in one walk";
        }
        return contents;
    }

    void same(int theirs, int ours, const char* what, std::uint64_t flags = 0) {
        EXPECT_EQ(theirs, ours) << text(spec()) << ": " << what << " flags " << flags;
    }

    void same_value(const Bytes& theirs, const Bytes& ours, const char* what) {
        EXPECT_EQ(without_padding(spec(), theirs), without_padding(spec(), ours))
            << text(spec()) << ": " << what;
    }

    int fd_;
    std::shared_ptr<ebpf::maps::Map> map_;
};

class Dice {
  public:
    explicit Dice(std::uint64_t seed) : random_(seed) {}

    std::uint64_t below(std::uint64_t limit) { return random_() % limit; }

    bool one_in(std::uint64_t n) { return below(n) == 0; }

    /// Few different keys, so that they meet.
    Bytes key(const MapSpec& spec, std::uint64_t different) {
        Bytes key(spec.key_size);
        const std::uint64_t which = below(different);
        if (spec.type == MapType::lpm_trie) {
            const std::uint32_t data_bits = (spec.key_size - 4) * 8;
            const auto length = static_cast<std::uint32_t>(one_in(20)      ? data_bits + 1
                                                           : below(3) == 0 ? data_bits
                                                                           : below(data_bits + 1));
            std::copy_n(reinterpret_cast<const std::uint8_t*>(&length), 4, key.begin());
            // Prefixes of a few bytes that differ in single bits.
            for (std::size_t at = 4; at < key.size(); at++) {
                key[at] = static_cast<std::uint8_t>(
                    at == 4 + which % (key.size() - 4) ? 0x80U >> below(8) : 0U);
            }
            return key;
        }
        for (std::size_t at = 0; at < key.size(); at++) {
            // The number in the first and, for long keys, in the last bytes.
            const std::size_t from_end = key.size() - 1 - at;
            key[at] = static_cast<std::uint8_t>(at < 4         ? which >> (8 * at)
                                                : from_end < 2 ? which * 7
                                                               : 0x5aU);
        }
        return key;
    }

    Bytes bytes(std::size_t count) {
        Bytes out(count);
        std::generate(out.begin(), out.end(),
                      [this] { return static_cast<std::uint8_t>(random_()); });
        return out;
    }

  private:
    std::mt19937_64 random_;
};

void random_operations(const MapSpec& spec,
                       std::uint64_t different,
                       int rounds,
                       std::uint64_t seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Dice dice(seed);
    Pair pair(spec);
    ASSERT_TRUE(pair.valid());
    const bool evicts = spec.type == MapType::lru_hash || spec.type == MapType::lru_percpu_hash;
    for (int round = 0; round < rounds && !testing::Test::HasFailure(); round++) {
        const Bytes key = dice.key(spec, different);
        switch (dice.below(8)) {
            case 0:
            case 1:
            case 2:
                pair.update(key, dice.bytes(pair.value_bytes()),
                            dice.one_in(3) ? dice.below(10) : 0);
                break;
            case 3:
            case 4:
                pair.lookup(key);
                break;
            case 5:
                pair.erase(key);
                break;
            case 6:
                if (dice.one_in(3)) {
                    pair.take(key);
                } else {
                    pair.next_key(dice.one_in(4) ? nullptr : &key);
                }
                break;
            default:
                if (dice.one_in(8) && !evicts) {
                    pair.same_contents();
                }
                break;
        }
    }
    pair.same_contents();
}

class MapsModel : public WithKernel {};

MapSpec spec_of(MapType type,
                std::uint32_t key_size,
                std::uint32_t value_size,
                std::uint32_t entries,
                std::uint32_t flags = 0) {
    return {.type = type,
            .key_size = key_size,
            .value_size = value_size,
            .max_entries = entries,
            .flags = flags,
            .name = "m"};
}

TEST_F(MapsModel, HashMapsDoAsTheKernels) {
    std::uint64_t seed = 1;
    for (const MapType type : {MapType::hash, MapType::percpu_hash}) {
        for (const std::uint32_t flags : {0U, ebpf::maps::kNoPrealloc}) {
            for (const std::uint32_t key_size : {1U, 3U, 4U, 7U, 8U, 9U, 13U, 16U, 17U, 37U, 64U}) {
                for (const std::uint32_t value_size : {1U, 8U, 12U, 100U}) {
                    random_operations(spec_of(type, key_size, value_size, 7, flags), 12, 300,
                                      seed++);
                }
            }
            random_operations(spec_of(type, 4, 8, 1, flags), 3, 300, seed++);
            random_operations(spec_of(type, 6, 24, 500, flags), 700, 8000, seed++);
        }
    }
}

// Fewer keys than make the kernel evict: which key goes is each side's own choice.
TEST_F(MapsModel, LruMapsThatAreNotFullDoAsTheKernels) {
    std::uint64_t seed = 1000;
    for (const MapType type : {MapType::lru_hash, MapType::lru_percpu_hash}) {
        for (const std::uint32_t flags : {0U, ebpf::maps::kNoCommonLru}) {
            for (const std::uint32_t key_size : {4U, 12U, 20U}) {
                random_operations(spec_of(type, key_size, 12, 20000, flags), 40, 3000, seed++);
            }
        }
    }
}

TEST_F(MapsModel, ArraysDoAsTheKernels) {
    std::uint64_t seed = 2000;
    for (const MapType type : {MapType::array, MapType::percpu_array}) {
        for (const std::uint32_t value_size : {1U, 4U, 8U, 13U, 64U}) {
            random_operations(spec_of(type, 4, value_size, 9), 12, 400, seed++);
        }
    }
}

TEST_F(MapsModel, TriesDoAsTheKernels) {
    std::uint64_t seed = 3000;
    for (const std::uint32_t key_size : {5U, 6U, 8U, 12U, 13U, 20U, 40U}) {
        for (const std::uint32_t entries : {1U, 6U, 40U}) {
            const MapSpec spec =
                spec_of(MapType::lpm_trie, key_size, 9, entries, ebpf::maps::kNoPrealloc);
            random_operations(spec, 8, 1500, seed++);
        }
    }
}

TEST_F(MapsModel, QueuesAndStacksDoAsTheKernels) {
    std::uint64_t seed = 4000;
    for (const MapType type : {MapType::queue, MapType::stack}) {
        for (const std::uint32_t value_size : {1U, 8U, 20U}) {
            for (const std::uint32_t entries : {1U, 5U}) {
                random_operations(spec_of(type, 0, value_size, entries), 1, 400, seed++);
            }
        }
    }
}

TEST_F(MapsModel, SlotsWithoutTargetsDoAsTheKernels) {
    std::uint64_t seed = 5000;
    for (const MapType type : {MapType::prog_array, MapType::xskmap, MapType::perf_event_array}) {
        Dice dice(seed++);
        Pair pair(spec_of(type, 4, 4, 5));
        ASSERT_TRUE(pair.valid());
        for (int round = 0; round < 400; round++) {
            const Bytes key = dice.key(pair.spec(), 8);
            Bytes value(4, 0xff);  // a descriptor that is not open
            switch (dice.below(5)) {
                case 0:
                    pair.update(key, value, dice.below(6));
                    break;
                case 1:
                    pair.lookup(key);
                    break;
                case 2:
                    pair.erase(key);
                    break;
                case 3:
                    pair.take(key);
                    break;
                default:
                    pair.next_key(dice.one_in(3) ? nullptr : &key);
                    break;
            }
        }
    }
}

TEST_F(MapsModel, BloomFiltersKnowWhatWasAdded) {
    const MapSpec spec = spec_of(MapType::bloom_filter, 0, 12, 200);
    Dice dice(6000);
    Pair pair(spec);
    ASSERT_TRUE(pair.valid());
    const auto map = *ebpf::maps::create(spec);
    for (int round = 0; round < 200; round++) {
        Bytes value = dice.bytes(12);
        pair.update({}, value, dice.one_in(3) ? dice.below(6) : 0);
        ASSERT_EQ(map->update(nullptr, value.data(), 0), 0);
        EXPECT_EQ(map->lookup(nullptr, value.data()), 0);
    }
    int wrong = 0;
    for (int round = 0; round < 2000; round++) {
        Bytes value = dice.bytes(12);
        wrong += map->lookup(nullptr, value.data()) == 0 ? 1 : 0;
    }
    EXPECT_LT(wrong, 100) << "more than 5 % false positives at its full size";
    pair.erase({});
    pair.take({});
}

}  // namespace
}  // namespace crema::test
