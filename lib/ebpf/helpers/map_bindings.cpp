// SPDX-License-Identifier: BSD-3-Clause
//
// Native functions for one map type each: lowering prefers them to Prototype::native where the map
// of a call is known. Which pairs are allowed at all is another table (map_types.cpp).
#include <array>

#include "lib/ebpf/helpers/map_natives.h"
#include "lib/ebpf/maps/hash.h"
#include "lib/ebpf/maps/percpu_hash.h"

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
    Binding{kLookup, MapType::lpm_trie, lookup_lpm_trie},
    Binding{kLookup, MapType::array_of_maps, lookup_array_of_maps},
    Binding{kLookup, MapType::hash_of_maps, lookup_hash_of_maps},
    Binding{kLookup, MapType::xskmap, lookup_xskmap},
    Binding{kLookup, MapType::devmap, lookup_devmap},
    Binding{kLookup, MapType::devmap_hash, lookup_devmap_hash},
    Binding{kUpdate, MapType::array, update_array},
    Binding{kUpdate, MapType::percpu_array, update_percpu_array},
    Binding{kUpdate, MapType::lpm_trie, update_lpm_trie},
    Binding{kDelete, MapType::lpm_trie, delete_lpm_trie},
    Binding{kRedirectMap, MapType::devmap, redirect_map_devmap},
    Binding{kRedirectMap, MapType::devmap_hash, redirect_map_devmap_hash},
    Binding{kRedirectMap, MapType::cpumap, redirect_map_cpumap},
    Binding{kRedirectMap, MapType::xskmap, redirect_map_xskmap},
};

template <typename Concrete, typename Piece>
Native hash_native(std::uint32_t id) {
    switch (id) {
        case kLookup:
            return lookup_by_pieces<Concrete, Piece>;
        case kUpdate:
            return update_by_pieces<Concrete, Piece>;
        case kDelete:
            return delete_by_pieces<Concrete, Piece>;
        default:
            return nullptr;
    }
}

template <typename Concrete>
Native hash_native(std::uint32_t id, std::uint32_t piece_bytes) {
    switch (piece_bytes) {
        case 1:
            return hash_native<Concrete, std::uint8_t>(id);
        case 2:
            return hash_native<Concrete, std::uint16_t>(id);
        default:
            return hash_native<Concrete, std::uint32_t>(id);
    }
}

}  // namespace

Native map_native(std::uint32_t id, MapType type) {
    return map_native_for_pieces(id, type, sizeof(std::uint32_t));
}

Native map_native_for_pieces(std::uint32_t id, MapType type, std::uint32_t piece_bytes) {
    if (type == MapType::hash || type == MapType::lru_hash) {
        return hash_native<maps::HashMap>(id, piece_bytes);
    }
    if (type == MapType::percpu_hash || type == MapType::lru_percpu_hash) {
        return hash_native<maps::PercpuHashMap>(id, piece_bytes);
    }
    for (const Binding& binding : kBindings) {
        if (binding.helper == id && binding.type == type) {
            return binding.native;
        }
    }
    return nullptr;
}

}  // namespace crema::ebpf::helpers
