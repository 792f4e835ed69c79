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
#include <type_traits>
#include <utility>

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

// Keys of hash maps are hashed and compared as whole words, the last one filled up with zeros. Code
// that works on keys takes any type with count() and word(n), n < count().

template <typename Key>
concept KeyOfConstantLength = requires {
    typename std::integral_constant<std::uint32_t, Key::kCount>;
};

/// use(0), ..., use(kTimes - 1), without a loop.
template <std::uint32_t kTimes, typename Use>
[[gnu::always_inline]] inline void repeat(Use&& use) {
    [&]<std::uint32_t... kN>(std::integer_sequence<std::uint32_t, kN...>)
        __attribute__((always_inline)) {
        (use(kN), ...);
    }
    (std::make_integer_sequence<std::uint32_t, kTimes>());
}

/// A key of as many words as the type says, read from memory at most once.
template <std::uint32_t kWords>
struct RegisterKey {
    static constexpr std::uint32_t kCount = kWords;

    std::uint64_t words[kWords];

    [[nodiscard]] static constexpr std::uint32_t count() { return kWords; }

    [[nodiscard]] std::uint64_t word(std::uint32_t n) const { return words[n]; }
};

template <typename Piece>
[[nodiscard, gnu::always_inline]] inline std::uint64_t load_piece(const std::uint8_t* from) {
    Piece value = 0;
    std::memcpy(&value, from, sizeof value);
    // Otherwise the compiler joins neighbours into the one wide load that is to be avoided.
    asm("" : "+r"(value));
    return value;
}

/// A word of a key in memory, of which `left` bytes are there. A program has just written them,
/// field by field: a load that spans two stores waits until both have left the store buffer, and
/// so for all that the program did before, cache misses of its last lookup included. Addresses and
/// ports are what keys are made of, so pieces of four bytes are right unless lowering has seen
/// smaller stores.
template <typename Piece>
[[nodiscard, gnu::always_inline]] inline std::uint64_t load_in_pieces(const std::uint8_t* from,
                                                                      std::uint32_t left) {
    std::uint64_t word = 0;
    std::uint32_t at = 0;
    if (left >= 8) [[likely]] {
        for (; at < 8; at += sizeof(Piece)) {
            word |= load_piece<Piece>(from + at) << (8 * at);
        }
        return word;
    }
    for (; at + sizeof(Piece) <= left; at += sizeof(Piece)) {
        word |= load_piece<Piece>(from + at) << (8 * at);
    }
    for (; at < left; at++) {
        word |= load_piece<std::uint8_t>(from + at) << (8 * at);
    }
    return word;
}

/// A key of any length that stays where it is: each use reads it again.
template <typename Piece>
class KeyInMemory {
  public:
    KeyInMemory(const void* key, std::uint32_t bytes)
        : at_(static_cast<const std::uint8_t*>(key)), bytes_(bytes) {}

    [[nodiscard]] std::uint32_t count() const { return (bytes_ + 7) / 8; }

    [[nodiscard, gnu::always_inline]] std::uint64_t word(std::uint32_t n) const {
        return load_in_pieces<Piece>(at_ + std::size_t{n} * 8, bytes_ - n * 8);
    }

  private:
    const std::uint8_t* at_;
    std::uint32_t bytes_;
};

/// A copy of a key of at most kWordsMax words.
class CopiedKey {
  public:
    static constexpr std::uint32_t kWordsMax = 8;

    template <typename Piece>
    [[nodiscard, gnu::always_inline]] static CopiedKey of(const KeyInMemory<Piece>& key) {
        CopiedKey copy;
        copy.count_ = key.count();
        for (std::uint32_t n = 0; n < copy.count_; n++) {
            copy.words_[n] = key.word(n);
        }
        return copy;
    }

    [[nodiscard]] std::uint32_t count() const { return count_; }

    [[nodiscard]] std::uint64_t word(std::uint32_t n) const { return words_[n]; }

  private:
    CopiedKey() = default;

    std::uint32_t count_ = 0;
    std::uint64_t words_[kWordsMax];
};

/// Low and high half are both good: tables use them for different things.
template <typename Key>
[[nodiscard, gnu::always_inline]] inline std::uint64_t hash_words(const Key& key,
                                                                  const HashSecret& secret) {
    const std::uint32_t count = key.count();
    if (count == 1) {
        return folded_product(key.word(0) ^ secret.first, secret.second);
    }
    std::uint64_t state = secret.third;
    const auto add_pair = [&](std::uint32_t pair) __attribute__((always_inline)) {
        state = folded_product(key.word(2 * pair) ^ secret.first ^ state,
                               key.word(2 * pair + 1) ^ secret.second);
    };
    if constexpr (KeyOfConstantLength<Key>) {
        repeat<Key::kCount / 2>(add_pair);
    } else {
        for (std::uint32_t pair = 0; pair < count / 2; pair++) {
            add_pair(pair);
        }
    }
    if (count % 2 != 0) {
        state = folded_product(key.word(count - 1) ^ secret.first ^ state, secret.second);
    }
    return folded_product(state, secret.second);
}

/// Bytes of any number: what a bloom filter's values are. bytes > 0; low and high half are both
/// good.
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
