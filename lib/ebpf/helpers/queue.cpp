// SPDX-License-Identifier: BSD-3-Clause
//
// bpf_map_push_elem, bpf_map_pop_elem and bpf_map_peek_elem: queues, stacks and bloom filters.
#include <cerrno>

#include "lib/ebpf/helpers/map_natives.h"
#include "lib/ebpf/maps/bloom_filter.h"
#include "lib/ebpf/maps/queue_stack.h"

namespace crema::ebpf::helpers {

std::uint64_t map_push_elem(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t r3, std::uint64_t, std::uint64_t) {
    if (map_of(r1).spec().type == maps::MapType::bloom_filter) {
        return result_of(map_of<maps::BloomFilter>(r1).push(memory_at(r2), r3));
    }
    return result_of(writable_map_of<maps::QueueStack>(r1).push(memory_at(r2), r3));
}

std::uint64_t map_pop_elem(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t, std::uint64_t, std::uint64_t) {
    return result_of(writable_map_of<maps::QueueStack>(r1).pop(memory_at(r2)));
}

std::uint64_t map_peek_elem(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t, std::uint64_t, std::uint64_t) {
    if (map_of(r1).spec().type == maps::MapType::bloom_filter) {
        return result_of(map_of<maps::BloomFilter>(r1).peek(memory_at(r2)));
    }
    return result_of(writable_map_of<maps::QueueStack>(r1).peek(memory_at(r2)));
}

}  // namespace crema::ebpf::helpers
