// SPDX-License-Identifier: BSD-3-Clause
//
// bpf_for_each_map_elem: calls a function of the program as callback(map, key, value, context) for
// each element until it returns 1. Per-CPU maps show the running CPU's values. The callback may
// write the map: what it inserts or deletes on the way may be seen or not.
#include <cerrno>

#include "lib/base/check.h"
#include "lib/ebpf/helpers/map_natives.h"
#include "lib/ebpf/maps/array.h"
#include "lib/ebpf/maps/hash.h"
#include "lib/ebpf/maps/percpu_array.h"
#include "lib/ebpf/maps/percpu_hash.h"

namespace crema::ebpf::helpers {

namespace {

struct Visitor {
    std::uint64_t map;
    Native callback;
    std::uint64_t context;
    std::uint64_t visited = 0;

    /// False: the program wants no more.
    bool operator()(const void* key, const void* value) {
        visited++;
        return callback(map, reinterpret_cast<std::uintptr_t>(key),
                        reinterpret_cast<std::uintptr_t>(value), context, 0) == 0;
    }
};

template <typename ValueAt>
std::uint64_t visit_indices(std::uint32_t entries, Visitor visitor, ValueAt&& value_at) {
    for (std::uint32_t index = 0; index < entries; index++) {
        const std::uint32_t key = index;  // the callback's copy
        if (!visitor(&key, value_at(index))) {
            break;
        }
    }
    return visitor.visited;
}

template <typename ValueOf>
std::uint64_t visit_elements(const maps::HashCore& core, Visitor visitor, ValueOf&& value_of) {
    core.table().visit_all([&](std::uint32_t element) {
        return visitor(core.cells().key(element), value_of(element));
    });
    return visitor.visited;
}

}  // namespace

std::uint64_t for_each_map_elem(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t r3, std::uint64_t r4, std::uint64_t r5) {
    if (r4 != 0) {
        return error_result(EINVAL);
    }
    const Visitor visitor{.map = r1, .callback = reinterpret_cast<Native>(r2), .context = r3};
    const std::uint32_t cpu = context_of(r5).cpu;
    switch (map_of(r1).spec().type) {
        case maps::MapType::array: {
            const auto& map = map_of<maps::ArrayMap>(r1);
            return visit_indices(map.spec().max_entries, visitor,
                                 [&](std::uint32_t index) { return map.value(index); });
        }
        case maps::MapType::percpu_array: {
            const auto& map = map_of<maps::PercpuArrayMap>(r1);
            return visit_indices(map.spec().max_entries, visitor,
                                 [&](std::uint32_t index) { return map.value(cpu, index); });
        }
        case maps::MapType::hash:
        case maps::MapType::lru_hash: {
            const auto& map = map_of<maps::HashMap>(r1);
            return visit_elements(map.core(), visitor, [&](std::uint32_t element) {
                return map.core().cells().value(element);
            });
        }
        case maps::MapType::percpu_hash:
        case maps::MapType::lru_percpu_hash: {
            const auto& map = map_of<maps::PercpuHashMap>(r1);
            return visit_elements(map.core(), visitor, [&](std::uint32_t element) {
                return map.value_at(cpu, element);
            });
        }
        default:
            break;
    }
    constexpr bool kVerifierAdmitsThisMapType = false;
    CREMA_CHECK(kVerifierAdmitsThisMapType);
    return 0;
}

}  // namespace crema::ebpf::helpers
