// SPDX-License-Identifier: BSD-3-Clause
//
// Maps of keys and values, queues, and the jump into a program of a map.
#include <array>

#include "lib/ebpf/helpers/prototypes/families.h"

namespace crema::ebpf::helpers::prototypes {

namespace {

constexpr std::array kRows = {
    // map_lookup_elem(map, key); the native function knows the CPU from the context
    Prototype{.id = 1,
              .returns = {ReturnKind::map_value_or_null},
              .args = {kMap, kKey},
              .packet_args = true,
              .wants_context = true,
              .native = lookup_any},
    // map_update_elem(map, key, value, flags)
    Prototype{.id = 2,
              .args = {kMap, kKey, kValue, kAny},
              .packet_args = true,
              .wants_context = true,
              .native = update_any},
    // map_delete_elem(map, key)
    Prototype{.id = 3,
              .args = {kMap, kKey},
              .packet_args = true,
              .wants_context = true,
              .native = delete_any},
    // tail_call(ctx, map, index)
    Prototype{.id = 12, .returns = {ReturnKind::nothing}, .args = {kCtx, kMap, kAny}},
    // map_push_elem(map, value, flags)
    Prototype{.id = 87, .args = {kMap, kValue, kAny}, .packet_args = true, .native = map_push_elem},
    // map_pop_elem(map, value)
    Prototype{.id = 88, .args = {kMap, kValueOut}, .native = map_pop_elem},
    // map_peek_elem(map, value); a bloom filter reads the value (the verifier knows)
    Prototype{.id = 89, .args = {kMap, kValueOut}, .native = map_peek_elem},
    // map_lookup_percpu_elem(map, key, cpu)
    Prototype{.id = 195,
              .returns = {ReturnKind::map_value_or_null},
              .args = {kMap, kKey, kAny},
              .packet_args = true,
              .native = lookup_percpu_elem},
};

}  // namespace

std::span<const Prototype> map() {
    return kRows;
}

}  // namespace crema::ebpf::helpers::prototypes
