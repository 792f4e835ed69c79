// SPDX-License-Identifier: BSD-3-Clause
//
// Keys of hash maps by their length and by how a program stored them: code differs by the number of
// words, by a last word that is not full and by the width of loads, and all of it must take the
// same keys for equal. What it answers is compared with a model here, and with the running kernel
// in tests/conformance/maps_model_test.cpp.
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <vector>

#include "lib/ebpf/helpers/map_natives.h"
#include "lib/ebpf/maps/elements.h"
#include "lib/ebpf/maps/map.h"

namespace crema::ebpf::maps {
namespace {

constexpr std::uint32_t kLookup = 1, kUpdate = 2, kDelete = 3;
constexpr std::uint32_t kValueBytes = 24;

using Bytes = std::vector<std::uint8_t>;

std::uint64_t address_of(const void* at) {
    return reinterpret_cast<std::uintptr_t>(at);
}

/// What a program calls when it stored keys in pieces of that many bytes.
class Calls {
  public:
    Calls(const std::shared_ptr<Map>& map, std::uint32_t piece_bytes)
        : map_(map), piece_bytes_(piece_bytes) {}

    [[nodiscard]] const std::uint8_t* lookup(const Bytes& key) {
        return reinterpret_cast<const std::uint8_t*>(call(kLookup, key, nullptr, 0));
    }

    [[nodiscard]] int update(const Bytes& key, const Bytes& value, std::uint64_t flags) {
        return static_cast<int>(call(kUpdate, key, value.data(), flags));
    }

    [[nodiscard]] int remove(const Bytes& key) {
        return static_cast<int>(call(kDelete, key, nullptr, 0));
    }

  private:
    // The key at an odd place and with nothing behind it, for AddressSanitizer to see.
    std::uint64_t call(std::uint32_t id, const Bytes& key, const void* value, std::uint64_t flags) {
        const auto copy = std::make_unique<std::uint8_t[]>(key.size() + 1);
        std::memcpy(copy.get() + 1, key.data(), key.size());
        const helpers::Native native =
            helpers::map_native_for_pieces(id, map_->spec().type, piece_bytes_);
        return native(helpers::map_argument(*map_), address_of(copy.get() + 1), address_of(value),
                      flags, address_of(&buff_));
    }

    std::shared_ptr<Map> map_;
    std::uint32_t piece_bytes_;
    XdpBuff buff_{};
};

Bytes key_of(std::uint32_t bytes, std::uint8_t number) {
    Bytes key(bytes);
    for (std::uint32_t at = 0; at < bytes; at++) {
        key[at] = static_cast<std::uint8_t>(number * 37 + at * 11);
    }
    return key;
}

Bytes value_of(std::uint8_t number) {
    return Bytes(kValueBytes, number);
}

std::shared_ptr<Map> make(MapType type, std::uint32_t key_size, std::uint32_t entries) {
    auto map = create({.type = type,
                       .key_size = key_size,
                       .value_size = kValueBytes,
                       .max_entries = entries,
                       .flags = 0,
                       .name = "keys"});
    EXPECT_TRUE(map) << map.error().message;
    return map ? *map : nullptr;
}

void check(MapType type, std::uint32_t key_size, std::uint32_t stored_in, std::uint32_t read_in) {
    constexpr std::uint8_t kKeys = 5;
    SCOPED_TRACE("key " + std::to_string(key_size) + ", pieces " + std::to_string(stored_in) +
                 ", " + std::to_string(read_in));
    auto map = make(type, key_size, 64);
    ASSERT_NE(map, nullptr);
    Calls writer(map, stored_in);
    Calls reader(map, read_in);
    for (std::uint8_t number = 0; number < kKeys; number++) {
        ASSERT_EQ(writer.update(key_of(key_size, number), value_of(number), kNoExist), 0);
    }
    for (std::uint8_t number = 0; number < kKeys; number++) {
        const Bytes key = key_of(key_size, number);
        const std::uint8_t* const found = reader.lookup(key);
        ASSERT_NE(found, nullptr);
        EXPECT_EQ(Bytes(found, found + kValueBytes), value_of(number));
        ASSERT_EQ(reader.update(key, value_of(number + 100), kExist), 0);
        EXPECT_EQ(Bytes(writer.lookup(key), writer.lookup(key) + kValueBytes),
                  value_of(number + 100));
    }
    // Each byte counts.
    for (std::uint32_t at = 0; at < key_size; at++) {
        Bytes other = key_of(key_size, 1);
        other[at] ^= 0x80;
        if (key_size > 1) {
            EXPECT_EQ(reader.lookup(other), nullptr) << "byte " << at;
            EXPECT_EQ(reader.update(other, value_of(0), kExist), -ENOENT) << "byte " << at;
            EXPECT_EQ(reader.remove(other), -ENOENT) << "byte " << at;
        }
    }
    for (std::uint8_t number = 0; number < kKeys; number++) {
        EXPECT_EQ(reader.remove(key_of(key_size, number)), 0);
        EXPECT_EQ(writer.lookup(key_of(key_size, number)), nullptr);
    }
}

TEST(HashKeys, OfEveryLengthInEveryPieces) {
    std::vector<std::uint32_t> lengths = {127, 128, 129, 300, 600};
    for (std::uint32_t length = 1; length <= 80; length++) {
        lengths.push_back(length);
    }
    for (const std::uint32_t length : lengths) {
        for (const std::uint32_t pieces : {1U, 2U, 4U}) {
            for (const MapType type : {MapType::hash, MapType::percpu_hash, MapType::lru_hash,
                                       MapType::lru_percpu_hash}) {
                check(type, length, pieces, 4);
            }
            check(MapType::hash, length, 4, pieces);
        }
    }
}

TEST(HashKeys, OfAMapWhoseElementsArePacked) {
    constexpr std::uint32_t kEntries = 20'000;
    constexpr std::uint32_t kKeyBytes = 44;
    ASSERT_NE(ElementLayout::make(kKeyBytes, kValueBytes, kEntries).stride % 64, 0U);
    ASSERT_EQ(ElementLayout::make(kKeyBytes, kValueBytes, 100).stride % 64, 0U);
    auto map = make(MapType::hash, kKeyBytes, kEntries);
    ASSERT_NE(map, nullptr);
    Calls program(map, 4);
    const auto key_number = [](std::uint32_t number) {
        Bytes key(kKeyBytes);
        std::memcpy(key.data() + 40, &number, sizeof number);
        return key;
    };
    const auto value_number = [](std::uint32_t number) {
        Bytes value(kValueBytes);
        std::memcpy(value.data() + 20, &number, sizeof number);
        return value;
    };
    for (const std::uint32_t shift : {0U, 1U, 2U}) {
        for (std::uint32_t number = 0; number < kEntries; number++) {
            ASSERT_EQ(program.update(key_number(number), value_number(number + shift), kAny), 0);
        }
    }
    EXPECT_EQ(program.update(key_number(kEntries), value_number(0), kAny), -E2BIG);
    for (std::uint32_t number = 0; number < kEntries; number++) {
        const std::uint8_t* const found = program.lookup(key_number(number));
        ASSERT_NE(found, nullptr);
        EXPECT_EQ(Bytes(found, found + kValueBytes), value_number(number + 2));
        // An address inside a value tells its element.
        const std::uint32_t element = map->element_of(found + kValueBytes - 1);
        EXPECT_EQ(map->element_place(element).value, found);
    }
}

}  // namespace
}  // namespace crema::ebpf::maps
