// SPDX-License-Identifier: BSD-3-Clause
//
// The table of served helpers, and which map types each takes with which native function.
#include "lib/ebpf/helpers/prototypes.h"

#include <array>

#include "lib/ebpf/helpers/natives.h"

namespace crema::ebpf::helpers {

namespace {

constexpr std::uint32_t kMapLookup = 1, kRedirect = 23, kXdpAdjustHead = 44, kRedirectMap = 51;

constexpr std::array kPrototypes = {
    Prototype{.id = kMapLookup,
              .name = "map_lookup_elem",
              .returns = Return::map_value_or_null,
              .args = {Arg::map, Arg::map_key, Arg::none, Arg::none, Arg::none},
              .moves_packet = false,
              .wants_context = true,  // per-CPU maps: which CPU
              .gpl_only = false,
              .native = lookup_any},
    Prototype{.id = kRedirect,
              .name = "redirect",
              .returns = Return::integer,
              .args = {Arg::anything, Arg::anything, Arg::none, Arg::none, Arg::none},
              .moves_packet = false,
              .wants_context = true,
              .gpl_only = false,
              .native = redirect},
    Prototype{.id = kXdpAdjustHead,
              .name = "xdp_adjust_head",
              .returns = Return::integer,
              .args = {Arg::ctx, Arg::anything, Arg::none, Arg::none, Arg::none},
              .moves_packet = true,
              .wants_context = false,
              .gpl_only = false,
              .native = xdp_adjust_head},
    Prototype{.id = kRedirectMap,
              .name = "redirect_map",
              .returns = Return::integer,
              .args = {Arg::map, Arg::anything, Arg::anything, Arg::none, Arg::none},
              .moves_packet = false,
              .wants_context = true,
              .gpl_only = false,
              .native = redirect_map_any},
};

struct Binding {
    std::uint32_t helper;
    maps::MapType type;
    Native native;
};

// A pair that is not here is refused by the verifier, as by the kernel's compatibility matrix.
constexpr std::array kBindings = {
    Binding{kMapLookup, maps::MapType::array, lookup_array},
    Binding{kMapLookup, maps::MapType::percpu_array, lookup_percpu_array},
    Binding{kMapLookup, maps::MapType::devmap, lookup_devmap},
    Binding{kMapLookup, maps::MapType::devmap_hash, lookup_devmap_hash},
    Binding{kRedirectMap, maps::MapType::devmap, redirect_map_devmap},
    Binding{kRedirectMap, maps::MapType::devmap_hash, redirect_map_devmap_hash},
    Binding{kRedirectMap, maps::MapType::cpumap, redirect_map_cpumap},
};

const Binding* find_binding(std::uint32_t helper, maps::MapType type) {
    for (const Binding& binding : kBindings) {
        if (binding.helper == helper && binding.type == type) {
            return &binding;
        }
    }
    return nullptr;
}

}  // namespace

const Prototype* find(std::uint32_t id) {
    for (const Prototype& prototype : kPrototypes) {
        if (prototype.id == id) {
            return &prototype;
        }
    }
    return nullptr;
}

bool takes_map_type(std::uint32_t helper_id, maps::MapType type) {
    return find_binding(helper_id, type) != nullptr;
}

Native native_for(std::uint32_t id, maps::MapType type) {
    const Binding* binding = find_binding(id, type);
    if (binding != nullptr) {
        return binding->native;
    }
    const Prototype* prototype = find(id);
    return prototype != nullptr ? prototype->native : nullptr;
}

std::span<const Prototype> all() {
    return kPrototypes;
}

}  // namespace crema::ebpf::helpers
