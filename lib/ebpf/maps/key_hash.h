// SPDX-License-Identifier: BSD-3-Clause
//
// Keyed hash of map keys, and keys as 8-byte words.
//
// Who sends frames chooses the keys, so the hash must not be predictable: a CRC is, whatever its
// seed (equal-length inputs that collide under one seed collide under all). This one multiplies
// the key's words, masked with secret numbers of the map, to 128 bits and folds the halves: about
// one multiplication per 16 bytes, and no collision can be computed without the secret.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace crema::ebpf::maps {

struct HashSecret {
    std::uint64_t first = 0, second = 0, third = 0;

    /// Random, or the same in every process (BPF_F_ZERO_SEED).
    [[nodiscard]] static HashSecret make(bool fixed);
};

[[nodiscard]] inline std::uint64_t load_word(const std::uint8_t* from) {
    std::uint64_t word = 0;
    std::memcpy(&word, from, sizeof word);
    return word;
}

/// The last 1..7 bytes of a key, as the low bytes of a word.
[[nodiscard]] inline std::uint64_t load_partial_word(const std::uint8_t* from, std::size_t bytes) {
    if (bytes >= 4) {
        std::uint32_t low = 0;
        std::uint32_t high = 0;
        std::memcpy(&low, from, 4);
        std::memcpy(&high, from + bytes - 4, 4);
        return low | std::uint64_t{high} << (8 * (bytes - 4));
    }
    return from[0] | std::uint64_t{from[bytes / 2]} << (8 * (bytes / 2)) |
           std::uint64_t{from[bytes - 1]} << (8 * (bytes - 1));
}

[[nodiscard]] inline std::uint64_t folded_product(std::uint64_t left, std::uint64_t right) {
    const auto product = static_cast<unsigned __int128>(left) * right;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64U);
}

/// Low and high half are both good: tables use them for different things. bytes > 0.
[[nodiscard]] inline std::uint64_t hash_key(const std::uint8_t* key,
                                            std::size_t bytes,
                                            const HashSecret& secret) {
    if (bytes <= 8) {
        const std::uint64_t word = bytes == 8 ? load_word(key) : load_partial_word(key, bytes);
        return folded_product(word ^ secret.first, secret.second);
    }
    std::uint64_t state = secret.third;
    std::size_t at = 0;
    for (; at + 16 < bytes; at += 16) {
        state = folded_product(load_word(key + at) ^ secret.first ^ state,
                               load_word(key + at + 8) ^ secret.second);
    }
    // The rest, 9 to 16 bytes or 1 to 16 behind a first round: the last 16 bytes, or two words
    // that overlap.
    const std::uint8_t* const end = key + bytes;
    const std::uint64_t low = load_word(bytes >= 16 ? end - 16 : key);
    return folded_product(
        folded_product(low ^ secret.first ^ state, load_word(end - 8) ^ secret.second),
        secret.second);
}

}  // namespace crema::ebpf::maps
