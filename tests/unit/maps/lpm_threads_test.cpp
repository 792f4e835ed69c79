// SPDX-License-Identifier: BSD-3-Clause
//
// A trie under programs that look up, insert and delete at once: a prefix that nobody deletes is
// found by every lookup that no other prefix hides, however often nodes around it are reused.
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <gtest/gtest.h>
#include <random>
#include <thread>
#include <vector>

#include "lib/ebpf/maps/lpm_trie.h"
#include "lib/ebpf/maps/value_copy.h"

namespace crema::ebpf::maps {
namespace {

struct Key {
    std::uint32_t length;
    std::uint8_t data[4];
};

TEST(LpmTrieThreads, StablePrefixesAreAlwaysFound) {
    const auto map = create({.type = MapType::lpm_trie,
                             .key_size = sizeof(Key),
                             .value_size = 8,
                             .max_entries = 400,
                             .flags = kNoPrealloc,
                             .name = "trie"});
    ASSERT_TRUE(map) << map.error().message;
    const auto trie = std::static_pointer_cast<LpmTrie>(*map);
    // 10.0.x.0/24 stays; longer prefixes below, and 10.0.0.0/9, come and go.
    for (std::uint8_t net = 0; net < 32; net++) {
        const Key key{.length = 24, .data = {10, 0, net, 0}};
        const std::uint64_t value = net;
        ASSERT_EQ(trie->put(&key, &value, kNoExist), 0);
    }
    std::atomic<int> missed{0};
    std::vector<std::thread> workers;
    for (std::uint32_t worker = 0; worker < 8; worker++) {
        workers.emplace_back([&, worker] {
            std::mt19937 random(worker);
            for (int round = 0; round < 20000; round++) {
                const auto net = static_cast<std::uint8_t>(random() % 32);
                if (worker < 2) {
                    Key key{.length = 25 + static_cast<std::uint32_t>(random() % 8),
                            .data = {10, 0, net, static_cast<std::uint8_t>(random())}};
                    if (random() % 16 == 0) {
                        key = {.length = 9, .data = {10, 0, 0, 0}};
                    }
                    const std::uint64_t value = 1000 + net;
                    const int rc =
                        random() % 2 == 0 ? trie->put(&key, &value, kAny) : trie->remove(&key);
                    EXPECT_TRUE(rc == 0 || rc == -ENOENT || rc == -ENOSPC) << rc;
                    continue;
                }
                const Key key{.length = 32,
                              .data = {10, 0, net, static_cast<std::uint8_t>(random())}};
                const std::uint8_t* found = trie->value(&key);
                if (found == nullptr) {
                    missed++;
                    continue;
                }
                std::uint64_t value = 0;
                read_value(&value, found, sizeof value);
                EXPECT_LT(value, 1032U);
            }
        });
    }
    for (std::thread& worker : workers) {
        worker.join();
    }
    EXPECT_EQ(missed, 0);
    for (std::uint8_t net = 0; net < 32; net++) {
        const Key key{.length = 24, .data = {10, 0, net, 0}};
        EXPECT_EQ(trie->remove(&key), 0);
    }
}

}  // namespace
}  // namespace crema::ebpf::maps
