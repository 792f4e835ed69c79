// SPDX-License-Identifier: BSD-3-Clause
//
// The native functions of map helpers, as natives.h describes them. One with a map type in its name
// serves that type only: map_bindings.cpp chooses. The `_any` ones look at the map.
#pragma once

#include "lib/ebpf/helpers/natives.h"
#include "lib/ebpf/helpers/prototypes.h"

namespace crema::ebpf::helpers {

// lookup.cpp; r1 map, r2 key, r5 context. Result: address of the value, or 0.
NativeFunction lookup_hash;
NativeFunction lookup_percpu_hash;

// lookup.cpp; r1 map, r2 key, r3 CPU. Result: address of that CPU's value, or 0.
NativeFunction lookup_percpu_elem;

// write.cpp; r1 map, r2 key, r3 value, r4 flags, r5 context. Result: 0 or a negative errno.
NativeFunction update_any;
NativeFunction update_array;
NativeFunction update_percpu_array;
NativeFunction update_hash;
NativeFunction update_percpu_hash;

// write.cpp; r1 map, r2 key, r5 context. Result: 0 or a negative errno.
NativeFunction delete_any;
NativeFunction delete_hash;
NativeFunction delete_percpu_hash;

// iterate.cpp; r1 map, r2 callback, r3 the callback's context, r4 flags, r5 context. Result: number
// of elements visited, or -EINVAL.
NativeFunction for_each_map_elem;

// locks.cpp; r1 lock.
NativeFunction spin_lock;
NativeFunction spin_unlock;

/// The native function that serves `id` on maps of one type; null: there is none of its own.
[[nodiscard]] Native map_native(std::uint32_t id, maps::MapType type);

}  // namespace crema::ebpf::helpers
