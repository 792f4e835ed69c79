// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/maps/elements.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <sched.h>
#include <utility>

#include "lib/base/cpu_pause.h"
#include "lib/ebpf/maps/map.h"
#include "lib/ebpf/maps/value_copy.h"

namespace crema::ebpf::maps {

namespace {

constexpr std::uint32_t kCacheLine = 64;
constexpr std::uint32_t kFreshBatch = 16;

std::uint32_t whole_lines(std::uint32_t bytes) {
    return (bytes + kCacheLine - 1) / kCacheLine * kCacheLine;
}

std::uint32_t element_of(std::uint64_t head) {
    return static_cast<std::uint32_t>(head);
}

// The upper half counts changes, so that a head that came back is not taken for an unchanged one.
std::uint64_t next_head(std::uint64_t head, std::uint32_t element) {
    return ((head >> 32U) + 1) << 32U | element;
}

}  // namespace

ElementLayout ElementLayout::make(std::uint32_t key_size,
                                  std::uint32_t value_size,
                                  std::uint32_t count) {
    ElementLayout layout;
    layout.key_size = key_size;
    layout.value_size = value_size;
    layout.value_offset =
        static_cast<std::uint32_t>(sizeof(ElementHeader)) + stored_bytes(key_size);
    const std::uint32_t bytes = layout.value_offset + stored_bytes(value_size);
    // Small cells never cross a cache line. Large ones begin with one, so that no two of them share
    // it, until they are so many that a core's cache does not hold them: then each byte counts, and
    // two cores seldom meet in neighbours.
    constexpr std::uint64_t kInCache = 512U << 10U;
    layout.stride = bytes <= kCacheLine                                     ? std::bit_ceil(bytes)
                    : std::uint64_t{whole_lines(bytes)} * count <= kInCache ? whole_lines(bytes)
                                                                            : bytes;
    return layout;
}

Result<Elements> Elements::make(const ElementLayout& layout, const Options& options) {
    const std::uint64_t lists = std::uint64_t{possible_cpu_ids().back()} + 2;
    const std::uint64_t cells = 1 + options.count + lists;  // cell 0 is never used
    auto memory = Memory::allocate(cells * layout.stride, options.preallocate
                                                              ? Memory::Sharing::private_touched
                                                              : Memory::Sharing::private_reserved);
    if (!memory) {
        return forward_error(memory);
    }
    return Elements(layout, options, std::move(*memory));
}

Elements::Elements(const ElementLayout& layout, const Options& options, Memory memory)
    : count_(options.count),
      lists_(possible_cpu_ids().back() + 2),
      partitioned_(options.partitioned),
      memory_(std::move(memory)),
      cells_(layout, memory_.data(), count_ + lists_),
      list_(std::make_unique<List[]>(lists_)),
      fresh_(std::make_unique<Fresh>()) {
    for (std::uint32_t at = 0; at < lists_; at++) {
        list_[at].spare.store(count_ + 1 + at, std::memory_order_relaxed);
        list_[at].fresh.store(1 + at * share(), std::memory_order_relaxed);
    }
}

void Cells::copy_key(std::uint32_t index, void* to) const {
    const std::atomic<std::uint64_t>* words = key_words(index);
    for (std::uint32_t at = 0; at < layout_.key_size; at += 8) {
        const std::uint64_t word = (words++)->load(std::memory_order_acquire);
        std::memcpy(static_cast<std::uint8_t*>(to) + at, &word,
                    std::min(8U, layout_.key_size - at));
    }
}

std::uint32_t Elements::clock_size(std::uint32_t list) const {
    return (partitioned_ && list < control() ? share() : count_) + lists_;
}

std::uint32_t Elements::clock_at(std::uint32_t list, std::uint32_t position) const {
    if (!partitioned_ || list == control()) {
        return 1 + position;
    }
    // Spare elements travel through all shares: every list may evict those.
    return position < share() ? 1 + list * share() + position : 1 + count_ + position - share();
}

std::uint32_t Elements::pop(List& list) const {
    std::uint64_t head = list.head.load(std::memory_order_acquire);
    while (element_of(head) != 0) {
        const std::uint32_t after =
            cells_.header(element_of(head)).next_free.load(std::memory_order_relaxed);
        if (list.head.compare_exchange_weak(head, next_head(head, after), std::memory_order_acquire,
                                            std::memory_order_acquire)) {
            return element_of(head);
        }
    }
    return 0;
}

void Elements::push(List& list, std::uint32_t index) const {
    std::uint64_t head = list.head.load(std::memory_order_relaxed);
    do {
        cells_.header(index).next_free.store(element_of(head), std::memory_order_relaxed);
    } while (!list.head.compare_exchange_weak(
        head, next_head(head, index), std::memory_order_release, std::memory_order_relaxed));
}

std::uint32_t Elements::take_fresh(std::uint32_t list) const {
    std::atomic<std::uint32_t>& next = partitioned_ ? list_[list].fresh : fresh_->next;
    const std::uint32_t end = partitioned_ ? 1 + (list + 1) * share() : 1 + count_;
    std::uint32_t first = next.load(std::memory_order_relaxed);
    std::uint32_t batch = 0;
    do {
        if (first >= end) {
            return 0;
        }
        batch = std::min(kFreshBatch, end - first);
    } while (!next.compare_exchange_weak(first, first + batch, std::memory_order_relaxed));
    for (std::uint32_t more = batch - 1; more > 0; more--) {
        push(list_[list], first + more);
    }
    return first;
}

std::uint32_t Elements::take(std::uint32_t list) const {
    List& own = list_[list];
    if (const std::uint32_t element = pop(own); element != 0) [[likely]] {
        return element;
    }
    if (const std::uint32_t element = take_fresh(list); element != 0) {
        return element;
    }
    if (partitioned_) {
        return 0;
    }
    // One at a time: who looks while a whole list moves would think the map is full.
    std::uint32_t donor = own.donor.load(std::memory_order_relaxed);
    for (std::uint32_t tried = 0; tried < lists_; tried++) {
        if (const std::uint32_t element = pop(list_[donor]); element != 0) {
            own.donor.store(donor, std::memory_order_relaxed);
            return element;
        }
        donor = donor + 1 == lists_ ? 0 : donor + 1;
    }
    return 0;
}

void Elements::give(std::uint32_t list, std::uint32_t index) const {
    if (partitioned_) {
        list = std::min((index - 1) / share(), lists_ - 2);
    }
    push(list_[list], index);
}

Elements::Spare Elements::take_spare(std::uint32_t list) const {
    // Another thread with this CPU number may be in the middle of a replacement: there are as many
    // spares as lists, and whoever has one gives it back within a few instructions.
    for (std::uint32_t tried = 0;; tried++) {
        const std::uint32_t spare = list_[list].spare.exchange(0, std::memory_order_acquire);
        if (spare != 0) [[likely]] {
            return {.element = spare, .list = list};
        }
        list = list + 1 == lists_ ? 0 : list + 1;
        if (tried > 64 * lists_) {
            sched_yield();
        } else {
            cpu_pause();
        }
    }
}

}  // namespace crema::ebpf::maps
