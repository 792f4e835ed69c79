// SPDX-License-Identifier: BSD-3-Clause
//
// A map: a table of operations over storage, one file per type beside this one. The calls with a
// bpf(2) meaning return 0 or a negative errno, exactly as the kernel's. Programs never go through
// the virtual calls: lowering binds the native function or address of the concrete type.
//
// Threads: any number of programs may read and write values while one control thread at a time
// calls the bpf(2) side (the object store serialises it). Value memory lives as long as the Map;
// a Map is released only after every program that holds it is gone and quiescent (reclaim.h).
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lib/base/result.h"
#include "lib/ebpf/program/special_fields.h"

namespace crema::ebpf {
struct LoadedProgram;
}

namespace crema::ebpf::maps {

/// The kernel's numbers, also of types that are not served (create() refuses those).
enum class MapType : std::uint32_t {
    hash = 1,
    array = 2,
    prog_array = 3,
    perf_event_array = 4,
    percpu_hash = 5,
    percpu_array = 6,
    stack_trace = 7,
    cgroup_array = 8,
    lru_hash = 9,
    lru_percpu_hash = 10,
    lpm_trie = 11,
    array_of_maps = 12,
    hash_of_maps = 13,
    devmap = 14,
    sockmap = 15,
    cpumap = 16,
    xskmap = 17,
    sockhash = 18,
    cgroup_storage = 19,
    reuseport_sockarray = 20,
    percpu_cgroup_storage = 21,
    queue = 22,
    stack = 23,
    devmap_hash = 25,
    ringbuf = 27,
    bloom_filter = 30,
    user_ringbuf = 31,
    arena = 33,
};

/// As in bpf(2) MAP_CREATE.
struct MapSpec {
    MapType type{};
    std::uint32_t key_size = 0;    // bytes
    std::uint32_t value_size = 0;  // bytes
    std::uint32_t max_entries = 0;
    std::uint32_t flags = 0;      // BPF_F_*
    std::string name{};           // at most 15 characters
    std::uint32_t numa_node = 0;  // with kNumaNode: checked, memory is wherever it is touched first
    std::uint64_t extra = 0;      // map_extra: bloom filter, number of hashes
    std::int32_t spin_lock_offset = -1;      // of the one in `fields`; -1: none
    std::shared_ptr<const MapSpec> inner{};  // maps of maps: what inner_map_fd showed
    bool has_btf = false;                    // its value has a BTF type
    std::vector<SpecialField> fields{};      // of the value, from that type
};

// BPF_F_* of MAP_CREATE
inline constexpr std::uint32_t kNoPrealloc = 1, kNoCommonLru = 2, kNumaNode = 4, kRdonly = 8,
                               kWronly = 16, kZeroSeed = 64, kRdonlyProg = 128, kWronlyProg = 256,
                               kMmapable = 1024, kPreserveElements = 2048, kInnerMap = 4096;
// flags of MAP_UPDATE_ELEM
inline constexpr std::uint64_t kAny = 0, kNoExist = 1, kExist = 2, kLock = 4;

/// The kernel's errno for "this map type does not have that operation"; libbpf and bpftool test it.
inline constexpr int kNotSupported = 524;

/// Where the values of an array-like map lie; lets lowering inline lookups and direct values.
/// address(cpu, index) = base + cpu * percpu_stride + index * stride
struct ValueLayout {
    std::uint8_t* base = nullptr;     // null: the type has no such layout
    std::uint32_t stride = 0;         // bytes, multiple of 8
    std::uint64_t percpu_stride = 0;  // bytes; 0 for maps that are not per CPU
};

/// What must agree between the programs of one map; all are XDP programs with machine code.
struct ProgramTraits {
    std::uint32_t expected_attach_type = 0;  // as in bpf(2)
    bool has_frags = false;
};

/// Tells one user of a map from another: an address of whatever stands for it.
using UserId = const void*;

class TimerTable;

/// Where an element lies.
struct ElementPlace {
    const void* key = nullptr;  // null: the key is the element's number
    std::uint8_t* value = nullptr;
};

class Map {
  public:
    explicit Map(MapSpec spec);
    virtual ~Map();
    Map(const Map&) = delete;
    Map& operator=(const Map&) = delete;

    [[nodiscard]] const MapSpec& spec() const { return spec_; }

    /// Unique in this process, never reused, > 0.
    [[nodiscard]] std::uint32_t id() const { return id_; }

    /// True after MAP_FREEZE. A frozen map with kRdonlyProg holds constants for the verifier.
    [[nodiscard]] bool frozen() const { return frozen_; }

    /// bpf(2) side. Keys and values have the user layout: spec().key_size bytes, and
    /// user_value_bytes() bytes (per-CPU types: one 8-byte-rounded value per possible CPU).
    /// -EPERM where kRdonly, kWronly or a freeze forbids the access, before any other error.
    /// flags of lookup and take: 0 or kLock (a copy under the value's spin lock). `by`: who
    /// updates, for types whose entries go with whoever made them (drop_user).
    [[nodiscard]] int lookup(const void* key, void* value_out, std::uint64_t flags = 0);
    [[nodiscard]] int update(const void* key,
                             const void* value,
                             std::uint64_t flags,
                             UserId by = nullptr);
    [[nodiscard]] int erase(const void* key);
    /// key == nullptr asks for the first key.
    [[nodiscard]] int next_key(const void* key, void* next_out);
    /// Lookup and delete in one step; -524 for types that cannot.
    [[nodiscard]] int take(const void* key, void* value_out, std::uint64_t flags = 0);
    [[nodiscard]] virtual std::uint32_t user_value_bytes() const;

    /// True where lookup reads the value it asks about instead of writing one (bloom filter).
    [[nodiscard]] virtual bool lookup_takes_value() const { return false; }

    [[nodiscard]] bool user_may_write() const;
    [[nodiscard]] bool user_may_read() const;

    /// Which batch commands the type has.
    struct BatchSupport {
        bool lookup = false, take = false, update = false, erase = false;
    };

    [[nodiscard]] virtual BatchSupport batch_support() const { return {}; }

    /// Elements of one bucket, keys and values side by side in the user layout.
    struct Bucket {
        std::vector<std::uint8_t> keys, values;
        std::uint32_t count = 0;
    };

    /// Batch lookups of hash maps go by bucket: nothing is returned twice or left out when the map
    /// changes between two calls. 0: the type has no buckets.
    [[nodiscard]] virtual std::uint32_t bucket_count() const { return 0; }

    /// Reads bucket `at` and, with `remove`, empties it. False, nothing done: more than count_max.
    [[nodiscard]] virtual bool read_bucket(std::uint32_t at,
                                           std::uint32_t count_max,
                                           bool remove,
                                           Bucket& out);

    /// Maps that hold programs (prog_array, devmap, cpumap): the first program that uses the map or
    /// is stored in it decides what fits. False: `program` does not. Control threads.
    [[nodiscard]] bool admits(const ProgramTraits& program);

    /// User references: descriptors and handles, not programs that use the map. When the last one
    /// goes, timers are cancelled and a prog_array empties itself (programs there may refer back
    /// to the map); what a perf_event_array got by an update of `user` goes with that one.
    void add_user();
    void drop_user(UserId user = nullptr);

    [[nodiscard]] bool has_users() const { return users_.load() != 0; }

    /// Programs and maps that its elements keep, one entry for each reference. Arrays of programs
    /// name none: theirs go with the last user.
    struct Holdings {
        std::vector<const LoadedProgram*> programs;
        std::vector<const Map*> maps;
    };

    [[nodiscard]] virtual Holdings holdings() const { return {}; }

    /// Gives up the slots that hold programs. For a map that only they can reach, so no run can be
    /// under way that sees them. Control threads.
    virtual void abandon() {}

    /// Of values with a timer; null: they have none.
    [[nodiscard]] TimerTable* timers() const { return timers_.get(); }

    /// Called once, by create(). ENOMEM.
    [[nodiscard]] Status make_timers();

    /// Types whose values may have timers number their elements, from 0 to element_count() - 1.
    [[nodiscard]] virtual std::uint64_t element_count() const { return 0; }

    [[nodiscard]] virtual ElementPlace element_place(std::uint32_t element) const;

    /// value: address of one.
    [[nodiscard]] virtual std::uint32_t element_of(const std::uint8_t* /*value*/) const {
        return 0;
    }

    /// 0, or -EPERM when user space may not write (frozen already, or kRdonly). New writable
    /// mappings of memory_fd() are refused from then on; existing ones stay (the kernel: -EBUSY).
    [[nodiscard]] int freeze();

    [[nodiscard]] virtual ValueLayout layout() const { return {}; }

    /// Backing memory as a memfd that a skeleton may mmap (kMmapable arrays), or -1.
    [[nodiscard]] virtual int memory_fd() const { return -1; }

  protected:
    /// For destructors of types with timers, while their values are still there.
    void end_timers();

  private:
    // Access rights are checked; flags hold kLock only when the value has a spin lock. What a type
    // does not have is -kNotSupported.
    [[nodiscard]] virtual int do_lookup(const void* key, void* value_out);
    [[nodiscard]] virtual int do_update(const void* key, const void* value, std::uint64_t flags);
    [[nodiscard]] virtual int do_erase(const void* key);
    [[nodiscard]] virtual int do_next_key(const void* key, void* next_out);
    [[nodiscard]] virtual int do_take(const void* key, void* value_out);
    /// The value's memory, for types whose values may hold a spin lock; null: no such key.
    [[nodiscard]] virtual std::uint8_t* lockable_value(const void* key);

    /// An update of somebody; for most types whose does not matter.
    [[nodiscard]] virtual int do_update_by(UserId /*user*/,
                                           const void* key,
                                           const void* value,
                                           std::uint64_t flags) {
        return do_update(key, value, flags);
    }

    virtual void user_gone(UserId /*user*/) {}

    virtual void users_gone() {}

    [[nodiscard]] int lookup_locked(const void* key, void* value_out);

    MapSpec spec_;
    std::uint32_t id_;
    bool frozen_ = false;
    std::optional<ProgramTraits> owner_;
    std::unique_ptr<TimerTable> timers_;
    std::atomic<std::uint32_t> users_{0};
};

/// Creates a map or says which attribute the kernel would refuse (same errno as the kernel).
[[nodiscard]] Result<std::shared_ptr<Map>> create(const MapSpec& spec);

/// Number of possible CPUs of the host: values in a user buffer of a per-CPU map.
[[nodiscard]] std::uint32_t possible_cpus();

/// Their numbers, ascending. Where the host has gaps the last one is more than the count says:
/// storage that is indexed by CPU number has possible_cpu_ids().back() + 1 places.
[[nodiscard]] std::span<const std::uint32_t> possible_cpu_ids();

[[nodiscard]] bool cpu_is_possible(std::uint32_t cpu);

}  // namespace crema::ebpf::maps
