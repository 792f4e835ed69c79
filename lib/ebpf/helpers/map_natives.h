// SPDX-License-Identifier: BSD-3-Clause
//
// The native functions of map helpers, as natives.h describes them. One with a map type in its name
// serves that type only: map_bindings.cpp chooses. The `_any` ones look at the map.
#pragma once

#include "lib/ebpf/helpers/natives.h"
#include "lib/ebpf/helpers/prototypes.h"

namespace crema::ebpf::helpers {

// lookup.cpp; r1 map, r2 key, r5 context. Result: address of the value, or 0.
NativeFunction lookup_lpm_trie;
// Result: what a map helper takes as r1, the inner map.
NativeFunction lookup_array_of_maps;
NativeFunction lookup_hash_of_maps;
// Result: 0, no slot has a socket.
NativeFunction lookup_xskmap;

// lookup.cpp and write.cpp, as the others of their names. Concrete: HashMap or PercpuHashMap;
// Piece: unsigned number of 32, 16 or 8 bits, how the key is read (maps::KeyInMemory).
template <typename Concrete, typename Piece>
NativeFunction lookup_by_pieces;
template <typename Concrete, typename Piece>
NativeFunction update_by_pieces;
template <typename Concrete, typename Piece>
NativeFunction delete_by_pieces;

// lookup.cpp; r1 map, r2 key, r3 CPU. Result: address of that CPU's value, or 0.
NativeFunction lookup_percpu_elem;

// write.cpp; r1 map, r2 key, r3 value, r4 flags, r5 context. Result: 0 or a negative errno.
NativeFunction update_any;
NativeFunction update_array;
NativeFunction update_percpu_array;
NativeFunction update_lpm_trie;

// write.cpp; r1 map, r2 key, r5 context. Result: 0 or a negative errno.
NativeFunction delete_any;
NativeFunction delete_lpm_trie;

// iterate.cpp; r1 map, r2 callback, r3 the callback's context, r4 flags, r5 context. Result: number
// of elements visited, or -EINVAL.
NativeFunction for_each_map_elem;

// redirect.cpp; r1 map, r2 key, r3 flags, r5 context.
NativeFunction redirect_map_xskmap;

// queue.cpp; r1 map, r2 value, push: r3 flags. Result: 0 or a negative errno.
NativeFunction map_push_elem;
NativeFunction map_pop_elem;
NativeFunction map_peek_elem;

// events.cpp; r1 map or record, as the helpers' prototypes say.
NativeFunction ringbuf_output;
NativeFunction ringbuf_reserve;
NativeFunction ringbuf_submit;
NativeFunction ringbuf_discard;
NativeFunction ringbuf_query;
NativeFunction perf_event_output;
NativeFunction perf_event_read;        // r5 context
NativeFunction perf_event_read_value;  // r5 context

// user_ringbuf.cpp; r1 map, r2 callback, r3 the callback's context, r4 flags.
NativeFunction user_ringbuf_drain;

// locks.cpp; r1 lock.
NativeFunction spin_lock;
NativeFunction spin_unlock;

/// How compiled code calls a lookup with the key in registers: native(argument, -, first word,
/// second word, context). Null where the map has no such form: keys of more than 16 bytes, types
/// that are no hash tables. A word is 8 bytes of the key, the last one filled up with zeros.
struct RegisterLookup {
    Native native = nullptr;
    std::uint64_t argument = 0;
    bool wants_context = false;
};

[[nodiscard]] RegisterLookup register_lookup(const maps::Map& map);

/// The native function that serves `id` on maps of one type when the key was written in pieces of
/// `piece_bytes` bytes (1, 2 or 4): maps::KeyInMemory. Null as map_native().
[[nodiscard]] Native map_native_for_pieces(std::uint32_t id,
                                           maps::MapType type,
                                           std::uint32_t piece_bytes);

/// The map behind r1, for helpers that change more of it than memory it points to.
template <typename Concrete>
[[nodiscard]] inline Concrete& writable_map_of(std::uint64_t r1) {
    return *static_cast<Concrete*>(reinterpret_cast<maps::Map*>(r1));
}

/// The native function that serves `id` on maps of one type; null: there is none of its own.
[[nodiscard]] Native map_native(std::uint32_t id, maps::MapType type);

}  // namespace crema::ebpf::helpers
