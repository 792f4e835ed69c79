// SPDX-License-Identifier: BSD-3-Clause
//
// An LPM trie is looked up in two ways: programs ask the index of its prefixes while there are few
// lengths, bpf(2) walks the trie. Both give the same answer, whatever comes and goes, below and
// above the number of lengths that the index serves.
#include <cstdint>
#include <cstring>
#include <gtest/gtest.h>
#include <random>
#include <string>
#include <vector>

#include "lib/ebpf/maps/lpm_trie.h"
#include "lib/ebpf/maps/map.h"
#include "tests/support/rounds.h"

namespace crema::ebpf::maps {
namespace {

struct Table {
    const char* name;
    std::uint32_t data_bytes;
    std::uint32_t lengths;  // different ones
};

class LpmIndex : public ::testing::TestWithParam<Table> {};

TEST_P(LpmIndex, AnswersAsTheTrieDoes) {
    const Table& table = GetParam();
    auto map = create({.type = MapType::lpm_trie,
                       .key_size = 4 + table.data_bytes,
                       .value_size = 8,
                       .max_entries = 64,
                       .flags = kNoPrealloc,
                       .name = "prefixes"});
    ASSERT_TRUE(map);
    auto& trie = static_cast<LpmTrie&>(**map);
    std::mt19937_64 random(test::first_seed());
    const std::uint64_t rounds = test::scaled_rounds(60'000);
    const std::uint32_t bits = 8 * table.data_bytes;
    std::vector<std::uint8_t> key(4 + table.data_bytes);
    // Few different bytes, so that prefixes nest; length number 0 is the shortest one of all.
    const auto make_key = [&](std::uint32_t length) {
        std::memcpy(key.data(), &length, 4);
        for (std::uint32_t i = 0; i < table.data_bytes; i++) {
            key[4 + i] = static_cast<std::uint8_t>(random() % 3 == 0 ? 0x80 : 0);
        }
    };
    std::uint64_t found = 0;
    for (std::uint64_t round = 0; round < rounds; round++) {
        const auto number = static_cast<std::uint32_t>(random() % table.lengths);
        make_key(bits * number / table.lengths);
        const std::uint64_t value = round;
        // At times the lengths above the fifth go away, so that their number crosses the limit.
        const bool thins_out = number >= 5 && round / 400 % 2 == 1;
        if (random() % 3 == 0 || thins_out) {
            static_cast<void>(map.value()->erase(key.data()));
        } else {
            static_cast<void>(map.value()->update(key.data(), &value, kAny));
        }
        make_key(random() % 4 == 0 ? bits / 2 : bits);
        std::uint64_t walked = 0;
        const int rc = map.value()->lookup(key.data(), &walked);
        const std::uint8_t* const indexed = trie.value(key.data());
        ASSERT_EQ(indexed != nullptr, rc == 0) << "round " << round;
        if (indexed != nullptr) {
            std::uint64_t value_indexed = 0;
            std::memcpy(&value_indexed, indexed, sizeof value_indexed);
            ASSERT_EQ(value_indexed, walked) << "round " << round;
            found++;
        }
    }
    EXPECT_GT(found, rounds / 50);
    EXPECT_LT(found, rounds);
}

INSTANTIATE_TEST_SUITE_P(Tables,
                         LpmIndex,
                         ::testing::Values(Table{"one", 4, 1},
                                           Table{"few", 4, 5},
                                           Table{"limit", 4, 8},
                                           Table{"around", 4, 10},
                                           Table{"many", 4, 32},
                                           Table{"bytes5", 5, 7},
                                           Table{"ipv6", 16, 6},
                                           Table{"ipv6many", 16, 100},
                                           Table{"long", 20, 4}),
                         [](const auto& one) { return std::string(one.param.name); });

}  // namespace
}  // namespace crema::ebpf::maps
