// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/maps/hash_table.h"

#include <algorithm>
#include <bit>
#include <sched.h>
#include <utility>

#include "lib/base/cpu_pause.h"

namespace crema::ebpf::maps {

namespace {

constexpr std::uint32_t kElementsPerBucket = 4;

}  // namespace

Result<HashTable> HashTable::make(const Cells& cells,
                                  std::uint32_t entries,
                                  const HashSecret& secret,
                                  bool preallocate) {
    const std::uint64_t buckets =
        std::bit_ceil(std::max<std::uint64_t>(1, entries / kElementsPerBucket));
    auto memory =
        Memory::allocate(buckets * sizeof(Bucket), preallocate ? Memory::Sharing::private_touched
                                                               : Memory::Sharing::private_reserved);
    if (!memory) {
        return forward_error(memory);
    }
    return HashTable(cells, secret, static_cast<std::uint32_t>(buckets - 1), std::move(*memory));
}

std::uint32_t HashTable::first(std::uint32_t first_bucket) const {
    std::uint32_t found = 0;
    for (std::uint32_t at = first_bucket; at < buckets() && found == 0; at++) {
        visit_bucket(at, [&](std::uint32_t element) {
            found = element;
            return false;
        });
    }
    return found;
}

std::uint32_t HashTable::Locked::wait_and_lock() const {
    constexpr std::uint32_t kSpins = 256;
    for (std::uint32_t tried = 0;; tried++) {
        std::uint32_t seen = bucket_.state.load(std::memory_order_relaxed);
        if ((seen & kLockedBit) == 0 &&
            bucket_.state.compare_exchange_weak(seen, seen | kLockedBit, std::memory_order_acquire,
                                                std::memory_order_relaxed)) {
            return seen;
        }
        if (tried < kSpins) {
            cpu_pause();
        } else {
            sched_yield();  // the holder is not running: no packet moves faster by spinning on
        }
    }
}

HashTable::Place HashTable::Locked::find_element(std::uint32_t element) const {
    for (std::atomic<std::uint64_t>& at : bucket_.entries) {
        if (static_cast<std::uint32_t>(at.load(std::memory_order_relaxed)) == element) {
            return {.entry = &at, .element = element};
        }
    }
    std::atomic<std::uint32_t>* link = &bucket_.chain;
    while (const std::uint32_t at = link->load(std::memory_order_relaxed)) {
        if (at == element) {
            return {.link = link, .element = element};
        }
        link = &table_.cells_.header(at).next;
    }
    return {};
}

void HashTable::Locked::insert(std::uint32_t element) {
    ElementHeader& header = table_.cells_.header(element);
    header.hash_low.store(static_cast<std::uint32_t>(hash_), std::memory_order_release);
    header.hash_high.store(static_cast<std::uint32_t>(hash_ >> 32U), std::memory_order_release);
    if (const std::uint32_t free = bucket_.free_entries(); free != 0) {
        bucket_.entries[std::countr_zero(free)].store(entry_of(hash_, element),
                                                      std::memory_order_release);
        return;
    }
    header.next.store(bucket_.chain.load(std::memory_order_relaxed), std::memory_order_release);
    bucket_.chain.store(element, std::memory_order_release);
}

void HashTable::Locked::replace(const Place& place, std::uint32_t element) {
    ElementHeader& header = table_.cells_.header(element);
    header.hash_low.store(static_cast<std::uint32_t>(hash_), std::memory_order_release);
    header.hash_high.store(static_cast<std::uint32_t>(hash_ >> 32U), std::memory_order_release);
    if (place.entry != nullptr) {
        place.entry->store(entry_of(hash_, element), std::memory_order_release);
    } else {
        header.next.store(table_.cells_.header(place.element).next.load(std::memory_order_relaxed),
                          std::memory_order_release);
        place.link->store(element, std::memory_order_release);
    }
    state_ += 2;
    bucket_.state.store(state_ | kLockedBit, std::memory_order_release);
}

void HashTable::Locked::remove(const Place& place) {
    if (place.entry != nullptr) {
        place.entry->store(0, std::memory_order_release);
    } else {
        place.link->store(table_.cells_.header(place.element).next.load(std::memory_order_relaxed),
                          std::memory_order_release);
    }
    state_ += 2;
    bucket_.state.store(state_ | kLockedBit, std::memory_order_release);
}

}  // namespace crema::ebpf::maps
