// SPDX-License-Identifier: BSD-3-Clause
//
// Which helper works on which map type: the kernel's matrix. Two rules, both must hold: some map
// types take only the helpers named for them, some helpers take only the map types named for them.
#include <algorithm>
#include <array>

#include "lib/ebpf/helpers/prototypes.h"

namespace crema::ebpf::helpers {

namespace {

using maps::MapType;

using Id = std::uint32_t;

constexpr Id kLookup = 1, kUpdate = 2, kDelete = 3, kTailCall = 12, kPerfEventRead = 22,
             kPerfEventOutput = 25, kCurrentTaskUnderCgroup = 37, kRedirectMap = 51,
             kPerfEventReadValue = 55, kPush = 87, kPop = 88, kPeek = 89, kRingbufOutput = 130,
             kRingbufReserve = 131, kRingbufQuery = 134, kTaskStorageGet = 156,
             kTaskStorageDelete = 157, kLookupPercpu = 195, kRingbufReserveDynptr = 198,
             kUserRingbufDrain = 209, kCgroupStorageGet = 210, kCgroupStorageDelete = 211;

struct Pair {
    Id helper;
    MapType type;
};

// All pairs of a helper or a map type that is choosy.
constexpr std::array kPairs = {
    Pair{kTailCall, MapType::prog_array},
    Pair{kPerfEventRead, MapType::perf_event_array},
    Pair{kPerfEventOutput, MapType::perf_event_array},
    Pair{kPerfEventReadValue, MapType::perf_event_array},
    Pair{kCurrentTaskUnderCgroup, MapType::cgroup_array},
    Pair{kLookup, MapType::array_of_maps},
    Pair{kLookup, MapType::hash_of_maps},
    Pair{kLookup, MapType::devmap},
    Pair{kLookup, MapType::devmap_hash},
    Pair{kLookup, MapType::xskmap},
    Pair{kLookup, MapType::sockmap},
    Pair{kLookup, MapType::sockhash},
    Pair{kUpdate, MapType::sockmap},
    Pair{kUpdate, MapType::sockhash},
    Pair{kDelete, MapType::sockmap},
    Pair{kDelete, MapType::sockhash},
    Pair{kRedirectMap, MapType::devmap},
    Pair{kRedirectMap, MapType::devmap_hash},
    Pair{kRedirectMap, MapType::cpumap},
    Pair{kRedirectMap, MapType::xskmap},
    Pair{kPush, MapType::queue},
    Pair{kPush, MapType::stack},
    Pair{kPush, MapType::bloom_filter},
    Pair{kPop, MapType::queue},
    Pair{kPop, MapType::stack},
    Pair{kPeek, MapType::queue},
    Pair{kPeek, MapType::stack},
    Pair{kPeek, MapType::bloom_filter},
    Pair{kLookupPercpu, MapType::percpu_array},
    Pair{kLookupPercpu, MapType::percpu_hash},
    Pair{kLookupPercpu, MapType::lru_percpu_hash},
    Pair{kRingbufOutput, MapType::ringbuf},
    Pair{kRingbufReserve, MapType::ringbuf},
    Pair{kRingbufQuery, MapType::ringbuf},
    Pair{kRingbufReserveDynptr, MapType::ringbuf},
    Pair{kUserRingbufDrain, MapType::user_ringbuf},
};

// Choosy without any pair that XDP has: kernel objects' storage, call stacks.
constexpr std::array kHelpersOfUnservedMaps = {kTaskStorageGet, kTaskStorageDelete,
                                               kCgroupStorageGet, kCgroupStorageDelete};

bool type_is_choosy(MapType type) {
    return type == MapType::stack_trace ||
           (type != MapType::percpu_array && type != MapType::percpu_hash &&
            type != MapType::lru_percpu_hash &&
            std::any_of(kPairs.begin(), kPairs.end(),
                        [&](const Pair& pair) { return pair.type == type; }));
}

bool helper_is_choosy(std::uint32_t id) {
    // Lookup, update and delete work on every type that is not choosy itself.
    return id > kDelete && (std::find(kHelpersOfUnservedMaps.begin(), kHelpersOfUnservedMaps.end(),
                                      id) != kHelpersOfUnservedMaps.end() ||
                            std::any_of(kPairs.begin(), kPairs.end(),
                                        [&](const Pair& pair) { return pair.helper == id; }));
}

}  // namespace

bool takes_map_type(std::uint32_t id, maps::MapType type) {
    if (!type_is_choosy(type) && !helper_is_choosy(id)) {
        return true;
    }
    return std::any_of(kPairs.begin(), kPairs.end(),
                       [&](const Pair& pair) { return pair.helper == id && pair.type == type; });
}

}  // namespace crema::ebpf::helpers
