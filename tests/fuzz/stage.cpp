// SPDX-License-Identifier: BSD-3-Clause
//
// See stage.h. Contents are compared as bytes: arrays whole, per-CPU values of the campaign's CPU,
// keyed maps as their entries in the order of the keys, queues in the order in which they are
// popped, the ring buffer as its committed records.
#include "tests/fuzz/stage.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <map>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/base/check.h"
#include "lib/ebpf/maps/ringbuf.h"
#include "lib/ebpf/maps/target_hooks.h"
#include "tests/fuzz/dice.h"
#include "tests/fuzz/targets.h"
#include "tests/support/asm.h"
#include "tests/support/kernel_bpf.h"

namespace crema::test::fuzz {
namespace {

using ebpf::maps::MapSpec;
using ebpf::maps::MapType;

enum class Holds : std::uint8_t {
    values,    // an array, seen as memory
    constant,  // the same before and after each program
    entries,   // keys and values
    sequence,  // a queue or stack
    records,   // ring buffer
};

struct Role {
    MapSpec spec;
    Holds holds = Holds::entries;
    std::uint32_t prefilled = 0;  // entries that exist before each program
};

MapSpec inner_spec() {
    return {MapType::array, 4, kInnerBytes, kInnerEntries, ebpf::maps::kMmapable, "inner"};
}

MapSpec outer_spec(MapType type, const char* name) {
    MapSpec spec{type, 4, 4, kOuterEntries, 0, name};
    spec.inner = std::make_shared<MapSpec>(inner_spec());
    return spec;
}

const std::vector<Role>& roles() {
    constexpr std::uint32_t kMmapable = ebpf::maps::kMmapable;
    static const std::vector<Role> all = {
        {{MapType::array, 4, kArrayBytes, kArrayEntries, kMmapable, "array"},
         Holds::values,
         kArrayEntries},
        {{MapType::percpu_array, 4, kPercpuBytes, kPercpuEntries, 0, "percpu"},
         Holds::entries,
         kPercpuEntries},
        {{MapType::array, 4, kGlobalBytes, 1, kMmapable, "global"}, Holds::values, 1},
        {{MapType::array, 4, kConstantBytes, 1, ebpf::maps::kRdonlyProg, "constants"},
         Holds::constant,
         1},
        {{MapType::array, 4, kSinkBytes, 1, kMmapable, "sink"}, Holds::values, 1},
        {{MapType::hash, 4, kHashBytes, kHashEntries, 0, "hash"}, Holds::entries, 4},
        {{MapType::percpu_hash, 4, kPercpuHashBytes, kPercpuHashEntries, 0, "percpu_hash"},
         Holds::entries,
         3},
        {{MapType::lru_hash, 4, kLruBytes, kLruEntries, 0, "lru"}, Holds::entries, 3},
        {{MapType::lpm_trie, kTrieKeyBytes, kTrieBytes, kTrieEntries, ebpf::maps::kNoPrealloc,
          "trie"},
         Holds::entries,
         4},
        {{MapType::queue, 0, kQueueBytes, kQueueEntries, 0, "queue"}, Holds::sequence, 2},
        {{MapType::stack, 0, kQueueBytes, kQueueEntries, 0, "stack"}, Holds::sequence, 2},
        {{MapType::ringbuf, 0, 0, kRingBytes, 0, "ring"}, Holds::records, 0},
        {{MapType::prog_array, 4, 4, kProgramsEntries, 0, "programs"}, Holds::constant, 0},
        {outer_spec(MapType::array_of_maps, "array_of_maps"), Holds::constant, 0},
        {outer_spec(MapType::hash_of_maps, "hash_of_maps"), Holds::constant, 0},
    };
    return all;
}

const Role& role_of(std::size_t map) {
    return roles()[map];
}

bool is_percpu(const MapSpec& spec) {
    return spec.type == MapType::percpu_array || spec.type == MapType::percpu_hash;
}

constexpr bool names(std::uint32_t used, std::size_t map) {
    return (used >> map & 1U) != 0;
}

/// Values before each program, one after the other; the same in every process. Inner maps follow
/// the others.
const Contents& initial(std::size_t map) {
    static const auto all = [] {
        std::vector<Contents> contents(kMaps + kInnerMaps);
        for (std::size_t i = 0; i < contents.size(); ++i) {
            const bool is_inner = i >= kMaps;
            const std::size_t values = is_inner ? kInnerEntries : role_of(i).prefilled;
            const std::size_t bytes = is_inner ? kInnerBytes : role_of(i).spec.value_size;
            Dice dice(static_cast<std::uint64_t>(i) + 77);
            contents[i].resize(values * bytes);
            for (std::size_t at = 0; at + 8 <= contents[i].size(); at += 8) {
                const std::uint64_t number = i == kSinkMap ? 0 : dice.number();
                std::memcpy(contents[i].data() + at, &number, sizeof number);
            }
        }
        return contents;
    }();
    return all[map];
}

/// Which values of maps lie in memory: by map, then inner maps.
bool is_memory(std::size_t map) {
    return map >= kMaps || role_of(map).holds == Holds::values;
}

bool is_read(std::uint32_t used, std::size_t map) {
    constexpr std::uint32_t kOuter = 1U << kArrayOfMaps | 1U << kHashOfMaps;
    return map >= kMaps ? (used & kOuter) != 0 : names(used, map);
}

using Key = std::array<std::uint8_t, 8>;

/// The key of a prefilled entry: numbers from 0 on, or prefixes that get longer.
Key key_of(std::size_t map, std::uint32_t entry) {
    Key key{};
    if (map == kTrieMap) {
        const std::uint32_t prefix[] = {8 * entry, 0x0403'0201};
        std::memcpy(key.data(), prefix, sizeof prefix);
    } else {
        std::memcpy(key.data(), &entry, sizeof entry);
    }
    return key;
}

std::size_t percpu_stride(const MapSpec& spec) {
    return (spec.value_size + 7U) / 8U * 8U;
}

/// A user buffer for one value; of per-CPU maps the same for all CPUs.
std::vector<std::uint8_t> user_value(std::size_t map, std::uint32_t entry) {
    const MapSpec& spec = role_of(map).spec;
    const std::uint8_t* const value = initial(map).data() + std::size_t{entry} * spec.value_size;
    if (!is_percpu(spec)) {
        return {value, value + spec.value_size};
    }
    std::vector<std::uint8_t> all(percpu_stride(spec) * ebpf::maps::possible_cpus());
    for (std::size_t at = 0; at < all.size(); at += percpu_stride(spec)) {
        std::copy_n(value, spec.value_size, all.data() + at);
    }
    return all;
}

template <typename Access>
void reset_entries(std::size_t map, const Access& access) {
    const Role& role = role_of(map);
    Key key{};
    while (role.spec.type != MapType::percpu_array && access.next(nullptr, key.data()) == 0) {
        CREMA_CHECK(access.erase(key.data()) == 0);
    }
    for (std::uint32_t entry = 0; entry < role.prefilled; ++entry) {
        key = key_of(map, entry);
        CREMA_CHECK(access.update(key.data(), user_value(map, entry).data()) == 0);
    }
}

template <typename Access>
void read_entries(std::size_t map, const Access& access, std::uint32_t cpu_index, Contents* out) {
    const MapSpec& spec = role_of(map).spec;
    const bool percpu = is_percpu(spec);
    std::vector<std::uint8_t> value(percpu ? percpu_stride(spec) * ebpf::maps::possible_cpus()
                                           : spec.value_size);
    const std::size_t at = percpu ? cpu_index * percpu_stride(spec) : 0;
    std::map<Key, std::vector<std::uint8_t>> entries;
    Key key{};
    for (int rc = access.next(nullptr, key.data()); rc == 0;) {
        CREMA_CHECK(access.lookup(key.data(), value.data()) == 0);
        entries[key].assign(value.data() + at, value.data() + at + spec.value_size);
        Key next{};
        rc = access.next(key.data(), next.data());
        key = next;
    }
    for (const auto& [where, bytes] : entries) {
        out->insert(out->end(), where.begin(), where.begin() + spec.key_size);
        out->insert(out->end(), bytes.begin(), bytes.end());
    }
}

/// Takes all; to `out`, when given.
template <typename Access>
void read_sequence(std::size_t map, const Access& access, Contents* out) {
    std::vector<std::uint8_t> value(role_of(map).spec.value_size);
    while (access.take(value.data()) == 0) {
        if (out != nullptr) {
            out->insert(out->end(), value.begin(), value.end());
        }
    }
}

template <typename Access>
void reset_sequence(std::size_t map, const Access& access) {
    read_sequence(map, access, nullptr);
    for (std::uint32_t entry = 0; entry < role_of(map).prefilled; ++entry) {
        CREMA_CHECK(access.update(nullptr, user_value(map, entry).data()) == 0);
    }
}

void add_record(std::span<const std::uint8_t> record, Contents* out) {
    const auto length = static_cast<std::uint32_t>(record.size());
    const auto* const bytes = reinterpret_cast<const std::uint8_t*>(&length);
    out->insert(out->end(), bytes, bytes + sizeof length);
    out->insert(out->end(), record.begin(), record.end());
}

struct OurAccess {
    ebpf::maps::Map& map;

    int update(const void* key, const void* value) const { return map.update(key, value, 0); }

    int lookup(const void* key, void* value) const { return map.lookup(key, value); }

    int erase(const void* key) const { return map.erase(key); }

    int next(const void* key, void* next_out) const { return map.next_key(key, next_out); }

    int take(void* value) const { return map.take(nullptr, value); }
};

struct KernelAccess {
    int fd;

    int update(const void* key, const void* value) const {
        return kernel::update(fd, key, value, 0);
    }

    int lookup(const void* key, void* value) const { return kernel::lookup(fd, key, value); }

    int erase(const void* key) const { return kernel::erase(fd, key); }

    int next(const void* key, void* next_out) const { return kernel::next_key(fd, key, next_out); }

    int take(void* value) const { return kernel::take(fd, nullptr, value); }
};

/// The place of this CPU's value in a user buffer of a per-CPU map.
std::uint32_t place_of(std::uint32_t cpu) {
    const auto ids = ebpf::maps::possible_cpu_ids();
    return static_cast<std::uint32_t>(std::find(ids.begin(), ids.end(), cpu) - ids.begin());
}

/// What the maps of maps hold, by key: places among the inner maps.
struct OuterEntry {
    int map;
    std::uint32_t key;
    std::size_t inner;
};

constexpr OuterEntry kOuter[] = {{kArrayOfMaps, 0, 0},
                                 {kArrayOfMaps, 1, 1},
                                 {kArrayOfMaps, 2, 0},
                                 {kHashOfMaps, 0, 1},
                                 {kHashOfMaps, 3, 0}};

// What stands for descriptors of maps while the maps of maps are filled.
const Maps* inner_by_place = nullptr;

std::shared_ptr<ebpf::maps::Map> map_by_place(int place, int* error) {
    const bool known = inner_by_place != nullptr && place >= 0 &&
                       static_cast<std::size_t>(place) < inner_by_place->size();
    *error = known ? 0 : -EBADF;
    return known ? (*inner_by_place)[static_cast<std::size_t>(place)] : nullptr;
}

std::shared_ptr<ebpf::maps::Map> make(const MapSpec& spec) {
    auto map = ebpf::maps::create(spec);
    CREMA_CHECK(map.has_value());
    return *map;
}

}  // namespace

std::uint32_t maps_used(const ebpf::Program& program) {
    std::uint32_t used = 0;
    for (std::size_t at = 0; at < program.insns.size(); ++at) {
        const Insn& insn = program.insns[at];
        if (insn.code == op::kLdImm64) {
            if (insn.src == op::kPseudoMap || insn.src == op::kPseudoMapValue) {
                used |= 1U << (static_cast<std::uint32_t>(insn.imm) & 31U);
            }
            ++at;
        }
    }
    return names(used, kProgramsMap) ? used | kTargetMaps : used;
}

std::uint32_t stay_on_this_cpu() {
    const int cpu = sched_getcpu();
    cpu_set_t only;
    CPU_ZERO(&only);
    CPU_SET(static_cast<std::size_t>(cpu), &only);
    CREMA_CHECK(sched_setaffinity(0, sizeof only, &only) == 0);
    return static_cast<std::uint32_t>(cpu);
}

OurStage::OurStage(std::uint32_t cpu) : cpu_(cpu) {
    for (const Role& role : roles()) {
        maps_.push_back(make(role.spec));
    }
    for (std::size_t i = 0; i < kInnerMaps; ++i) {
        inner_.push_back(make(inner_spec()));
    }
    interpreted_programs_ = make(role_of(kProgramsMap).spec);
    const std::uint32_t key = 0;
    ebpf::maps::Map& constants = *maps_[kConstantMap];
    CREMA_CHECK(constants.update(&key, initial(kConstantMap).data(), 0) == 0);
    CREMA_CHECK(constants.freeze() == 0);
    ebpf::maps::set_map_by_fd(map_by_place);
    inner_by_place = &inner_;
    for (const OuterEntry& entry : kOuter) {
        const int place = static_cast<int>(entry.inner);
        CREMA_CHECK(maps_[static_cast<std::size_t>(entry.map)]->update(&entry.key, &place, 0) == 0);
    }
    inner_by_place = nullptr;
    put_targets(tail_targets(maps_), *maps_[kProgramsMap], *interpreted_programs_);
    reset(~std::uint32_t{0});
}

Maps OurStage::maps_for_interpreter() const {
    Maps maps = maps_;
    maps[kProgramsMap] = interpreted_programs_;
    return maps;
}

void OurStage::reset(std::uint32_t used) {
    for (std::size_t map = 0; map < kMaps + kInnerMaps; ++map) {
        if (!is_read(used, map)) {
            continue;
        }
        ebpf::maps::Map& ours = map < kMaps ? *maps_[map] : *inner_[map - kMaps];
        if (is_memory(map)) {
            const Contents& bytes = initial(map);
            std::copy(bytes.begin(), bytes.end(), ours.layout().base);
        } else if (role_of(map).holds == Holds::entries) {
            reset_entries(map, OurAccess{ours});
        } else if (role_of(map).holds == Holds::sequence) {
            reset_sequence(map, OurAccess{ours});
        } else if (role_of(map).holds == Holds::records) {
            static_cast<ebpf::maps::RingBuffer&>(ours).consume([](auto) {});
        }
    }
}

Contents OurStage::contents(std::uint32_t used) {
    Contents all;
    for (std::size_t map = 0; map < kMaps + kInnerMaps; ++map) {
        if (!is_read(used, map)) {
            continue;
        }
        ebpf::maps::Map& ours = map < kMaps ? *maps_[map] : *inner_[map - kMaps];
        if (is_memory(map)) {
            const std::uint8_t* const base = ours.layout().base;
            all.insert(all.end(), base, base + initial(map).size());
        } else if (role_of(map).holds == Holds::entries) {
            read_entries(map, OurAccess{ours}, place_of(cpu_), &all);
        } else if (role_of(map).holds == Holds::sequence) {
            read_sequence(map, OurAccess{ours}, &all);
        } else if (role_of(map).holds == Holds::records) {
            static_cast<ebpf::maps::RingBuffer&>(ours).consume(
                [&all](auto record) { add_record(record, &all); });
        }
    }
    return all;
}

KernelStage::KernelStage(const OurStage& ours) : ours_(ours), mapped_(kMaps + kInnerMaps) {
    for (int& fd : inner_fds_) {
        fd = kernel::create_map(inner_spec());
        CREMA_CHECK(fd >= 0);
    }
    for (const Role& role : roles()) {
        fds_.push_back(
            kernel::create_map(role.spec, role.spec.inner != nullptr ? inner_fds_[0] : -1));
        CREMA_CHECK(fds_.back() >= 0);
    }
    const std::uint32_t key = 0;
    CREMA_CHECK(kernel::update(fds_[kConstantMap], &key, initial(kConstantMap).data(), 0) == 0);
    CREMA_CHECK(kernel::freeze(fds_[kConstantMap]) == 0);
    for (const OuterEntry& entry : kOuter) {
        CREMA_CHECK(kernel::update(fds_[static_cast<std::size_t>(entry.map)], &entry.key,
                                   &inner_fds_[entry.inner], 0) == 0);
    }
    map_arrays();
    map_ring();
    put_programs();
    reset(~std::uint32_t{0});
}

void KernelStage::map_arrays() {
    for (std::size_t map = 0; map < mapped_.size(); ++map) {
        if (is_memory(map)) {
            const std::size_t bytes = initial(map).size();
            const int fd = map < kMaps ? fds_[map] : inner_fds_[map - kMaps];
            void* const memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
            CREMA_CHECK(memory != MAP_FAILED);
            mapped_[map] = {static_cast<std::uint8_t*>(memory), bytes};
        }
    }
}

void KernelStage::map_ring() {
    const auto page = static_cast<std::size_t>(::getpagesize());
    void* const consumer =
        ::mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_SHARED, fds_[kRingMap], 0);
    CREMA_CHECK(consumer != MAP_FAILED);
    consumer_ = {static_cast<std::uint8_t*>(consumer), page};
    const std::size_t rest = page + 2 * std::size_t{kRingBytes};
    void* const producer =
        ::mmap(nullptr, rest, PROT_READ, MAP_SHARED, fds_[kRingMap], static_cast<off_t>(page));
    CREMA_CHECK(producer != MAP_FAILED);
    producer_ = {static_cast<std::uint8_t*>(producer), rest};
}

void KernelStage::put_programs() {
    std::uint32_t slot = 0;
    for (const ebpf::Program& target : tail_targets(ours_.maps())) {
        const int fd = kernel::load_xdp(target, fds_, nullptr);
        CREMA_CHECK(fd >= 0);
        CREMA_CHECK(kernel::update(fds_[kProgramsMap], &slot, &fd, 0) == 0);
        ::close(fd);
        ++slot;
    }
}

KernelStage::~KernelStage() {
    for (const auto& memory : mapped_) {
        if (!memory.empty()) {
            ::munmap(memory.data(), memory.size());
        }
    }
    ::munmap(consumer_.data(), consumer_.size());
    ::munmap(producer_.data(), producer_.size());
    for (const int fd : fds_) {
        ::close(fd);
    }
    for (const int fd : inner_fds_) {
        ::close(fd);
    }
}

/// Takes all records; to `out`, when given.
void KernelStage::read_ring(Contents* out) {
    constexpr std::uint32_t kBusy = 1U << 31U, kDiscarded = 1U << 30U, kHeaderBytes = 8;
    auto& consumer = *reinterpret_cast<std::atomic<std::uint64_t>*>(consumer_.data());
    const auto& producer = *reinterpret_cast<const std::atomic<std::uint64_t>*>(producer_.data());
    const std::uint8_t* const data = producer_.data() + ::getpagesize();
    std::uint64_t at = consumer.load(std::memory_order_relaxed);
    while (at < producer.load(std::memory_order_acquire)) {
        const std::uint8_t* const record = data + at % kRingBytes;
        std::uint32_t header = 0;
        std::memcpy(&header, record, sizeof header);
        CREMA_CHECK((header & kBusy) == 0);
        const std::uint32_t length = header & ~kDiscarded;
        if (out != nullptr && (header & kDiscarded) == 0) {
            add_record({record + kHeaderBytes, length}, out);
        }
        at += (length + kHeaderBytes + 7U) / 8U * 8U;
        consumer.store(at, std::memory_order_release);
    }
}

void KernelStage::reset(std::uint32_t used) {
    for (std::size_t map = 0; map < mapped_.size(); ++map) {
        if (!is_read(used, map)) {
            continue;
        }
        if (is_memory(map)) {
            const Contents& bytes = initial(map);
            std::copy(bytes.begin(), bytes.end(), mapped_[map].begin());
        } else if (role_of(map).holds == Holds::entries) {
            reset_entries(map, KernelAccess{fds_[map]});
        } else if (role_of(map).holds == Holds::sequence) {
            reset_sequence(map, KernelAccess{fds_[map]});
        } else if (role_of(map).holds == Holds::records) {
            read_ring(nullptr);
        }
    }
}

Contents KernelStage::contents(std::uint32_t used) {
    Contents all;
    for (std::size_t map = 0; map < mapped_.size(); ++map) {
        if (!is_read(used, map)) {
            continue;
        }
        if (is_memory(map)) {
            all.insert(all.end(), mapped_[map].begin(), mapped_[map].end());
        } else if (role_of(map).holds == Holds::entries) {
            read_entries(map, KernelAccess{fds_[map]}, place_of(ours_.cpu()), &all);
        } else if (role_of(map).holds == Holds::sequence) {
            read_sequence(map, KernelAccess{fds_[map]}, &all);
        } else if (role_of(map).holds == Holds::records) {
            read_ring(&all);
        }
    }
    return all;
}

}  // namespace crema::test::fuzz
