// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/maps/lpm_trie.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>

#include "lib/ebpf/maps/spin_lock.h"
#include "lib/ebpf/maps/value_copy.h"

namespace crema::ebpf::maps {

namespace {

constexpr std::uint32_t kLengthBytes = 4;
constexpr std::uint32_t kNodesMax = 0xfffffff0;

}  // namespace

Result<std::shared_ptr<Map>> LpmTrie::make(const MapSpec& spec) {
    const std::uint32_t stride = static_cast<std::uint32_t>(sizeof(Node)) +
                                 stored_bytes(spec.key_size - kLengthBytes) +
                                 stored_bytes(spec.value_size);
    // A node per entry and one more per fork, one to build a replacement in, and number 0.
    const std::uint64_t nodes =
        std::min<std::uint64_t>(2 * std::uint64_t{spec.max_entries} + 2, kNodesMax);
    auto memory = Memory::allocate(nodes * stride, Memory::Sharing::private_reserved);
    if (!memory) {
        return forward_error(memory);
    }
    auto index = PrefixIndex::make(spec.max_entries);
    if (!index) {
        return forward_error(index);
    }
    return std::make_shared<LpmTrie>(spec, std::move(*memory), std::move(*index), stride);
}

LpmTrie::LpmTrie(const MapSpec& spec, Memory memory, PrefixIndex index, std::uint32_t stride)
    : Map(spec),
      memory_(std::move(memory)),
      index_(std::move(index)),
      stride_(stride),
      data_bytes_(spec.key_size - kLengthBytes),
      data_words_(stored_bytes(data_bytes_) / 8),
      data_bits_(data_bytes_ * 8),
      cells_(static_cast<std::uint32_t>(
          std::min<std::uint64_t>(2 * std::uint64_t{spec.max_entries} + 2, kNodesMax))) {}

void LpmTrie::read_key(const void* from, Key& key) const {
    const auto* bytes = static_cast<const std::uint8_t*>(from);
    std::memcpy(&key.length, bytes, kLengthBytes);
    const KeyInMemory<std::uint32_t> data(bytes + kLengthBytes, data_bytes_);
    for (std::uint32_t word = 0; word < data_words_; word++) {
        key.words[word] = __builtin_bswap64(data.word(word));
    }
}

void LpmTrie::write_key(std::uint32_t index, void* to) const {
    auto* bytes = static_cast<std::uint8_t*>(to);
    const std::uint32_t length = node(index).prefix_length.load(std::memory_order_relaxed);
    std::memcpy(bytes, &length, kLengthBytes);
    bytes += kLengthBytes;
    for (std::uint32_t word = 0; word < data_words_; word++) {
        const std::uint64_t raw =
            __builtin_bswap64(words(index)[word].load(std::memory_order_relaxed));
        std::memcpy(bytes + std::size_t{word} * 8, &raw, std::min(8U, data_bytes_ - word * 8));
    }
}

std::uint32_t LpmTrie::common_bits(std::uint32_t index, const Key& key) const {
    const std::uint32_t limit =
        std::min(key.length, node(index).prefix_length.load(std::memory_order_acquire));
    const std::atomic<std::uint64_t>* own = words(index);
    std::uint32_t common = 0;
    for (std::uint32_t word = 0; word < data_words_ && common < limit; word++) {
        const std::uint64_t differ = own[word].load(std::memory_order_acquire) ^ key.words[word];
        common += static_cast<std::uint32_t>(std::countl_zero(differ));
        if (differ != 0) {
            break;
        }
    }
    return std::min(common, limit);
}

std::uint32_t LpmTrie::walk(const Key& key) const {
    std::uint32_t best = 0;
    std::uint32_t index = root_.load(std::memory_order_acquire);
    // A stray walk goes through nodes of other paths: never more steps than bits.
    for (std::uint32_t steps = 0; index != 0 && steps <= data_bits_; steps++) {
        const Node& at = node(index);
        const std::uint32_t length = at.prefix_length.load(std::memory_order_acquire);
        if (common_bits(index, key) < length) {
            break;
        }
        if (at.has_value.load(std::memory_order_acquire) != 0) {
            best = index;
        }
        if (length >= data_bits_) {
            break;
        }
        index = at.child[key.bit(length)].load(std::memory_order_acquire);
    }
    return best;
}

std::uint32_t LpmTrie::find_in_chain(const PrefixIndex::Prefix& prefix,
                                     std::uint32_t version) const {
    constexpr std::uint32_t kStepsBetweenLooks = 64;
    std::uint32_t index = index_.chain(prefix).load(std::memory_order_acquire);
    for (std::uint32_t steps = 1; index != 0; steps++) {
        const Node& at = node(index);
        const std::atomic<std::uint64_t>* own = words(index);
        // A node's data goes on behind its prefix as it was given.
        std::uint64_t differ =
            (own[0].load(std::memory_order_acquire) ^ prefix.words[0]) & prefix.masks[0];
        if (data_words_ == 2) {
            differ |= (own[1].load(std::memory_order_acquire) ^ prefix.words[1]) & prefix.masks[1];
        }
        const bool equal =
            differ == 0 && at.prefix_length.load(std::memory_order_acquire) == prefix.length;
        if (equal && at.has_value.load(std::memory_order_acquire) != 0) {
            return index;
        }
        index = at.chain.load(std::memory_order_acquire);
        // A recycled node leads into other chains; the version says that this has happened.
        if (steps % kStepsBetweenLooks == 0 &&
            version_.load(std::memory_order_acquire) != version) {
            return 0;
        }
    }
    return 0;
}

std::uint32_t LpmTrie::find_indexed(const Key& key,
                                    PrefixIndex::Lengths lengths,
                                    std::uint32_t version) const {
    const std::uint64_t second = data_words_ == 1 ? 0 : key.words[1];
    for (std::uint32_t length = 0; lengths.next(&length);) {
        if (length > key.length) {
            continue;
        }
        const std::uint32_t found =
            find_in_chain(PrefixIndex::cut(key.words[0], second, length), version);
        if (found != 0) {
            return found;
        }
    }
    return 0;
}

PrefixIndex::Prefix LpmTrie::prefix_of(std::uint32_t index) const {
    const std::atomic<std::uint64_t>* own = words(index);
    return PrefixIndex::cut(own[0].load(std::memory_order_relaxed),
                            data_words_ == 1 ? 0 : own[1].load(std::memory_order_relaxed),
                            node(index).prefix_length.load(std::memory_order_relaxed));
}

std::atomic<std::uint32_t>& LpmTrie::link_of(std::uint32_t index) const {
    std::atomic<std::uint32_t>* link = &index_.chain(prefix_of(index));
    while (link->load(std::memory_order_relaxed) != index) {
        link = &node(link->load(std::memory_order_relaxed)).chain;
    }
    return *link;
}

void LpmTrie::index_node(std::uint32_t index) {
    if (!is_indexed()) {
        return;
    }
    std::atomic<std::uint32_t>& head = index_.chain(prefix_of(index));
    node(index).chain.store(head.load(std::memory_order_relaxed), std::memory_order_release);
    head.store(index, std::memory_order_release);
    index_.count(node(index).prefix_length.load(std::memory_order_relaxed), 1);
}

void LpmTrie::unindex_node(std::uint32_t index) {
    if (!is_indexed()) {
        return;
    }
    link_of(index).store(node(index).chain.load(std::memory_order_relaxed),
                         std::memory_order_release);
    index_.count(node(index).prefix_length.load(std::memory_order_relaxed), -1);
}

// In one step: a reader finds the one or the other.
void LpmTrie::reindex_node(std::uint32_t from, std::uint32_t to) const {
    if (!is_indexed()) {
        return;
    }
    node(to).chain.store(node(from).chain.load(std::memory_order_relaxed),
                         std::memory_order_release);
    link_of(from).store(to, std::memory_order_release);
}

std::uint8_t* LpmTrie::value(const void* key_in) const {
    Key key;
    read_key(key_in, key);
    if (key.length > data_bits_) {
        return nullptr;
    }
    constexpr std::uint32_t kTries = 32;
    for (std::uint32_t tried = 0; tried < kTries; tried++) {
        const std::uint32_t version = version_.load(std::memory_order_acquire);
        const PrefixIndex::Lengths lengths = index_.lengths();
        const std::uint32_t found =
            is_indexed() && lengths.usable() ? find_indexed(key, lengths, version) : walk(key);
        if (version_.load(std::memory_order_acquire) == version) [[likely]] {
            return found != 0 ? value_of(found) : nullptr;
        }
    }
    const HeldLock held(locked_);  // somebody deletes all the time
    const std::uint32_t found = walk(key);
    return found != 0 ? value_of(found) : nullptr;
}

std::uint32_t LpmTrie::take_node() {
    if (free_ != 0) {
        const std::uint32_t index = free_;
        free_ = node(index).child[0].load(std::memory_order_relaxed);
        return index;
    }
    return fresh_ < cells_ ? fresh_++ : 0;
}

void LpmTrie::give_node(std::uint32_t index) {
    // Before anything of the node changes: a walk that is in it will look again.
    version_.store(version_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
    node(index).child[0].store(free_, std::memory_order_release);
    free_ = index;
}

std::uint32_t LpmTrie::new_node(const Key& key, const void* value) {
    const std::uint32_t index = take_node();
    if (index == 0) {
        return 0;
    }
    Node& fresh = node(index);
    for (std::uint32_t word = 0; word < data_words_; word++) {
        words(index)[word].store(key.words[word], std::memory_order_release);
    }
    fresh.prefix_length.store(key.length, std::memory_order_release);
    fresh.child[0].store(0, std::memory_order_release);
    fresh.child[1].store(0, std::memory_order_release);
    if (value != nullptr) {
        write_value(value_of(index), value, spec().value_size);
    }
    fresh.has_value.store(value != nullptr ? 1 : 0, std::memory_order_release);
    return index;
}

int LpmTrie::may_add(std::uint64_t flags) const {
    if (flags == kExist) {
        return -ENOENT;
    }
    return entries_ == spec().max_entries ? -ENOSPC : 0;
}

int LpmTrie::insert(const Key& key, const void* value, std::uint64_t flags) {
    std::atomic<std::uint32_t>* link = &root_;
    std::uint32_t at = 0;
    std::uint32_t common = 0;
    std::uint32_t length = 0;
    while ((at = link->load(std::memory_order_relaxed)) != 0) {
        common = common_bits(at, key);
        length = node(at).prefix_length.load(std::memory_order_relaxed);
        if (common < length || length == key.length) {
            break;
        }
        link = &node(at).child[key.bit(length)];
    }
    const bool exact = at != 0 && common == length;
    if (exact && node(at).has_value.load(std::memory_order_relaxed) != 0) {
        if (flags == kNoExist) {
            return -EEXIST;
        }
    } else if (const int refused = may_add(flags); refused != 0) {
        return refused;
    }
    const bool replaces = exact && node(at).has_value.load(std::memory_order_relaxed) != 0;
    if (at != 0 && !exact) {
        const int rc = split(*link, at, common, key, value);
        entries_ += rc == 0 ? 1 : 0;
        return rc;
    }
    const std::uint32_t added = new_node(key, value);
    if (added == 0) {
        return -ENOMEM;
    }
    if (exact) {
        for (std::uint32_t side = 0; side < 2; side++) {
            node(added).child[side].store(node(at).child[side].load(std::memory_order_relaxed),
                                          std::memory_order_release);
        }
    }
    link->store(added, std::memory_order_release);
    entries_ += replaces ? 0 : 1;
    if (replaces) {
        reindex_node(at, added);
    } else {
        index_node(added);
    }
    if (exact) {
        give_node(at);
    }
    return 0;
}

// `below` goes on where `key` ends, or both part after `common` bits.
int LpmTrie::split(std::atomic<std::uint32_t>& link,
                   std::uint32_t below,
                   std::uint32_t common,
                   const Key& key,
                   const void* value) {
    Key fork;
    fork.length = common;
    for (std::uint32_t word = 0; word < data_words_; word++) {
        fork.words[word] = words(below)[word].load(std::memory_order_relaxed);
    }
    const std::uint32_t side = fork.bit(common);
    const std::uint32_t added = new_node(key, value);
    if (added == 0) {
        return -ENOMEM;
    }
    if (common == key.length) {
        node(added).child[side].store(below, std::memory_order_release);
        link.store(added, std::memory_order_release);
        index_node(added);
        return 0;
    }
    const std::uint32_t joint = new_node(fork, nullptr);
    if (joint == 0) {
        give_node(added);
        return -ENOMEM;
    }
    node(joint).child[side].store(below, std::memory_order_release);
    node(joint).child[1 - side].store(added, std::memory_order_release);
    link.store(joint, std::memory_order_release);
    index_node(added);
    return 0;
}

int LpmTrie::remove_exact(const Key& key) {
    std::atomic<std::uint32_t>* parent_link = nullptr;
    std::atomic<std::uint32_t>* link = &root_;
    std::uint32_t parent = 0;
    std::uint32_t at = 0;
    while ((at = link->load(std::memory_order_relaxed)) != 0) {
        const std::uint32_t length = node(at).prefix_length.load(std::memory_order_relaxed);
        if (common_bits(at, key) < length || length == key.length) {
            break;
        }
        parent_link = link;
        parent = at;
        link = &node(at).child[key.bit(length)];
    }
    if (at == 0 || node(at).prefix_length.load(std::memory_order_relaxed) != key.length ||
        common_bits(at, key) != key.length ||
        node(at).has_value.load(std::memory_order_relaxed) == 0) {
        return -ENOENT;
    }
    entries_--;
    unindex_node(at);
    const std::uint32_t zero = node(at).child[0].load(std::memory_order_relaxed);
    const std::uint32_t one = node(at).child[1].load(std::memory_order_relaxed);
    if (zero != 0 && one != 0) {
        node(at).has_value.store(0, std::memory_order_release);  // still joins the two
        return 0;
    }
    if (zero == 0 && one == 0 && parent != 0 &&
        node(parent).has_value.load(std::memory_order_relaxed) == 0) {
        // The parent joined this node and another: only the other is left.
        const std::uint32_t side = link == &node(parent).child[0] ? 1 : 0;
        parent_link->store(node(parent).child[side].load(std::memory_order_relaxed),
                           std::memory_order_release);
        give_node(parent);
    } else {
        link->store(zero != 0 ? zero : one, std::memory_order_release);
    }
    give_node(at);
    return 0;
}

int LpmTrie::put(const void* key_in, const void* value, std::uint64_t flags) {
    Key key;
    read_key(key_in, key);
    if (flags > kExist || key.length > data_bits_) {
        return -EINVAL;
    }
    const HeldLock held(locked_);
    return insert(key, value, flags);
}

int LpmTrie::remove(const void* key_in) {
    Key key;
    read_key(key_in, key);
    if (key.length > data_bits_) {
        return -EINVAL;
    }
    const HeldLock held(locked_);
    return remove_exact(key);
}

int LpmTrie::do_lookup(const void* key_in, void* value_out) {
    Key key;
    read_key(key_in, key);
    const HeldLock held(locked_);
    const std::uint32_t found = key.length <= data_bits_ ? walk(key) : 0;
    if (found == 0) {
        return -ENOENT;
    }
    read_value(value_out, value_of(found), spec().value_size);
    return 0;
}

int LpmTrie::do_update(const void* key, const void* value, std::uint64_t flags) {
    return put(key, value, flags);
}

int LpmTrie::do_erase(const void* key) {
    return remove(key);
}

std::uint32_t LpmTrie::first_below(std::uint32_t index) const {
    std::uint32_t found = 0;
    while (index != 0) {
        const Node& at = node(index);
        if (at.has_value.load(std::memory_order_relaxed) != 0) {
            found = index;
        }
        const std::uint32_t zero = at.child[0].load(std::memory_order_relaxed);
        index = zero != 0 ? zero : at.child[1].load(std::memory_order_relaxed);
    }
    return found;
}

std::uint32_t LpmTrie::next_node(const Key* key) const {
    const std::uint32_t root = root_.load(std::memory_order_relaxed);
    if (key == nullptr || key->length > data_bits_) {
        return first_below(root);
    }
    std::vector<std::uint32_t> path;
    std::uint32_t at = root;
    while (at != 0) {
        const std::uint32_t length = node(at).prefix_length.load(std::memory_order_relaxed);
        if (common_bits(at, *key) < length) {
            at = 0;
            break;
        }
        path.push_back(at);
        if (length == key->length) {
            break;
        }
        at = node(at).child[key->bit(length)].load(std::memory_order_relaxed);
    }
    if (at == 0 || node(at).has_value.load(std::memory_order_relaxed) == 0) {
        return first_below(root);
    }
    for (std::size_t depth = path.size() - 1; depth > 0; depth--) {
        const Node& parent = node(path[depth - 1]);
        const std::uint32_t one = parent.child[1].load(std::memory_order_relaxed);
        if (parent.child[0].load(std::memory_order_relaxed) == path[depth] && one != 0) {
            return first_below(one);
        }
        if (parent.has_value.load(std::memory_order_relaxed) != 0) {
            return path[depth - 1];
        }
    }
    return 0;
}

int LpmTrie::do_next_key(const void* key_in, void* next_out) {
    Key key;
    if (key_in != nullptr) {
        read_key(key_in, key);
    }
    const HeldLock held(locked_);
    if (root_.load(std::memory_order_relaxed) == 0) {
        return -ENOENT;
    }
    const std::uint32_t found = next_node(key_in != nullptr ? &key : nullptr);
    if (found == 0) {
        return -ENOENT;
    }
    write_key(found, next_out);
    return 0;
}

}  // namespace crema::ebpf::maps
