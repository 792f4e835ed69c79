// SPDX-License-Identifier: BSD-3-Clause
//
// Joins the families of prototypes into one table by id, and says which native function serves
// which map type.
#include "lib/ebpf/helpers/prototypes.h"

#include <array>
#include <span>

#include "lib/ebpf/helpers/natives.h"
#include "lib/ebpf/helpers/prototypes/families.h"

namespace crema::ebpf::helpers {

namespace {

constexpr std::uint32_t kMapLookup = 1, kRedirectMap = 51;
constexpr std::size_t kIds = 212;

using Table = std::array<const Prototype*, kIds>;

Table join() {
    Table table{};
    for (const std::span<const Prototype> family :
         {prototypes::packet(), prototypes::map(), prototypes::ringbuf(), prototypes::dynptr(),
          prototypes::control(), prototypes::environment(), prototypes::text(), prototypes::probe(),
          prototypes::socket(), prototypes::task()}) {
        for (const Prototype& prototype : family) {
            table.at(prototype.id) = &prototype;
        }
    }
    return table;
}

struct Binding {
    std::uint32_t helper;
    maps::MapType type;
    Native native;
};

// Native functions for one map type each: lowering prefers them to Prototype::native where the map
// of a call is known.
constexpr std::array kBindings = {
    Binding{kMapLookup, maps::MapType::array, lookup_array},
    Binding{kMapLookup, maps::MapType::percpu_array, lookup_percpu_array},
    Binding{kMapLookup, maps::MapType::devmap, lookup_devmap},
    Binding{kMapLookup, maps::MapType::devmap_hash, lookup_devmap_hash},
    Binding{kRedirectMap, maps::MapType::devmap, redirect_map_devmap},
    Binding{kRedirectMap, maps::MapType::devmap_hash, redirect_map_devmap_hash},
    Binding{kRedirectMap, maps::MapType::cpumap, redirect_map_cpumap},
};

}  // namespace

const Prototype* find(std::uint32_t id) {
    static const Table kTable = join();
    return id < kTable.size() ? kTable[id] : nullptr;
}

Native native_for(std::uint32_t id, maps::MapType type) {
    for (const Binding& binding : kBindings) {
        if (binding.helper == id && binding.type == type) {
            return binding.native;
        }
    }
    const Prototype* prototype = find(id);
    return prototype != nullptr ? prototype->native : nullptr;
}

}  // namespace crema::ebpf::helpers
