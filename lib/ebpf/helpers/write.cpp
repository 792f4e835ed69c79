// SPDX-License-Identifier: BSD-3-Clause
//
// bpf_map_update_elem and bpf_map_delete_elem. In per-CPU maps a program writes its own CPU's
// value. Key and value may lie in the frame, on the stack or in another map's value.
#include <cerrno>

#include "lib/ebpf/helpers/map_natives.h"
#include "lib/ebpf/maps/array.h"
#include "lib/ebpf/maps/hash.h"
#include "lib/ebpf/maps/lpm_trie.h"
#include "lib/ebpf/maps/percpu_array.h"
#include "lib/ebpf/maps/percpu_hash.h"

namespace crema::ebpf::helpers {

std::uint64_t update_array(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t r3, std::uint64_t r4, std::uint64_t) {
    return result_of(
        map_of<maps::ArrayMap>(r1).put(maps::load_index(memory_at(r2)), memory_at(r3), r4));
}

std::uint64_t update_percpu_array(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t r3, std::uint64_t r4, std::uint64_t r5) {
    return result_of(map_of<maps::PercpuArrayMap>(r1).put(
        context_of(r5).cpu, maps::load_index(memory_at(r2)), memory_at(r3), r4));
}

template <typename Concrete, typename Piece>
std::uint64_t update_by_pieces(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t r3, std::uint64_t r4, std::uint64_t r5) {
    return result_of(map_of<Concrete>(r1).template put<Piece>(context_of(r5).cpu, memory_at(r2),
                                                              memory_at(r3), r4));
}

std::uint64_t update_lpm_trie(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t r3, std::uint64_t r4, std::uint64_t) {
    return result_of(writable_map_of<maps::LpmTrie>(r1).put(memory_at(r2), memory_at(r3), r4));
}

std::uint64_t update_any(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t r3, std::uint64_t r4, std::uint64_t r5) {
    const Native native = map_native(2, map_of(r1).spec().type);
    return native != nullptr ? native(r1, r2, r3, r4, r5) : error_result(EINVAL);
}

template <typename Concrete, typename Piece>
std::uint64_t delete_by_pieces(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t, std::uint64_t, std::uint64_t r5) {
    return result_of(
        map_of<Concrete>(r1).template remove<Piece>(context_of(r5).cpu, memory_at(r2)));
}

template NativeFunction update_by_pieces<maps::HashMap, std::uint32_t>;
template NativeFunction update_by_pieces<maps::HashMap, std::uint16_t>;
template NativeFunction update_by_pieces<maps::HashMap, std::uint8_t>;
template NativeFunction update_by_pieces<maps::PercpuHashMap, std::uint32_t>;
template NativeFunction update_by_pieces<maps::PercpuHashMap, std::uint16_t>;
template NativeFunction update_by_pieces<maps::PercpuHashMap, std::uint8_t>;
template NativeFunction delete_by_pieces<maps::HashMap, std::uint32_t>;
template NativeFunction delete_by_pieces<maps::HashMap, std::uint16_t>;
template NativeFunction delete_by_pieces<maps::HashMap, std::uint8_t>;
template NativeFunction delete_by_pieces<maps::PercpuHashMap, std::uint32_t>;
template NativeFunction delete_by_pieces<maps::PercpuHashMap, std::uint16_t>;
template NativeFunction delete_by_pieces<maps::PercpuHashMap, std::uint8_t>;

std::uint64_t delete_lpm_trie(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t, std::uint64_t, std::uint64_t) {
    return result_of(writable_map_of<maps::LpmTrie>(r1).remove(memory_at(r2)));
}

std::uint64_t delete_any(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t r3, std::uint64_t r4, std::uint64_t r5) {
    // Types without a function of their own have elements that are never deleted.
    const Native native = map_native(3, map_of(r1).spec().type);
    return native != nullptr ? native(r1, r2, r3, r4, r5) : error_result(EINVAL);
}

}  // namespace crema::ebpf::helpers
