// SPDX-License-Identifier: BSD-3-Clause
//
// bpf_map_lookup_elem, one function per map type. Arrays are inlined by lowering where it can; the
// functions here serve the rest. The value stays valid until the run ends.
#include <cstddef>
#include <type_traits>

#include "lib/base/check.h"
#include "lib/ebpf/helpers/map_natives.h"
#include "lib/ebpf/maps/array.h"
#include "lib/ebpf/maps/devmap.h"
#include "lib/ebpf/maps/hash.h"
#include "lib/ebpf/maps/lpm_trie.h"
#include "lib/ebpf/maps/map_of_maps.h"
#include "lib/ebpf/maps/percpu_array.h"
#include "lib/ebpf/maps/percpu_hash.h"

namespace crema::ebpf::helpers {

namespace {

std::uint64_t address_of(const void* value) {
    return reinterpret_cast<std::uintptr_t>(value);
}

// A program sees {ifindex, program id}: the head of the entry. Read only, says the verifier.
std::uint64_t value_of(const maps::DevmapEntry* entry) {
    static_assert(offsetof(maps::DevmapEntry, ifindex) == 0);
    static_assert(offsetof(maps::DevmapEntry, program_id) == 4);
    return address_of(entry);
}

}  // namespace

std::uint64_t lookup_array(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t, std::uint64_t, std::uint64_t) {
    return address_of(map_of<maps::ArrayMap>(r1).value(maps::load_index(memory_at(r2))));
}

std::uint64_t lookup_percpu_array(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t, std::uint64_t, std::uint64_t r5) {
    return address_of(map_of<maps::PercpuArrayMap>(r1).value(context_of(r5).cpu,
                                                             maps::load_index(memory_at(r2))));
}

std::uint64_t lookup_devmap(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t, std::uint64_t, std::uint64_t) {
    return value_of(map_of<maps::Devmap>(r1).find_direct(maps::load_index(memory_at(r2))));
}

std::uint64_t lookup_devmap_hash(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t, std::uint64_t, std::uint64_t) {
    return value_of(map_of<maps::Devmap>(r1).find_hashed(maps::load_index(memory_at(r2))));
}

namespace {

template <typename Concrete, typename Key>
[[gnu::always_inline]] inline std::uint64_t lookup_key(const Concrete& map,
                                                       const Key& key,
                                                       std::uint64_t context) {
    const std::uint32_t element = map.core().find_key_and_mark(key);
    if (element == 0) {
        return 0;
    }
    if constexpr (std::is_same_v<Concrete, maps::HashMap>) {
        return address_of(map.core().cells().value(element));
    } else {
        return address_of(map.value_at(context_of(context).cpu, element));
    }
}

/// The words of a key, `bytes` bytes: 8 * (kWords - 1) < bytes <= 8 * kWords.
template <typename Piece, std::uint32_t kWords>
[[gnu::always_inline]] inline maps::RegisterKey<kWords> key_in_registers(const std::uint8_t* from,
                                                                         std::uint32_t bytes) {
    maps::RegisterKey<kWords> key;
    maps::repeat<kWords - 1>([&](std::uint32_t n) __attribute__((always_inline)) {
        key.words[n] = maps::load_in_pieces<Piece>(from + std::size_t{n} * 8, 8);
    });
    constexpr std::uint32_t kLastAt = (kWords - 1) * 8;
    key.words[kWords - 1] = maps::load_in_pieces<Piece>(from + kLastAt, bytes - kLastAt);
    return key;
}

}  // namespace

// Code of its own for each number of words: no loop, and each word is read once.
template <typename Concrete, typename Piece>
std::uint64_t lookup_by_pieces(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t, std::uint64_t, std::uint64_t r5) {
    const auto& map = map_of<Concrete>(r1);
    const std::uint8_t* const key = memory_at(r2);
    const std::uint32_t bytes = map.core().cells().layout().key_size;
    switch ((bytes + 7) / 8) {
        case 3:
            return lookup_key(map, key_in_registers<Piece, 3>(key, bytes), r5);
        case 4:
            return lookup_key(map, key_in_registers<Piece, 4>(key, bytes), r5);
        case 5:
            return lookup_key(map, key_in_registers<Piece, 5>(key, bytes), r5);
        case 6:
            return lookup_key(map, key_in_registers<Piece, 6>(key, bytes), r5);
        case 7:
            return lookup_key(map, key_in_registers<Piece, 7>(key, bytes), r5);
        case 8:
            return lookup_key(map, key_in_registers<Piece, 8>(key, bytes), r5);
        default:
            return lookup_key(map, map.core().template in_memory<Piece>(key), r5);
    }
}

template NativeFunction lookup_by_pieces<maps::HashMap, std::uint32_t>;
template NativeFunction lookup_by_pieces<maps::HashMap, std::uint16_t>;
template NativeFunction lookup_by_pieces<maps::HashMap, std::uint8_t>;
template NativeFunction lookup_by_pieces<maps::PercpuHashMap, std::uint32_t>;
template NativeFunction lookup_by_pieces<maps::PercpuHashMap, std::uint16_t>;
template NativeFunction lookup_by_pieces<maps::PercpuHashMap, std::uint8_t>;

namespace {

template <std::uint32_t kWords>
maps::RegisterKey<kWords> key_of(std::uint64_t first, std::uint64_t second) {
    if constexpr (kWords == 1) {
        return {{first}};
    } else {
        return {{first, second}};
    }
}

template <std::uint32_t kWords>
std::uint64_t lookup_hash_words(
    std::uint64_t r1, std::uint64_t, std::uint64_t r3, std::uint64_t r4, std::uint64_t) {
    const auto& core = *reinterpret_cast<const maps::HashCore*>(r1);
    const std::uint32_t element = core.find_key_and_mark(key_of<kWords>(r3, r4));
    return element != 0 ? address_of(core.cells().value(element)) : 0;
}

template <std::uint32_t kWords>
std::uint64_t lookup_percpu_hash_words(
    std::uint64_t r1, std::uint64_t, std::uint64_t r3, std::uint64_t r4, std::uint64_t r5) {
    const auto& map = *reinterpret_cast<const maps::PercpuHashMap*>(r1);
    return address_of(map.value_of(context_of(r5).cpu, key_of<kWords>(r3, r4)));
}

}  // namespace

RegisterLookup register_lookup(const maps::Map& map) {
    constexpr std::uint32_t kBytesMax = 16;
    if (map.spec().key_size > kBytesMax) {
        return {};
    }
    const bool one_word = map.spec().key_size <= 8;
    switch (map.spec().type) {
        case maps::MapType::hash:
        case maps::MapType::lru_hash:
            return {.native = one_word ? lookup_hash_words<1> : lookup_hash_words<2>,
                    .argument = address_of(&static_cast<const maps::HashMap&>(map).core())};
        case maps::MapType::percpu_hash:
        case maps::MapType::lru_percpu_hash:
            return {.native = one_word ? lookup_percpu_hash_words<1> : lookup_percpu_hash_words<2>,
                    .argument = address_of(&static_cast<const maps::PercpuHashMap&>(map)),
                    .wants_context = true};
        default:
            return {};
    }
}

std::uint64_t lookup_lpm_trie(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t, std::uint64_t, std::uint64_t) {
    return address_of(map_of<maps::LpmTrie>(r1).value(memory_at(r2)));
}

std::uint64_t lookup_array_of_maps(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t, std::uint64_t, std::uint64_t) {
    return address_of(map_of<maps::ArrayOfMaps>(r1).inner(maps::load_index(memory_at(r2))));
}

std::uint64_t lookup_hash_of_maps(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t, std::uint64_t, std::uint64_t) {
    return address_of(map_of<maps::HashOfMaps>(r1).inner(memory_at(r2)));
}

std::uint64_t lookup_xskmap(
    std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t) {
    return 0;
}

std::uint64_t lookup_any(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t r3, std::uint64_t r4, std::uint64_t r5) {
    const Native native = map_native(1, map_of(r1).spec().type);
    CREMA_CHECK(native != nullptr);  // the verifier admits no other map type
    return native(r1, r2, r3, r4, r5);
}

std::uint64_t lookup_percpu_elem(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t r3, std::uint64_t, std::uint64_t) {
    const auto cpu = static_cast<std::uint32_t>(r3);
    if (!maps::cpu_is_possible(cpu)) {
        return 0;
    }
    if (map_of(r1).spec().type == maps::MapType::percpu_array) {
        return address_of(
            map_of<maps::PercpuArrayMap>(r1).value(cpu, maps::load_index(memory_at(r2))));
    }
    return address_of(map_of<maps::PercpuHashMap>(r1).value(cpu, memory_at(r2)));
}

}  // namespace crema::ebpf::helpers
