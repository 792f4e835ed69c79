// SPDX-License-Identifier: BSD-3-Clause
//
// BPF_MAP_TYPE_LPM_TRIE: the value of the longest prefix that matches. A binary trie with
// compressed paths: a node has a prefix and up to two children whose prefixes go on with a 0 or a
// 1 bit; a node without a value only joins two. Depth is bounded by the bits of a key, in routing
// tables it is about the logarithm of their number.
//
// Programs look in an index of the prefixes first (prefix_index.h), where it serves.
//
// Readers take no lock. Nodes are recycled in place (type-stable memory, like hash elements), so
// a walk may stray into a node that is being reused; every write raises the trie's version before
// a node can be reused, and a walk counts when the version has not moved. Node fields are atomic.
//
// Writers (programs too) hold one lock for the whole trie, as in the kernel.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "lib/ebpf/maps/map.h"
#include "lib/ebpf/maps/memory.h"
#include "lib/ebpf/maps/prefix_index.h"

namespace crema::ebpf::maps {

class LpmTrie final : public Map {
  public:
    /// spec: checked by create().
    [[nodiscard]] static Result<std::shared_ptr<Map>> make(const MapSpec& spec);

    LpmTrie(const MapSpec& spec, Memory memory, PrefixIndex index, std::uint32_t stride);

    /// Program side, any thread. Null when no prefix matches. Valid until the run ends.
    [[nodiscard]] std::uint8_t* value(const void* key) const;

    /// Program side, any thread. 0 or the kernel's negative errno.
    [[nodiscard]] int put(const void* key, const void* value, std::uint64_t flags);
    [[nodiscard]] int remove(const void* key);

    static constexpr std::uint32_t kKeyBytesMin = 5, kKeyBytesMax = 4 + 256;

    [[nodiscard]] BatchSupport batch_support() const override {
        return {.lookup = true, .update = true, .erase = true};
    }

  private:
    /// Nodes are numbered from 1; 0 means none.
    struct Node {
        std::atomic<std::uint32_t> child[2];
        std::atomic<std::uint32_t> prefix_length;
        std::atomic<std::uint32_t> has_value;
        std::atomic<std::uint32_t> chain;  // next one of the index
        std::uint32_t unused;
        // data bytes in whole words, then the value
    };

    static constexpr std::uint32_t kDataBytesMax = 256;

    /// A key: prefix length in bits, and its data as big-endian words.
    struct Key {
        std::uint32_t length;
        std::uint64_t words[kDataBytesMax / 8];

        [[nodiscard]] std::uint32_t bit(std::uint32_t position) const {
            return static_cast<std::uint32_t>(words[position / 64] >> (63 - position % 64)) & 1U;
        }
    };

    void read_key(const void* from, Key& key) const;
    void write_key(std::uint32_t index, void* to) const;

    [[nodiscard]] Node& node(std::uint32_t index) const {
        return *reinterpret_cast<Node*>(memory_.data() + std::uint64_t{index} * stride_);
    }

    [[nodiscard]] std::atomic<std::uint64_t>* words(std::uint32_t index) const {
        return reinterpret_cast<std::atomic<std::uint64_t>*>(
            reinterpret_cast<std::uint8_t*>(&node(index)) + sizeof(Node));
    }

    [[nodiscard]] std::uint8_t* value_of(std::uint32_t index) const {
        return reinterpret_cast<std::uint8_t*>(&node(index)) + sizeof(Node) +
               std::size_t{data_words_} * 8;
    }

    /// Leading bits that the node's prefix and `key` share, at most the shorter length.
    [[nodiscard]] std::uint32_t common_bits(std::uint32_t index, const Key& key) const;

    /// The node with the longest prefix of `key`, 0: none. Under the lock, or to be checked.
    [[nodiscard]] std::uint32_t walk(const Key& key) const;

    /// The same by the index, without the lock. version: before anything was read; a changed one
    /// may end the search early.
    [[nodiscard]] std::uint32_t find_indexed(const Key& key,
                                             PrefixIndex::Lengths lengths,
                                             std::uint32_t version) const;
    [[nodiscard]] std::uint32_t find_in_chain(const PrefixIndex::Prefix& prefix,
                                              std::uint32_t version) const;

    [[nodiscard]] bool is_indexed() const { return data_bits_ <= PrefixIndex::kBitsMax; }

    [[nodiscard]] PrefixIndex::Prefix prefix_of(std::uint32_t index) const;
    /// Where the index refers to the node.
    [[nodiscard]] std::atomic<std::uint32_t>& link_of(std::uint32_t index) const;
    // Under the lock. The node has its value, or still has it.
    void index_node(std::uint32_t index);
    void unindex_node(std::uint32_t index);
    void reindex_node(std::uint32_t from, std::uint32_t to) const;

    [[nodiscard]] std::uint32_t take_node();
    /// No link leads to the node any more.
    void give_node(std::uint32_t index);
    [[nodiscard]] std::uint32_t new_node(const Key& key, const void* value);
    [[nodiscard]] int may_add(std::uint64_t flags) const;
    [[nodiscard]] int insert(const Key& key, const void* value, std::uint64_t flags);
    [[nodiscard]] int split(std::atomic<std::uint32_t>& link,
                            std::uint32_t below,
                            std::uint32_t common,
                            const Key& key,
                            const void* value);
    [[nodiscard]] int remove_exact(const Key& key);
    /// The first node with a value below (and including) `index` in post-order.
    [[nodiscard]] std::uint32_t first_below(std::uint32_t index) const;
    /// The node with a value behind the one of `key`; the first one when there is none of `key`.
    [[nodiscard]] std::uint32_t next_node(const Key* key) const;

    [[nodiscard]] int do_lookup(const void* key, void* value_out) override;
    [[nodiscard]] int do_update(const void* key, const void* value, std::uint64_t flags) override;
    [[nodiscard]] int do_erase(const void* key) override;
    [[nodiscard]] int do_next_key(const void* key, void* next_out) override;

    Memory memory_;
    PrefixIndex index_;
    std::uint32_t stride_;
    std::uint32_t data_bytes_;
    std::uint32_t data_words_;
    std::uint32_t data_bits_;
    std::uint32_t cells_;
    std::atomic<std::uint32_t> root_{0};
    alignas(64) std::atomic<std::uint32_t> version_{0};
    alignas(64) mutable std::uint32_t locked_ = 0;  // HeldLock
    // Under the lock.
    std::uint32_t entries_ = 0;
    std::uint32_t fresh_ = 1;
    std::uint32_t free_ = 0;  // linked by child[0]
};

}  // namespace crema::ebpf::maps
