// SPDX-License-Identifier: BSD-3-Clause
//
// The table behind all hash maps: which element (elements.h) holds a key.
//
// A bucket is one cache line: a lock and version, the head of an overflow chain, and six entries of
// {upper half of the hash, element}. A lookup touches the bucket's line and the element's. The
// table has a bucket per four elements, so few chains are ever used.
//
// Readers take no lock and never wait. An entry is one word, so it shows the old element or the
// new one; elements are recycled, so a reader may find other bytes than the entry promised. It
// can then only miss, and every removal raises the bucket's version before the element is given
// back: a miss counts when the version has not moved. Nothing is moved inside a bucket.
//
// Writers hold the bucket's lock for some instructions: two CPUs that write the same bucket
// serialise, as in the kernel. A control thread may lose its CPU while it holds the lock; who waits
// long gives its own CPU away.
#pragma once

#include <atomic>
#include <bit>
#include <cstdint>
#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "lib/base/result.h"
#include "lib/ebpf/maps/elements.h"
#include "lib/ebpf/maps/key_hash.h"
#include "lib/ebpf/maps/memory.h"

namespace crema::ebpf::maps {

class HashTable {
  public:
    struct alignas(64) Bucket {
        static constexpr std::uint32_t kEntries = 6;
        std::atomic<std::uint64_t> entries[kEntries] = {};  // hash_high << 32 | element
        std::atomic<std::uint32_t> state{0};                // version << 1 | locked
        std::atomic<std::uint32_t> chain{0};  // first element that found no entry free
        std::uint64_t unused = 0;

        /// Bit n: entry n has the hash's upper half; an empty one may, too. All entries are looked
        /// at, so that no branch depends on where in the bucket a key is.
        [[nodiscard]] std::uint32_t candidates(std::uint64_t hash) const;

        /// Bit n: entry n holds nothing. Under the lock.
        [[nodiscard]] std::uint32_t free_entries() const;

        [[nodiscard]] std::uint32_t element(std::uint32_t n) const {
            return static_cast<std::uint32_t>(entries[n].load(std::memory_order_acquire));
        }
    };

    static_assert(sizeof(Bucket) == 64);

    /// Where an element hangs: exactly one of the two, or neither when there is none.
    struct Place {
        std::atomic<std::uint64_t>* entry = nullptr;
        std::atomic<std::uint32_t>* link = nullptr;
        std::uint32_t element = 0;
    };

    /// Holds a bucket's lock; the destructor releases it.
    class Locked {
      public:
        Locked(const HashTable& table, std::uint64_t hash)
            : table_(table), bucket_(table.bucket(hash)), hash_(hash), state_(lock()) {}

        Locked(const Locked&) = delete;
        Locked& operator=(const Locked&) = delete;

        ~Locked() { bucket_.state.store(state_, std::memory_order_release); }

        template <typename Key>
        [[nodiscard]] Place find(const Key& key) const;
        [[nodiscard]] Place find_element(std::uint32_t element) const;
        /// The element's key and value are complete.
        void insert(std::uint32_t element);
        void replace(const Place& place, std::uint32_t element);
        void remove(const Place& place);

      private:
        static constexpr std::uint32_t kLockedBit = 1;

        /// The state that was found.
        [[nodiscard]] std::uint32_t lock() const {
            std::uint32_t seen = bucket_.state.load(std::memory_order_relaxed);
            if ((seen & kLockedBit) == 0 && bucket_.state.compare_exchange_strong(
                                                seen, seen | kLockedBit, std::memory_order_acquire,
                                                std::memory_order_relaxed)) [[likely]] {
                return seen;
            }
            return wait_and_lock();
        }

        [[nodiscard, gnu::cold]] std::uint32_t wait_and_lock() const;

        const HashTable& table_;
        Bucket& bucket_;
        std::uint64_t hash_;
        std::uint32_t state_;
    };

    /// entries: elements it will hold at most; buckets are preallocated or backed by use.
    [[nodiscard]] static Result<HashTable> make(const Cells& cells,
                                                std::uint32_t entries,
                                                const HashSecret& secret,
                                                bool preallocate);

    // Key: a type of key_hash.h.

    template <typename Key>
    [[nodiscard, gnu::always_inline]] std::uint64_t hash(const Key& key) const {
        return hash_words(key, secret_);
    }

    /// The element that holds `key`, or 0.
    template <typename Key>
    [[nodiscard, gnu::always_inline]] std::uint32_t find(const Key& key) const;

    [[nodiscard]] std::uint32_t buckets() const { return mask_ + 1; }

    /// Calls visit(element) for the elements of bucket `at` until it returns false. What is
    /// inserted or removed meanwhile may be seen or not.
    template <typename Visit>
    bool visit_bucket(std::uint32_t at, Visit&& visit) const;

    /// Calls visit(element) for each element until it returns false.
    template <typename Visit>
    void visit_all(Visit&& visit) const {
        for (std::uint32_t at = 0; at < buckets(); at++) {
            if (!visit_bucket(at, visit)) {
                return;
            }
        }
    }

    /// The first element in the table's order; 0: none.
    [[nodiscard]] std::uint32_t first(std::uint32_t first_bucket = 0) const;

    /// The element behind the one that holds `key`, the first one when there is no such key; 0 at
    /// the end. Control threads.
    template <typename Key>
    [[nodiscard]] std::uint32_t next(const Key& key) const;

  private:
    HashTable(const Cells& cells, const HashSecret& secret, std::uint32_t mask, Memory memory)
        : cells_(cells), secret_(secret), mask_(mask), memory_(std::move(memory)) {}

    [[nodiscard]] Bucket& bucket(std::uint64_t hash) const {
        return reinterpret_cast<Bucket*>(memory_.data())[static_cast<std::uint32_t>(hash) & mask_];
    }

    [[nodiscard]] static std::uint64_t entry_of(std::uint64_t hash, std::uint32_t element) {
        return (hash & 0xffffffff00000000) | element;
    }

    /// find() where its first look does not decide.
    template <typename Key>
    [[nodiscard, gnu::noinline, gnu::cold]] std::uint32_t find_all(const Key& key,
                                                                   std::uint64_t hash) const;
    template <typename Key>
    [[nodiscard]] std::uint32_t find_in_chain(const Bucket& in,
                                              const Key& key,
                                              std::uint64_t hash,
                                              std::uint32_t version) const;

    Cells cells_;
    HashSecret secret_;
    std::uint32_t mask_;
    Memory memory_;
};

#if defined(__SSE2__) && !defined(__SANITIZE_THREAD__)
namespace detail {
/// Bit n: half n of the entries, the upper or the lower one, is `wanted`.
template <int kHalves>
[[nodiscard, gnu::always_inline]] inline std::uint32_t equal_halves(
    const std::atomic<std::uint64_t>* entries, std::uint32_t wanted) {
    // Each entry is read as a whole: an aligned load of 16 bytes within a cache line never splits
    // an aligned word. TSan knows atomics only.
    const auto* const from = reinterpret_cast<const float*>(entries);
    const __m128 first = _mm_load_ps(from);
    const __m128 second = _mm_load_ps(from + 4);
    const __m128 third = _mm_load_ps(from + 8);
    std::atomic_signal_fence(std::memory_order_acquire);
    const __m128i all = _mm_set1_epi32(static_cast<int>(wanted));
    const auto equal = [&all](__m128 halves) {
        return static_cast<std::uint32_t>(
            _mm_movemask_ps(_mm_castsi128_ps(_mm_cmpeq_epi32(_mm_castps_si128(halves), all))));
    };
    return equal(_mm_shuffle_ps(first, second, kHalves)) |
           (equal(_mm_shuffle_ps(third, third, kHalves)) & 3U) << 4U;
}
}  // namespace detail
#endif

inline std::uint32_t HashTable::Bucket::candidates(std::uint64_t hash) const {
    const auto tag = static_cast<std::uint32_t>(hash >> 32U);
#if defined(__SSE2__) && !defined(__SANITIZE_THREAD__)
    static_assert(kEntries == 6);
    return detail::equal_halves<_MM_SHUFFLE(3, 1, 3, 1)>(entries, tag);
#else
    std::uint32_t set = 0;
    for (std::uint32_t n = 0; n < kEntries; n++) {
        const std::uint64_t entry = entries[n].load(std::memory_order_acquire);
        set |= static_cast<std::uint32_t>(entry >> 32U == tag) << n;
    }
    return set;
#endif
}

inline std::uint32_t HashTable::Bucket::free_entries() const {
#if defined(__SSE2__) && !defined(__SANITIZE_THREAD__)
    return detail::equal_halves<_MM_SHUFFLE(2, 0, 2, 0)>(entries, 0);
#else
    std::uint32_t set = 0;
    for (std::uint32_t n = 0; n < kEntries; n++) {
        set |= static_cast<std::uint32_t>(element(n) == 0) << n;
    }
    return set;
#endif
}

template <typename Key>
inline std::uint32_t HashTable::find(const Key& key) const {
    const std::uint64_t key_hash = hash(key);
    const Bucket& in = bucket(key_hash);
    const std::uint32_t version = in.state.load(std::memory_order_acquire) >> 1U;
    if (const std::uint32_t candidates = in.candidates(key_hash); candidates != 0) {
        const std::uint32_t element =
            in.element(static_cast<std::uint32_t>(std::countr_zero(candidates)));
        if (element != 0 && cells_.key_equals(element, key)) [[likely]] {
            return element;
        }
    } else if (in.chain.load(std::memory_order_acquire) == 0 &&
               in.state.load(std::memory_order_acquire) >> 1U == version) [[likely]] {
        return 0;
    }
    return find_all(key, key_hash);
}

template <typename Key>
std::uint32_t HashTable::find_all(const Key& key, std::uint64_t key_hash) const {
    const Bucket& in = bucket(key_hash);
    for (;;) {
        const std::uint32_t version = in.state.load(std::memory_order_acquire) >> 1U;
        std::uint32_t candidates = in.candidates(key_hash);
        for (; candidates != 0; candidates &= candidates - 1) {
            const std::uint32_t element =
                in.element(static_cast<std::uint32_t>(std::countr_zero(candidates)));
            if (element != 0 && cells_.key_equals(element, key)) {
                return element;
            }
        }
        if (in.chain.load(std::memory_order_acquire) != 0) {
            const std::uint32_t element = find_in_chain(in, key, key_hash, version);
            if (element != 0) {
                return element;
            }
        }
        // All loads above are acquire loads, so this one comes last.
        if (in.state.load(std::memory_order_acquire) >> 1U == version) {
            return 0;
        }
    }
}

template <typename Key>
std::uint32_t HashTable::find_in_chain(const Bucket& in,
                                       const Key& key,
                                       std::uint64_t hash,
                                       std::uint32_t version) const {
    constexpr std::uint32_t kStepsBetweenLooks = 64;
    std::uint32_t element = in.chain.load(std::memory_order_acquire);
    for (std::uint32_t steps = 1; element != 0; steps++) {
        const ElementHeader& header = cells_.header(element);
        if (header.hash_high.load(std::memory_order_acquire) == hash >> 32U &&
            cells_.key_equals(element, key)) {
            return element;
        }
        element = header.next.load(std::memory_order_acquire);
        // A recycled element leads into other chains; the version says that this has happened.
        if (steps % kStepsBetweenLooks == 0 &&
            in.state.load(std::memory_order_acquire) >> 1U != version) {
            return 0;
        }
    }
    return 0;
}

template <typename Key>
HashTable::Place HashTable::Locked::find(const Key& key) const {
    const Cells& cells = table_.cells_;
    std::uint32_t candidates = bucket_.candidates(hash_);
    for (; candidates != 0; candidates &= candidates - 1) {
        const auto n = static_cast<std::uint32_t>(std::countr_zero(candidates));
        const std::uint32_t element = bucket_.element(n);
        if (element != 0 && cells.key_equals(element, key)) [[likely]] {
            return {.entry = &bucket_.entries[n], .element = element};
        }
    }
    std::atomic<std::uint32_t>* link = &bucket_.chain;
    while (const std::uint32_t element = link->load(std::memory_order_relaxed)) {
        ElementHeader& header = cells.header(element);
        if (header.hash_high.load(std::memory_order_relaxed) == hash_ >> 32U &&
            cells.key_equals(element, key)) {
            return {.link = link, .element = element};
        }
        link = &header.next;
    }
    return {};
}

template <typename Visit>
bool HashTable::visit_bucket(std::uint32_t at, Visit&& visit) const {
    const Bucket& in = bucket(at);
    for (const std::atomic<std::uint64_t>& entry : in.entries) {
        const auto element = static_cast<std::uint32_t>(entry.load(std::memory_order_acquire));
        if (element != 0 && !visit(element)) {
            return false;
        }
    }
    // An element of the chain that is recycled meanwhile leads elsewhere: its bucket tells.
    std::uint32_t element = in.chain.load(std::memory_order_acquire);
    for (std::uint32_t steps = 0; element != 0 && steps < cells_.last(); steps++) {
        const ElementHeader& header = cells_.header(element);
        if ((header.hash_low.load(std::memory_order_acquire) & mask_) != at) {
            break;
        }
        const std::uint32_t after = header.next.load(std::memory_order_acquire);
        if (!visit(element)) {
            return false;
        }
        element = after;
    }
    return true;
}

template <typename Key>
std::uint32_t HashTable::next(const Key& key) const {
    const std::uint32_t holder = find(key);
    if (holder == 0) {
        return first();
    }
    const std::uint32_t at = static_cast<std::uint32_t>(hash(key)) & mask_;
    std::uint32_t found = 0;
    bool passed = false;
    visit_bucket(at, [&](std::uint32_t element) {
        if (passed) {
            found = element;
            return false;
        }
        passed = element == holder;
        return true;
    });
    // A holder that went away meanwhile: its bucket is done, as if it had been the last.
    return found != 0 ? found : first(at + 1);
}

}  // namespace crema::ebpf::maps
