// SPDX-License-Identifier: BSD-3-Clause
//
// Storage of hash map elements: one array of equal cells {header, key, value} whose memory never
// moves and never becomes anything else, and lists of the free ones. A cell that is given back may
// be reused at once, also while a program still holds a pointer to its value: that is what the
// kernel's hash maps do, and why nothing here waits for running programs.
//
// Free lists: one per CPU number and one for control threads, each a lock-free stack; a list that
// is empty takes from the fresh end of the array, then from the others. Besides max_entries cells
// there is a spare one per list: replacing an element works in a full map.
//
// Cells are touched when they are first used, or at creation for preallocated maps.
// Threads: any.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "lib/base/result.h"
#include "lib/ebpf/maps/key_hash.h"
#include "lib/ebpf/maps/memory.h"

namespace crema::ebpf::maps {

/// Head of a cell; the key follows in whole words, zero padded, then the value. All fields are
/// atomic: a reader may still look at a cell that is being reused, and finds out (hash_table.h).
struct ElementHeader {
    std::atomic<std::uint32_t> next{0};       // element behind it in a bucket's chain
    std::atomic<std::uint32_t> hash_low{0};   // which bucket
    std::atomic<std::uint32_t> hash_high{0};  // tag in the bucket
    std::atomic<std::uint32_t> next_free{0};
    std::atomic<std::uint32_t> referenced{0};  // LRU: a program looked it up since the last scan
    std::uint32_t unused = 0;
};

struct ElementLayout {
    std::uint32_t key_size = 0;      // bytes
    std::uint32_t value_size = 0;    // bytes in the cell; 0: values lie elsewhere
    std::uint32_t value_offset = 0;  // of the cell, multiple of 8
    std::uint32_t stride = 0;        // cell to cell

    [[nodiscard]] static ElementLayout make(std::uint32_t key_size,
                                            std::uint32_t value_size,
                                            std::uint32_t count);
};

/// The cells, by number. Elements are numbered from 1; 0 means none. A copy refers to the same
/// ones.
class Cells {
  public:
    Cells() = default;

    Cells(const ElementLayout& layout, std::uint8_t* base, std::uint32_t last)
        : layout_(layout), base_(base), last_(last) {}

    [[nodiscard]] const ElementLayout& layout() const { return layout_; }

    /// The highest index.
    [[nodiscard]] std::uint32_t last() const { return last_; }

    [[nodiscard]] ElementHeader& header(std::uint32_t index) const {
        return *reinterpret_cast<ElementHeader*>(cell(index));
    }

    [[nodiscard]] std::uint8_t* value(std::uint32_t index) const {
        return cell(index) + layout_.value_offset;
    }

    /// value: what value() gave, or an address inside of that value.
    [[nodiscard]] std::uint32_t element_of(const std::uint8_t* value) const {
        return static_cast<std::uint32_t>(static_cast<std::uint64_t>(value - base_) /
                                          layout_.stride);
    }

    template <typename Key>
    [[nodiscard, gnu::always_inline]] bool key_equals(std::uint32_t index, const Key& key) const {
        const std::atomic<std::uint64_t>* words = key_words(index);
        // Acquire: what is read here comes before the reader's last look at the bucket's version.
        // No way out before the end: the tag was equal, so the key hardly ever differs.
        std::uint64_t difference = 0;
        const auto compare = [&](std::uint32_t at) __attribute__((always_inline)) {
            difference |= words[at].load(std::memory_order_acquire) ^ key.word(at);
        };
        if constexpr (KeyOfConstantLength<Key>) {
            repeat<Key::kCount>(compare);
        } else {
            for (std::uint32_t at = 0; at < key.count(); at++) {
                compare(at);
            }
        }
        return difference == 0;
    }

    /// Where the key lies, for who may look at it while it is reused (callbacks of programs).
    [[nodiscard]] const void* key(std::uint32_t index) const { return key_words(index); }

    template <typename Key>
    void set_key(std::uint32_t index, const Key& key) const {
        std::atomic<std::uint64_t>* words = key_words(index);
        // Release: who sees a new word of a reused cell also sees that its old bucket has changed.
        for (std::uint32_t at = 0; at < key.count(); at++) {
            words[at].store(key.word(at), std::memory_order_release);
        }
    }

    void copy_key(std::uint32_t index, void* to) const;

  private:
    [[nodiscard]] std::uint8_t* cell(std::uint32_t index) const {
        return base_ + std::uint64_t{index} * layout_.stride;
    }

    [[nodiscard]] std::atomic<std::uint64_t>* key_words(std::uint32_t index) const {
        return reinterpret_cast<std::atomic<std::uint64_t>*>(cell(index) + sizeof(ElementHeader));
    }

    ElementLayout layout_;
    std::uint8_t* base_ = nullptr;
    std::uint32_t last_ = 0;
};

/// The cells and their free lists.
class Elements {
  public:
    struct Options {
        std::uint32_t count = 0;   // max_entries
        bool preallocate = true;   // touch the memory now
        bool partitioned = false;  // each CPU's list owns an equal share and takes from no other
    };

    /// partitioned: count is at least the number of CPU places.
    [[nodiscard]] static Result<Elements> make(const ElementLayout& layout, const Options& options);

    [[nodiscard]] const Cells& cells() const { return cells_; }

    /// Elements that can be in a table at a time.
    [[nodiscard]] std::uint32_t count() const { return count_; }

    /// The list of who has no CPU number; a CPU's list is its number.
    [[nodiscard]] std::uint32_t control() const { return lists_ - 1; }

    /// A free element, or 0 when all are in use (partitioned: all of this list).
    [[nodiscard]] std::uint32_t take(std::uint32_t list) const;
    void give(std::uint32_t list, std::uint32_t index) const;

    /// The spare element of a list, usually one's own. Who has it gives what it took the place of
    /// to the same list, at once.
    struct Spare {
        std::uint32_t element = 0;
        std::uint32_t list = 0;
    };

    [[nodiscard]] Spare take_spare(std::uint32_t list) const;

    void give_spare(const Spare& spare, std::uint32_t replaced) const {
        // Empty since it was taken, and nobody else fills it: no need to compare.
        list_[spare.list].spare.store(replaced, std::memory_order_release);
    }

    /// The elements that a list may evict, in the order of a clock: at(list, 0..size-1).
    [[nodiscard]] std::uint32_t clock_size(std::uint32_t list) const;
    [[nodiscard]] std::uint32_t clock_at(std::uint32_t list, std::uint32_t position) const;

  private:
    struct alignas(128) List {
        std::atomic<std::uint64_t> head{0};  // count of changes << 32 | element
        std::atomic<std::uint32_t> spare{0};
        std::atomic<std::uint32_t> fresh{0};  // partitioned: next cell never used
        std::atomic<std::uint32_t> donor{0};  // list that had something last
    };

    // Away from the lists' lines: all write it while the map fills for the first time.
    struct alignas(128) Fresh {
        std::atomic<std::uint32_t> next{1};
    };

    Elements(const ElementLayout& layout, const Options& options, Memory memory);

    [[nodiscard]] std::uint32_t share() const { return count_ / (lists_ - 1); }

    [[nodiscard]] std::uint32_t pop(List& list) const;
    void push(List& list, std::uint32_t index) const;
    [[nodiscard]] std::uint32_t take_fresh(std::uint32_t list) const;

    std::uint32_t count_;
    std::uint32_t lists_;
    bool partitioned_;
    Memory memory_;
    Cells cells_;
    std::unique_ptr<List[]> list_;
    std::unique_ptr<Fresh> fresh_;
};

}  // namespace crema::ebpf::maps
