// SPDX-License-Identifier: BSD-3-Clause
//
// MAP_CREATE: the attribute checks of every served type as one table of rules, with the errors
// that the kernel gives and in its order. A type that is not served is refused here, by name.
#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <fstream>
#include <string>
#include <string_view>
#include <unistd.h>

#include "lib/ebpf/maps/array.h"
#include "lib/ebpf/maps/bloom_filter.h"
#include "lib/ebpf/maps/cpumap.h"
#include "lib/ebpf/maps/devmap.h"
#include "lib/ebpf/maps/hash.h"
#include "lib/ebpf/maps/lpm_trie.h"
#include "lib/ebpf/maps/map.h"
#include "lib/ebpf/maps/map_of_maps.h"
#include "lib/ebpf/maps/percpu_array.h"
#include "lib/ebpf/maps/percpu_hash.h"
#include "lib/ebpf/maps/perf_event_array.h"
#include "lib/ebpf/maps/prog_array.h"
#include "lib/ebpf/maps/queue_stack.h"
#include "lib/ebpf/maps/ringbuf.h"
#include "lib/ebpf/maps/stack_trace.h"
#include "lib/ebpf/maps/type_names.h"
#include "lib/ebpf/maps/user_ringbuf.h"
#include "lib/ebpf/maps/xskmap.h"

namespace crema::ebpf::maps {

namespace {

constexpr std::uint32_t kPercpuValueMax = 32768;  // bytes, rounded up to 8
constexpr std::uint32_t kAllocationMax = 4U
                                         << 20U;  // bytes: what the kernel allocates in one piece
constexpr std::uint32_t kUserAccess = kRdonly | kWronly;
constexpr std::uint32_t kProgramAccess = kRdonlyProg | kWronlyProg;
constexpr std::uint32_t kHashFlags =
    kNoPrealloc | kNoCommonLru | kNumaNode | kUserAccess | kProgramAccess | kZeroSeed;
constexpr std::size_t kNameMax = 15;

// The kernel's NR_CPUS: a cpumap may not have more slots.
std::uint32_t cpu_numbers_of_kernel() {
    std::ifstream file("/sys/devices/system/cpu/kernel_max");
    std::uint32_t last = 0;
    return file >> last ? last + 1 : possible_cpu_ids().back() + 1;
}

bool node_is_online(std::uint32_t node) {
    std::ifstream file("/sys/devices/system/node/node" + std::to_string(node) + "/cpulist");
    return node == 0 || file.good();
}

Status check_index_keys(const MapSpec& spec) {
    if (spec.key_size != sizeof(std::uint32_t) || spec.max_entries == 0) {
        return fail(EINVAL, "map {}: key_size {} (must be 4), max_entries {} (must not be 0)",
                    spec.name, spec.key_size, spec.max_entries);
    }
    return {};
}

Status check_array(const MapSpec& spec) {
    if (auto keys = check_index_keys(spec); !keys) {
        return keys;
    }
    if (spec.value_size == 0) {
        return fail(EINVAL, "map {}: value_size is 0", spec.name);
    }
    if (spec.value_size > INT_MAX) {
        return fail(E2BIG, "map {}: value_size {}", spec.name, spec.value_size);
    }
    return {};
}

Status check_percpu_value(const MapSpec& spec) {
    if (spec.value_size > kPercpuValueMax) {
        return fail(E2BIG, "map {}: per-CPU value of {} bytes, at most {}", spec.name,
                    spec.value_size, kPercpuValueMax);
    }
    return {};
}

Status check_percpu_array(const MapSpec& spec) {
    auto checked = check_array(spec);
    return checked ? check_percpu_value(spec) : checked;
}

Status check_redirect(const MapSpec& spec) {
    if (auto keys = check_index_keys(spec); !keys) {
        return keys;
    }
    if (spec.value_size != 4 && spec.value_size != 8) {
        return fail(EINVAL, "map {}: value_size {}, must be 4 or 8", spec.name, spec.value_size);
    }
    return {};
}

Status check_devmap_hash(const MapSpec& spec) {
    constexpr std::uint32_t kEntriesMax = 1U << 31U;
    if (spec.max_entries > kEntriesMax) {
        return fail(EINVAL, "map {}: max_entries {}", spec.name, spec.max_entries);
    }
    return check_redirect(spec);
}

Status check_cpumap(const MapSpec& spec) {
    Status value = check_redirect(spec);
    if (!value) {
        return value;
    }
    const std::uint32_t entries_max = cpu_numbers_of_kernel();
    if (spec.max_entries > entries_max) {
        return fail(E2BIG, "map {}: {} CPUs, this kernel knows {}", spec.name, spec.max_entries,
                    entries_max);
    }
    return {};
}

/// Arrays whose values are descriptors.
Status check_descriptors(const MapSpec& spec) {
    if (auto keys = check_index_keys(spec); !keys) {
        return keys;
    }
    if (spec.value_size != sizeof(std::uint32_t)) {
        return fail(EINVAL, "map {}: value_size {}, must be 4", spec.name, spec.value_size);
    }
    return {};
}

Status check_hash(const MapSpec& spec) {
    const bool lru = spec.type == MapType::lru_hash || spec.type == MapType::lru_percpu_hash;
    const bool percpu = spec.type == MapType::percpu_hash || spec.type == MapType::lru_percpu_hash;
    const bool private_lru = (spec.flags & kNoCommonLru) != 0;
    if (lru && (spec.flags & kNoPrealloc) != 0) {
        return fail(kNotSupported, "map {}: an LRU map is always preallocated", spec.name);
    }
    if ((!lru && private_lru) || ((spec.flags & kNumaNode) != 0 && (percpu || private_lru))) {
        return fail(EINVAL, "map {}: flags {:#x} do not fit its type", spec.name, spec.flags);
    }
    if (spec.max_entries == 0 || spec.key_size == 0 || spec.value_size == 0) {
        return fail(EINVAL, "map {}: key_size {}, value_size {}, max_entries {}: none may be 0",
                    spec.name, spec.key_size, spec.value_size, spec.max_entries);
    }
    constexpr std::uint32_t kElementHead = 48;  // of the kernel's elements
    if (std::uint64_t{spec.key_size} + spec.value_size >= kAllocationMax - kElementHead) {
        return fail(E2BIG, "map {}: element of {} + {} bytes", spec.name, spec.key_size,
                    spec.value_size);
    }
    constexpr std::uint32_t kEntriesMax = 1U << 27U;  // more buckets than the kernel's have no size
    if (spec.max_entries > kEntriesMax) {
        return fail(E2BIG, "map {}: max_entries {}, at most {}", spec.name, spec.max_entries,
                    kEntriesMax);
    }
    return percpu ? check_percpu_value(spec) : Status{};
}

Status check_hash_of_maps(const MapSpec& spec) {
    if (spec.value_size != sizeof(std::uint32_t)) {
        return fail(EINVAL, "map {}: value_size {}, must be 4", spec.name, spec.value_size);
    }
    return check_hash(spec);
}

Status check_trie(const MapSpec& spec) {
    constexpr std::uint32_t kNodeHead = 280;  // of the kernel's nodes, with the longest key
    constexpr std::uint32_t kValueMax = kAllocationMax - kNodeHead;
    if ((spec.flags & kNoPrealloc) == 0) {
        return fail(EINVAL, "map {}: a trie is never preallocated: it needs BPF_F_NO_PREALLOC",
                    spec.name);
    }
    if (spec.max_entries == 0 || spec.key_size < LpmTrie::kKeyBytesMin ||
        spec.key_size > LpmTrie::kKeyBytesMax || spec.value_size == 0 ||
        spec.value_size > kValueMax) {
        return fail(EINVAL, "map {}: key_size {} (5 to 260), value_size {}, max_entries {}",
                    spec.name, spec.key_size, spec.value_size, spec.max_entries);
    }
    return {};
}

Status check_no_keys(const MapSpec& spec) {
    if (spec.key_size != 0 || spec.value_size == 0 || spec.max_entries == 0) {
        return fail(EINVAL, "map {}: key_size {} (must be 0), value_size {}, max_entries {}",
                    spec.name, spec.key_size, spec.value_size, spec.max_entries);
    }
    if (spec.value_size > kAllocationMax) {
        return fail(E2BIG, "map {}: value_size {}", spec.name, spec.value_size);
    }
    return {};
}

Status check_bloom_filter(const MapSpec& spec) {
    constexpr std::uint64_t kFunctionsMax = 15;
    if (spec.extra > kFunctionsMax) {
        return fail(EINVAL, "map {}: {} hash functions, at most {}", spec.name, spec.extra,
                    kFunctionsMax);
    }
    return check_no_keys(spec);
}

Status check_ring(const MapSpec& spec) {
    const auto page = static_cast<std::uint32_t>(getpagesize());
    if (spec.key_size != 0 || spec.value_size != 0 || !std::has_single_bit(spec.max_entries) ||
        spec.max_entries % page != 0) {
        return fail(EINVAL,
                    "map {}: key_size {} and value_size {} must be 0, max_entries {} a power of "
                    "two and whole pages",
                    spec.name, spec.key_size, spec.value_size, spec.max_entries);
    }
    return {};
}

Status check_stack_trace(const MapSpec& spec) {
    constexpr std::uint32_t kDepthMax = 127;  // kernel.perf_event_max_stack
    if (auto keys = check_index_keys(spec); !keys) {
        return keys;
    }
    if (spec.value_size < 8 || spec.value_size % 8 != 0 || spec.value_size / 8 > kDepthMax) {
        return fail(EINVAL, "map {}: value_size {}: 8 bytes for each of 1 to {} frames", spec.name,
                    spec.value_size, kDepthMax);
    }
    return {};
}

struct TypeRules {
    MapType type;
    std::uint32_t flags;  // accepted by MAP_CREATE
    Status (*check)(const MapSpec& spec);
    Result<std::shared_ptr<Map>> (*make)(const MapSpec& spec);
};

constexpr std::array kTypes = {
    TypeRules{MapType::hash, kHashFlags, check_hash, HashMap::make},
    TypeRules{MapType::array, kNumaNode | kUserAccess | kProgramAccess | kMmapable | kInnerMap,
              check_array, ArrayMap::make},
    TypeRules{MapType::prog_array, kNumaNode | kUserAccess, check_descriptors, ProgArray::make},
    TypeRules{MapType::perf_event_array, kNumaNode | kUserAccess | kPreserveElements,
              check_descriptors, PerfEventArray::make},
    TypeRules{MapType::percpu_hash, kHashFlags, check_hash, PercpuHashMap::make},
    TypeRules{MapType::percpu_array, kUserAccess | kProgramAccess, check_percpu_array,
              PercpuArrayMap::make},
    TypeRules{MapType::stack_trace, kNumaNode | kUserAccess, check_stack_trace, StackTrace::make},
    TypeRules{MapType::lru_hash, kHashFlags, check_hash, HashMap::make},
    TypeRules{MapType::lru_percpu_hash, kHashFlags, check_hash, PercpuHashMap::make},
    TypeRules{MapType::lpm_trie, kNoPrealloc | kNumaNode | kUserAccess | kProgramAccess, check_trie,
              LpmTrie::make},
    TypeRules{MapType::array_of_maps, kNumaNode | kUserAccess, check_descriptors,
              ArrayOfMaps::make},
    TypeRules{MapType::hash_of_maps, kHashFlags, check_hash_of_maps, HashOfMaps::make},
    TypeRules{MapType::xskmap, kNumaNode | kUserAccess, check_descriptors, Xskmap::make},
    TypeRules{MapType::queue, kNumaNode | kUserAccess | kProgramAccess, check_no_keys,
              QueueStack::make},
    TypeRules{MapType::stack, kNumaNode | kUserAccess | kProgramAccess, check_no_keys,
              QueueStack::make},
    TypeRules{MapType::bloom_filter, kNumaNode | kUserAccess | kProgramAccess | kZeroSeed,
              check_bloom_filter, BloomFilter::make},
    TypeRules{MapType::ringbuf, kNumaNode, check_ring, RingBuffer::make},
    TypeRules{MapType::user_ringbuf, kNumaNode, check_ring, UserRingBuffer::make},
    TypeRules{MapType::devmap, kNumaNode | kUserAccess, check_redirect, Devmap::make},
    TypeRules{MapType::devmap_hash, kNumaNode | kUserAccess, check_devmap_hash, Devmap::make},
    TypeRules{MapType::cpumap, kNumaNode, check_cpumap, Cpumap::make},
};

constexpr std::array<std::string_view, 34> kTypeNames = {
    "unspec",
    "hash",
    "array",
    "prog_array",
    "perf_event_array",
    "percpu_hash",
    "percpu_array",
    "stack_trace",
    "cgroup_array",
    "lru_hash",
    "lru_percpu_hash",
    "lpm_trie",
    "array_of_maps",
    "hash_of_maps",
    "devmap",
    "sockmap",
    "cpumap",
    "xskmap",
    "sockhash",
    "cgroup_storage",
    "reuseport_sockarray",
    "percpu_cgroup_storage",
    "queue",
    "stack",
    "sk_storage",
    "devmap_hash",
    "struct_ops",
    "ringbuf",
    "inode_storage",
    "task_storage",
    "bloom_filter",
    "user_ringbuf",
    "cgrp_storage",
    "arena",
};

bool name_is_valid(const std::string& name) {
    for (const char c : name) {
        const bool valid = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                           (c >= '0' && c <= '9') || c == '_' || c == '.';
        if (!valid) {
            return false;
        }
    }
    return name.size() <= kNameMax;
}

/// An LRU with a share per CPU has shares of equal size: the kernel rounds up and shows that.
MapSpec with_whole_shares(const MapSpec& spec) {
    MapSpec shown = spec;
    if ((spec.flags & kNoCommonLru) != 0) {
        const std::uint32_t cpus = possible_cpu_ids().back() + 1;
        shown.max_entries = (spec.max_entries + cpus - 1) / cpus * cpus;
    }
    return shown;
}

const TypeRules* rules_of(MapType type) {
    for (const TypeRules& rules : kTypes) {
        if (rules.type == type) {
            return &rules;
        }
    }
    return nullptr;
}

}  // namespace

Result<std::shared_ptr<Map>> create(const MapSpec& spec) {
    const TypeRules* rules = rules_of(spec.type);
    const auto number = static_cast<std::uint32_t>(spec.type);
    if (spec.extra != 0 && spec.type != MapType::bloom_filter && spec.type != MapType::arena) {
        return fail(EINVAL, "map {}: map_extra {:#x} means nothing to its type", spec.name,
                    spec.extra);
    }
    if ((spec.flags & kNumaNode) != 0 && !node_is_online(spec.numa_node)) {
        return fail(EINVAL, "map {}: there is no NUMA node {}", spec.name, spec.numa_node);
    }
    if (rules == nullptr) {
        if (number == 0 || number >= kTypeNames.size()) {
            return fail(EINVAL, "map {}: type {} is unknown", spec.name, number);
        }
        return fail(ENOTSUP, "map {}: type {} ({}) is not served", spec.name, number,
                    kTypeNames[number]);
    }
    constexpr std::uint32_t kTokenFd = 1U << 16U;  // BPF_F_TOKEN_FD
    if ((spec.flags & ~(rules->flags | kTokenFd)) != 0 ||
        (spec.flags & kUserAccess) == kUserAccess ||
        (spec.flags & kProgramAccess) == kProgramAccess) {
        return fail(EINVAL, "map {}: flags {:#x} do not fit type {}", spec.name, spec.flags,
                    kTypeNames[number]);
    }
    if (const Status checked = rules->check(spec); !checked) {
        return forward_error(checked);
    }
    if ((spec.flags & kTokenFd) != 0) {
        return fail(EINVAL, "map {}: BPF tokens are not served", spec.name);
    }
    if (!name_is_valid(spec.name)) {
        return fail(EINVAL, "map name \"{}\": at most {} of [A-Za-z0-9_.]", spec.name, kNameMax);
    }
    const bool of_maps = spec.type == MapType::array_of_maps || spec.type == MapType::hash_of_maps;
    if (of_maps && spec.inner == nullptr) {
        return fail(EBADF, "map {}: no template of its inner maps", spec.name);
    }
    if (const int refused = of_maps ? check_inner_template(*spec.inner) : 0; refused != 0) {
        return fail(-refused, "map {}: maps of type {} cannot be inside of it", spec.name,
                    kTypeNames[static_cast<std::uint32_t>(spec.inner->type)]);
    }
    auto map = rules->make(with_whole_shares(spec));
    if (map) {
        if (const Status timed = (*map)->make_timers(); !timed) {
            return forward_error(timed);
        }
    }
    return map;
}

std::string_view type_name(std::uint32_t type) {
    return type < kTypeNames.size() ? kTypeNames[type] : std::string_view();
}

}  // namespace crema::ebpf::maps
