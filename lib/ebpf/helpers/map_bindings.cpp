// SPDX-License-Identifier: BSD-3-Clause
//
// Native functions for one map type each: lowering prefers them to Prototype::native where the map
// of a call is known. Which pairs are allowed at all is another table (map_types.cpp).
#include <array>

#include "lib/ebpf/helpers/map_natives.h"

namespace crema::ebpf::helpers {

namespace {

using maps::MapType;

constexpr std::uint32_t kLookup = 1, kUpdate = 2, kDelete = 3, kRedirectMap = 51;

struct Binding {
    std::uint32_t helper;
    MapType type;
    Native native;
};

constexpr std::array kBindings = {
    Binding{kLookup, MapType::array, lookup_array},
    Binding{kLookup, MapType::percpu_array, lookup_percpu_array},
    Binding{kLookup, MapType::hash, lookup_hash},
    Binding{kLookup, MapType::lru_hash, lookup_hash},
    Binding{kLookup, MapType::percpu_hash, lookup_percpu_hash},
    Binding{kLookup, MapType::lru_percpu_hash, lookup_percpu_hash},
    Binding{kLookup, MapType::lpm_trie, lookup_lpm_trie},
    Binding{kLookup, MapType::array_of_maps, lookup_array_of_maps},
    Binding{kLookup, MapType::hash_of_maps, lookup_hash_of_maps},
    Binding{kLookup, MapType::xskmap, lookup_xskmap},
    Binding{kLookup, MapType::devmap, lookup_devmap},
    Binding{kLookup, MapType::devmap_hash, lookup_devmap_hash},
    Binding{kUpdate, MapType::array, update_array},
    Binding{kUpdate, MapType::percpu_array, update_percpu_array},
    Binding{kUpdate, MapType::hash, update_hash},
    Binding{kUpdate, MapType::lru_hash, update_hash},
    Binding{kUpdate, MapType::percpu_hash, update_percpu_hash},
    Binding{kUpdate, MapType::lru_percpu_hash, update_percpu_hash},
    Binding{kUpdate, MapType::lpm_trie, update_lpm_trie},
    Binding{kDelete, MapType::lpm_trie, delete_lpm_trie},
    Binding{kDelete, MapType::hash, delete_hash},
    Binding{kDelete, MapType::lru_hash, delete_hash},
    Binding{kDelete, MapType::percpu_hash, delete_percpu_hash},
    Binding{kDelete, MapType::lru_percpu_hash, delete_percpu_hash},
    Binding{kRedirectMap, MapType::devmap, redirect_map_devmap},
    Binding{kRedirectMap, MapType::devmap_hash, redirect_map_devmap_hash},
    Binding{kRedirectMap, MapType::cpumap, redirect_map_cpumap},
    Binding{kRedirectMap, MapType::xskmap, redirect_map_xskmap},
};

}  // namespace

Native map_native(std::uint32_t id, MapType type) {
    for (const Binding& binding : kBindings) {
        if (binding.helper == id && binding.type == type) {
            return binding.native;
        }
    }
    return nullptr;
}

}  // namespace crema::ebpf::helpers
