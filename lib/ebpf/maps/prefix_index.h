// SPDX-License-Identifier: BSD-3-Clause
//
// Prefixes of an LPM trie by length and content: a hash table that chains nodes, and the set of
// lengths that occur. Tables of addresses have few different lengths, so a lookup that asks for
// each of them, the longest first, touches less memory than a walk down the trie, and none of its
// loads waits for the one before. Above kLengthsMax lengths, and for keys of more than 128 bits,
// the trie is walked.
//
// Writers hold the trie's lock. Readers take none; nodes are recycled under them as lpm_trie.h
// says, and they find out by the same version.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "lib/base/result.h"
#include "lib/ebpf/maps/key_hash.h"
#include "lib/ebpf/maps/memory.h"

namespace crema::ebpf::maps {

class PrefixIndex {
  public:
    static constexpr std::uint32_t kBitsMax = 128, kLengthsMax = 8;

    /// A prefix of at most 128 bits, the first one uppermost, zeros behind its length.
    struct Prefix {
        std::array<std::uint64_t, 2> words{};
        std::array<std::uint64_t, 2> masks{};  // of the bits that count
        std::uint32_t length = 0;
    };

    /// The lengths in use, the longest in the lowest byte.
    class Lengths {
      public:
        explicit Lengths(std::uint64_t packed) : packed_(packed) {}

        /// False: there are too many, the index does not serve.
        [[nodiscard]] bool usable() const { return (packed_ & 0xffU) != kTooMany; }

        /// The next one and goes on; false at the end.
        [[nodiscard]] bool next(std::uint32_t* length) {
            *length = static_cast<std::uint32_t>(packed_ & 0xffU);
            packed_ = packed_ >> 8U | std::uint64_t{kNone} << 56U;
            return *length != kNone;
        }

        static constexpr std::uint32_t kNone = 0xff, kTooMany = 0xfe;

      private:
        std::uint64_t packed_;
    };

    [[nodiscard]] static Result<PrefixIndex> make(std::uint32_t entries);

    PrefixIndex(PrefixIndex&& other) noexcept
        : memory_(std::move(other.memory_)), mask_(other.mask_), secret_(other.secret_) {}

    PrefixIndex& operator=(PrefixIndex&&) = delete;
    PrefixIndex(const PrefixIndex&) = delete;
    PrefixIndex& operator=(const PrefixIndex&) = delete;
    ~PrefixIndex() = default;

    [[nodiscard]] Lengths lengths() const {
        return Lengths(lengths_.load(std::memory_order_acquire));
    }

    /// The head of the chain that holds a prefix: number of a node, 0: none.
    [[nodiscard]] std::atomic<std::uint32_t>& chain(const Prefix& prefix) const {
        const std::uint64_t hash = folded_product(prefix.words[0] ^ secret_.first ^ prefix.length,
                                                  prefix.words[1] ^ secret_.second);
        return reinterpret_cast<std::atomic<std::uint32_t>*>(memory_.data())[hash & mask_];
    }

    /// A prefix of that length came or went. Under the lock.
    void count(std::uint32_t length, std::int32_t change);

    /// The first `length` bits of two words; length at most 128.
    [[nodiscard]] static Prefix cut(std::uint64_t first,
                                    std::uint64_t second,
                                    std::uint32_t length) {
        const std::array masks = {mask_of(length), mask_of(length < 64 ? 0 : length - 64)};
        return {.words = {first & masks[0], second & masks[1]}, .masks = masks, .length = length};
    }

  private:
    PrefixIndex(Memory memory, std::uint64_t buckets)
        : memory_(std::move(memory)), mask_(buckets - 1), secret_(HashSecret::make(false)) {}

    /// The uppermost bits of a word.
    [[nodiscard]] static std::uint64_t mask_of(std::uint32_t bits) {
        return bits == 0 ? 0 : bits >= 64 ? ~std::uint64_t{0} : ~(~std::uint64_t{0} >> bits);
    }

    Memory memory_;
    std::uint64_t mask_;
    HashSecret secret_;
    std::atomic<std::uint64_t> lengths_{~std::uint64_t{0}};
    std::array<std::uint32_t, kBitsMax + 1> counts_{};  // by length
};

}  // namespace crema::ebpf::maps
