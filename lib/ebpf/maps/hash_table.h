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
#include <cstdint>

#include "lib/base/result.h"
#include "lib/ebpf/maps/elements.h"
#include "lib/ebpf/maps/key_hash.h"
#include "lib/ebpf/maps/memory.h"

namespace crema::ebpf::maps {

class HashTable {
  public:
    struct alignas(64) Bucket {
        static constexpr std::uint32_t kEntries = 6;
        std::atomic<std::uint32_t> state{0};  // version << 1 | locked
        std::atomic<std::uint32_t> chain{0};  // first element that found no entry free
        std::atomic<std::uint64_t> entries[kEntries] = {};  // hash_high << 32 | element
        std::uint64_t unused = 0;
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
        Locked(const HashTable& table, std::uint64_t hash);
        Locked(const Locked&) = delete;
        Locked& operator=(const Locked&) = delete;
        ~Locked();

        [[nodiscard]] Place find(const std::uint8_t* key) const;
        [[nodiscard]] Place find_element(std::uint32_t element) const;
        /// The element's key and value are complete.
        void insert(std::uint32_t element);
        void replace(const Place& place, std::uint32_t element);
        void remove(const Place& place);

      private:
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

    [[nodiscard]] std::uint64_t hash(const std::uint8_t* key) const {
        return hash_key(key, key_size_, secret_);
    }

    /// The element that holds `key`, or 0.
    [[nodiscard]] std::uint32_t find(const std::uint8_t* key) const;

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

    /// The element behind the one that holds `key` in the table's order, the first one when there
    /// is no such key (or it is null); 0 at the end. Control threads.
    [[nodiscard]] std::uint32_t next(const std::uint8_t* key) const;

  private:
    HashTable(const Cells& cells, const HashSecret& secret, std::uint32_t mask, Memory memory)
        : cells_(cells),
          secret_(secret),
          key_size_(cells.layout().key_size),
          mask_(mask),
          memory_(std::move(memory)) {}

    [[nodiscard]] Bucket& bucket(std::uint64_t hash) const {
        return reinterpret_cast<Bucket*>(memory_.data())[static_cast<std::uint32_t>(hash) & mask_];
    }

    [[nodiscard]] static std::uint64_t entry_of(std::uint64_t hash, std::uint32_t element) {
        return (hash & 0xffffffff00000000) | element;
    }

    [[nodiscard]] std::uint32_t find_in_chain(const Bucket& in,
                                              const std::uint8_t* key,
                                              std::uint64_t hash,
                                              std::uint32_t version) const;

    Cells cells_;
    HashSecret secret_;
    std::uint32_t key_size_;
    std::uint32_t mask_;
    Memory memory_;
};

inline std::uint32_t HashTable::find(const std::uint8_t* key) const {
    const std::uint64_t key_hash = hash(key);
    const Bucket& in = bucket(key_hash);
    for (;;) {
        const std::uint32_t version = in.state.load(std::memory_order_acquire) >> 1U;
        for (const std::atomic<std::uint64_t>& at : in.entries) {
            const std::uint64_t entry = at.load(std::memory_order_acquire);
            if ((entry ^ key_hash) >> 32U == 0 && static_cast<std::uint32_t>(entry) != 0) {
                const auto element = static_cast<std::uint32_t>(entry);
                if (cells_.key_equals(element, key)) [[likely]] {
                    return element;
                }
            }
        }
        if (in.chain.load(std::memory_order_acquire) != 0) [[unlikely]] {
            const std::uint32_t element = find_in_chain(in, key, key_hash, version);
            if (element != 0) {
                return element;
            }
        }
        // All loads above are acquire loads, so this one comes last.
        if (in.state.load(std::memory_order_acquire) >> 1U == version) [[likely]] {
            return 0;
        }
    }
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

}  // namespace crema::ebpf::maps
