// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/maps/hash_core.h"

#include <algorithm>
#include <sched.h>
#include <utility>

namespace crema::ebpf::maps {

Result<std::unique_ptr<HashCore>> HashCore::make(const MapSpec& spec,
                                                 std::uint32_t cell_value_size) {
    const bool lru = spec.type == MapType::lru_hash || spec.type == MapType::lru_percpu_hash;
    const bool partitioned = (spec.flags & kNoCommonLru) != 0;
    const bool preallocate = (spec.flags & kNoPrealloc) == 0;
    auto elements = Elements::make(
        ElementLayout::make(spec.key_size, cell_value_size, spec.max_entries),
        {.count = spec.max_entries, .preallocate = preallocate, .partitioned = partitioned});
    if (!elements) {
        return forward_error(elements);
    }
    auto table = HashTable::make(elements->cells(), spec.max_entries,
                                 HashSecret::make((spec.flags & kZeroSeed) != 0), preallocate);
    if (!table) {
        return forward_error(table);
    }
    return std::unique_ptr<HashCore>(
        new HashCore(std::move(*elements), std::move(*table), lru, partitioned));
}

std::uint32_t HashCore::control() const {
    if (!partitioned_) {
        return elements_.control();
    }
    const int cpu = sched_getcpu();
    return cpu < 0 ? 0 : std::min(static_cast<std::uint32_t>(cpu), elements_.control() - 1);
}

int HashCore::next_key(const void* key, void* next_out) const {
    const std::uint32_t element = key != nullptr ? table_.next(in_memory(key)) : table_.first();
    if (element == 0) {
        return -ENOENT;
    }
    cells().copy_key(element, next_out);
    return 0;
}

std::uint32_t HashCore::take_or_evict(std::uint32_t list) {
    const std::uint32_t element = elements_.take(list);
    return element != 0 ? element : evict(list);
}

std::uint32_t HashCore::evict(std::uint32_t list) {
    // Steps after which a used element goes as well: an insertion has bounded cost.
    constexpr std::uint32_t kLookedAtMax = 128;
    const std::uint32_t size = elements_.clock_size(list);
    std::atomic<std::uint32_t>& hand = hands_[list].position;
    // Two threads with one CPU number only move the hand twice for one step.
    std::uint32_t position = hand.load(std::memory_order_relaxed);
    const std::uint64_t steps_max = std::uint64_t{size} * 2 + kLookedAtMax;
    for (std::uint64_t step = 0; step < steps_max; step++) {
        position = position + 1 < size ? position + 1 : 0;
        const std::uint32_t element = elements_.clock_at(list, position);
        std::atomic<std::uint32_t>& mark = cells().header(element).referenced;
        if (step < kLookedAtMax && mark.load(std::memory_order_relaxed) != 0) {
            mark.store(0, std::memory_order_relaxed);
            continue;
        }
        if (unlink(element)) {
            hand.store(position, std::memory_order_relaxed);
            return element;
        }
    }
    hand.store(position, std::memory_order_relaxed);
    return elements_.take(list);
}

bool HashCore::unlink(std::uint32_t element) {
    const ElementHeader& header = cells().header(element);
    const std::uint64_t hash = std::uint64_t{header.hash_high.load(std::memory_order_relaxed)}
                                   << 32U |
                               header.hash_low.load(std::memory_order_relaxed);
    HashTable::Locked bucket(table_, hash);
    const HashTable::Place place = bucket.find_element(element);
    if (place.element == 0) {
        return false;  // free, or being written: it was never in this bucket or has left it
    }
    bucket.remove(place);
    lose(element);
    return true;
}

}  // namespace crema::ebpf::maps
