// SPDX-License-Identifier: BSD-3-Clause
//
// What the hash maps share: elements, table, and the kernel's rules for when a write inserts,
// replaces or fails. The types differ in what a value is, which they pass in as a function.
//
// LRU maps never fail for want of room: they give up the element that no program has looked up for
// a while (a clock per CPU number over the elements: a lookup sets a mark, the clock's hand clears
// it and takes the first unmarked element; after some steps it takes a marked one, so that an
// insertion has bounded cost). With BPF_F_NO_COMMON_LRU each CPU number has its own share.
//
// Threads: any, for everything here; `list` is the CPU number of the running program, or control().
#pragma once

#include <cerrno>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "lib/ebpf/maps/elements.h"
#include "lib/ebpf/maps/hash_table.h"
#include "lib/ebpf/maps/map.h"

namespace crema::ebpf::maps {

class HashCore {
  public:
    /// cell_value_size: bytes of a value inside the element, 0 when it lies elsewhere.
    [[nodiscard]] static Result<std::unique_ptr<HashCore>> make(const MapSpec& spec,
                                                                std::uint32_t cell_value_size);

    [[nodiscard]] const Cells& cells() const { return elements_.cells(); }

    [[nodiscard]] const HashTable& table() const { return table_; }

    /// The key at an address, as the other operations take it.
    template <typename Piece = std::uint32_t>
    [[nodiscard]] KeyInMemory<Piece> in_memory(const void* key) const {
        return {key, cells().layout().key_size};
    }

    /// use(key) with the key at an address, which is read once when it is not very long.
    template <typename Piece = std::uint32_t, typename Use>
    [[nodiscard]] int with_key(const void* key, Use&& use) const {
        const KeyInMemory<Piece> there = in_memory<Piece>(key);
        return there.count() <= CopiedKey::kWordsMax ? use(CopiedKey::of(there)) : use(there);
    }

    [[nodiscard]] std::uint32_t find(const void* key) const { return table_.find(in_memory(key)); }

    /// For programs: notes the use in LRU maps.
    [[nodiscard]] std::uint32_t find_and_mark(const void* key) const {
        return find_key_and_mark(in_memory(key));
    }

    template <typename Key>
    [[nodiscard, gnu::always_inline]] std::uint32_t find_key_and_mark(const Key& key) const {
        const std::uint32_t element = table_.find(key);
        if (lru_ && element != 0) {
            std::atomic<std::uint32_t>& mark = cells().header(element).referenced;
            if (mark.load(std::memory_order_relaxed) == 0) {
                mark.store(1, std::memory_order_relaxed);
            }
        }
        return element;
    }

    /// What a write does with a key that is there: takes another element, so that who holds the
    /// old value keeps reading it, or writes into the same one (per-CPU values).
    enum class Existing { replace, rewrite };

    /// write(element, is_new) fills the value. flags: kAny, kNoExist or kExist.
    /// -EEXIST, -ENOENT; -E2BIG no room, with LRU -ENOMEM when every element is being written.
    /// Key: a type of key_hash.h.
    template <Existing kExisting, typename Key, typename Write>
    [[nodiscard]] int put(std::uint32_t list, const Key& key, std::uint64_t flags, Write&& write);

    /// read(element) sees the value before it goes. -ENOENT.
    template <typename Key, typename Read>
    [[nodiscard]] int take(std::uint32_t list, const Key& key, Read&& read);

    template <typename Key>
    [[nodiscard]] int remove(std::uint32_t list, const Key& key) {
        return take(list, key, [](std::uint32_t) {});
    }

    /// Map::read_bucket; read(element, to) writes one value of `value_bytes` bytes.
    template <typename Read>
    [[nodiscard]] bool read_bucket(std::uint32_t at,
                                   std::uint32_t count_max,
                                   bool remove,
                                   std::uint32_t value_bytes,
                                   Map::Bucket& out,
                                   Read&& read);

    /// bpf(2) next_key.
    [[nodiscard]] int next_key(const void* key, void* next_out) const;

    [[nodiscard]] std::uint32_t control() const;

    /// Who is told of each element that leaves the table, under the lock of its bucket.
    struct Loser {
        void (*lose)(void* self, std::uint32_t element) = nullptr;
        void* self = nullptr;
    };

    /// Before the map is used.
    void set_loser(const Loser& loser) { loser_ = loser; }

  private:
    HashCore(Elements elements, HashTable table, bool lru, bool partitioned)
        : elements_(std::move(elements)),
          table_(std::move(table)),
          hands_(std::make_unique<Hand[]>(elements_.control() + 1)),
          lru_(lru),
          partitioned_(partitioned) {}

    template <Existing kExisting, typename Key, typename Write>
    [[nodiscard]] int put_evicting(std::uint32_t list,
                                   const Key& key,
                                   std::uint64_t flags,
                                   Write&& write);

    /// A free element, if need be an evicted one. 0: none within bounded time.
    [[nodiscard]] std::uint32_t take_or_evict(std::uint32_t list);
    [[nodiscard]] std::uint32_t evict(std::uint32_t list);
    [[nodiscard]] bool unlink(std::uint32_t element);

    [[nodiscard]] static int judge(bool exists, std::uint64_t flags) {
        if (exists && flags == kNoExist) {
            return -EEXIST;
        }
        return !exists && flags == kExist ? -ENOENT : 0;
    }

    void lose(std::uint32_t element) const {
        if (loser_.lose != nullptr) [[unlikely]] {
            loser_.lose(loser_.self, element);
        }
    }

    struct alignas(64) Hand {
        std::atomic<std::uint32_t> position{0};
    };

    Elements elements_;
    HashTable table_;
    std::unique_ptr<Hand[]> hands_;
    bool lru_;
    bool partitioned_;
    Loser loser_;
};

template <HashCore::Existing kExisting, typename Key, typename Write>
int HashCore::put(std::uint32_t list, const Key& key, std::uint64_t flags, Write&& write) {
    if (lru_) {
        return put_evicting<kExisting>(list, key, flags, write);
    }
    HashTable::Locked bucket(table_, table_.hash(key));
    const HashTable::Place place = bucket.find(key);
    if (const int refused = judge(place.element != 0, flags); refused != 0) {
        return refused;
    }
    if (place.element == 0) {
        const std::uint32_t element = elements_.take(list);
        if (element == 0) {
            return -E2BIG;
        }
        cells().set_key(element, key);
        write(element, true);
        bucket.insert(element);
        return 0;
    }
    if constexpr (kExisting == Existing::rewrite) {
        write(place.element, false);
    } else {
        const Elements::Spare spare = elements_.take_spare(list);
        cells().set_key(spare.element, key);
        write(spare.element, true);
        bucket.replace(place, spare.element);
        lose(place.element);
        elements_.give_spare(spare, place.element);
    }
    return 0;
}

template <HashCore::Existing kExisting, typename Key, typename Write>
int HashCore::put_evicting(std::uint32_t list, const Key& key, std::uint64_t flags, Write&& write) {
    const std::uint64_t hash = table_.hash(key);
    std::uint32_t room = 0;
    for (;;) {
        {
            HashTable::Locked bucket(table_, hash);
            const HashTable::Place place = bucket.find(key);
            const int refused = judge(place.element != 0, flags);
            if (refused != 0 || place.element != 0) {
                if (room != 0) {
                    elements_.give(list, room);
                }
                if (refused != 0) {
                    return refused;
                }
                if constexpr (kExisting == Existing::rewrite) {
                    write(place.element, false);
                    cells().header(place.element).referenced.store(1, std::memory_order_relaxed);
                } else {
                    const Elements::Spare spare = elements_.take_spare(list);
                    cells().set_key(spare.element, key);
                    write(spare.element, true);
                    cells().header(spare.element).referenced.store(1, std::memory_order_relaxed);
                    bucket.replace(place, spare.element);
                    lose(place.element);
                    elements_.give_spare(spare, place.element);
                }
                return 0;
            }
            if (room != 0) {
                cells().set_key(room, key);
                write(room, true);
                cells().header(room).referenced.store(0, std::memory_order_relaxed);
                bucket.insert(room);
                return 0;
            }
        }
        // Evicting locks another bucket: never two at a time.
        room = take_or_evict(list);
        if (room == 0) {
            return -ENOMEM;
        }
    }
}

template <typename Read>
bool HashCore::read_bucket(std::uint32_t at,
                           std::uint32_t count_max,
                           bool remove,
                           std::uint32_t value_bytes,
                           Map::Bucket& out,
                           Read&& read) {
    HashTable::Locked bucket(table_, at);
    std::vector<std::uint32_t> elements;
    table_.visit_bucket(at, [&](std::uint32_t element) {
        elements.push_back(element);
        return true;
    });
    out.count = static_cast<std::uint32_t>(elements.size());
    if (out.count > count_max) {
        return false;
    }
    const std::uint32_t key_size = cells().layout().key_size;
    out.keys.resize(std::size_t{out.count} * key_size);
    out.values.resize(std::size_t{out.count} * value_bytes);
    for (std::size_t i = 0; i < elements.size(); i++) {
        cells().copy_key(elements[i], out.keys.data() + i * key_size);
        read(elements[i], out.values.data() + i * value_bytes);
        if (remove) {
            bucket.remove(bucket.find_element(elements[i]));
            lose(elements[i]);
            elements_.give(control(), elements[i]);
        }
    }
    return true;
}

template <typename Key, typename Read>
int HashCore::take(std::uint32_t list, const Key& key, Read&& read) {
    HashTable::Locked bucket(table_, table_.hash(key));
    const HashTable::Place place = bucket.find(key);
    if (place.element == 0) {
        return -ENOENT;
    }
    read(place.element);
    bucket.remove(place);
    lose(place.element);
    elements_.give(list, place.element);
    return 0;
}

}  // namespace crema::ebpf::maps
