// SPDX-License-Identifier: BSD-3-Clause
//
// See stage.h. Contents are compared as bytes: arrays whole, per-CPU values of the campaign's CPU,
// hash maps as their entries in the order of the keys.
#include "tests/fuzz/stage.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/base/check.h"
#include "tests/fuzz/dice.h"
#include "tests/support/asm.h"
#include "tests/support/kernel_bpf.h"

namespace crema::test::fuzz {
namespace {

using ebpf::maps::MapSpec;
using ebpf::maps::MapType;

constexpr int kMaps = 6;

MapSpec spec_of(int map) {
    constexpr std::uint32_t kMmapable = ebpf::maps::kMmapable;
    switch (map) {
        case kArrayMap:
            return {MapType::array, 4, kArrayBytes, kArrayEntries, kMmapable, "array"};
        case kPercpuMap:
            return {MapType::percpu_array, 4, kPercpuBytes, kPercpuEntries, 0, "percpu"};
        case kGlobalMap:
            return {MapType::array, 4, kGlobalBytes, 1, kMmapable, "global"};
        case kConstantMap:
            return {MapType::array, 4, kConstantBytes, 1, ebpf::maps::kRdonlyProg, "constants"};
        case kSinkMap:
            return {MapType::array, 4, kSinkBytes, 1, kMmapable, "sink"};
        default:
            return {MapType::hash, kHashKeyBytes, kHashBytes, kHashEntries, 0, "hash"};
    }
}

/// What a map holds before each program; the same in every process.
const Contents& initial(int map) {
    static const auto all = [] {
        std::array<Contents, kMaps> contents;
        for (int i = 0; i < kMaps; ++i) {
            const MapSpec spec = spec_of(i);
            Dice dice(static_cast<std::uint64_t>(i) + 77);
            Contents& bytes = contents[static_cast<std::size_t>(i)];
            bytes.resize(std::size_t{spec.value_size} * spec.max_entries);
            for (std::size_t at = 0; at + 8 <= bytes.size(); at += 8) {
                const std::uint64_t number = i == kSinkMap ? 0 : dice.number();
                std::memcpy(bytes.data() + at, &number, sizeof number);
            }
        }
        return contents;
    }();
    return all[static_cast<std::size_t>(map)];
}

/// A user buffer for one value of a per-CPU map: the same for all CPUs.
std::vector<std::uint8_t> percpu_value(std::uint32_t key) {
    constexpr std::uint32_t kStride = (kPercpuBytes + 7) / 8 * 8;
    std::vector<std::uint8_t> value(std::size_t{kStride} * ebpf::maps::possible_cpus());
    for (std::size_t at = 0; at < value.size(); at += kStride) {
        std::memcpy(value.data() + at, initial(kPercpuMap).data() + key * kPercpuBytes,
                    kPercpuBytes);
    }
    return value;
}

constexpr std::uint32_t kHashPrefilled = 4;  // keys 0..3 exist before each program

template <typename Access>
void reset_percpu(const Access& access) {
    for (std::uint32_t key = 0; key < kPercpuEntries; ++key) {
        CREMA_CHECK(access.update(&key, percpu_value(key).data()) == 0);
    }
}

template <typename Access>
void reset_hash(const Access& access) {
    std::uint32_t key = 0;
    while (access.next(nullptr, &key) == 0) {
        CREMA_CHECK(access.erase(&key) == 0);
    }
    for (key = 0; key < kHashPrefilled; ++key) {
        CREMA_CHECK(access.update(&key, initial(kHashMap).data() + key * kHashBytes) == 0);
    }
}

template <typename Access>
void read_percpu(const Access& access, std::uint32_t cpu_index, Contents* out) {
    std::vector<std::uint8_t> value(percpu_value(0).size());
    for (std::uint32_t key = 0; key < kPercpuEntries; ++key) {
        CREMA_CHECK(access.lookup(&key, value.data()) == 0);
        const auto start = value.begin() + cpu_index * ((kPercpuBytes + 7) / 8 * 8);
        out->insert(out->end(), start, start + kPercpuBytes);
    }
}

template <typename Access>
void read_hash(const Access& access, Contents* out) {
    std::map<std::uint32_t, std::array<std::uint8_t, kHashBytes>> entries;
    std::uint32_t key = 0;
    for (int rc = access.next(nullptr, &key); rc == 0;) {
        CREMA_CHECK(access.lookup(&key, entries[key].data()) == 0);
        std::uint32_t next = 0;
        rc = access.next(&key, &next);
        key = next;
    }
    for (const auto& [at, value] : entries) {
        out->insert(out->end(),
                    {static_cast<std::uint8_t>(at), static_cast<std::uint8_t>(at >> 8U),
                     static_cast<std::uint8_t>(at >> 16U), static_cast<std::uint8_t>(at >> 24U)});
        out->insert(out->end(), value.begin(), value.end());
    }
}

struct OurAccess {
    ebpf::maps::Map& map;

    int update(const void* key, const void* value) const { return map.update(key, value, 0); }

    int lookup(const void* key, void* value) const { return map.lookup(key, value); }

    int erase(const void* key) const { return map.erase(key); }

    int next(const void* key, void* next_out) const { return map.next_key(key, next_out); }
};

struct KernelAccess {
    int fd;

    int update(const void* key, const void* value) const {
        return kernel::update(fd, key, value, 0);
    }

    int lookup(const void* key, void* value) const { return kernel::lookup(fd, key, value); }

    int erase(const void* key) const { return kernel::erase(fd, key); }

    int next(const void* key, void* next_out) const { return kernel::next_key(fd, key, next_out); }
};

/// The place of this CPU's value in a user buffer of a per-CPU map.
std::uint32_t place_of(std::uint32_t cpu) {
    const auto ids = ebpf::maps::possible_cpu_ids();
    return static_cast<std::uint32_t>(std::find(ids.begin(), ids.end(), cpu) - ids.begin());
}

bool names(std::uint32_t used, int map) {
    return (used >> static_cast<unsigned>(map) & 1U) != 0;
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
    return used;
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
    for (int i = 0; i < kMaps; ++i) {
        auto map = ebpf::maps::create(spec_of(i));
        if (!map) {
            CREMA_CHECK(i == kHashMap);
            break;
        }
        maps_.push_back(*map);
    }
    const std::uint32_t key = 0;
    ebpf::maps::Map& constants = *maps_[kConstantMap];
    CREMA_CHECK(constants.update(&key, initial(kConstantMap).data(), 0) == 0);
    CREMA_CHECK(constants.freeze() == 0);
    reset(~std::uint32_t{0});
}

void OurStage::reset(std::uint32_t used) {
    for (const int map : {kArrayMap, kGlobalMap, kSinkMap}) {
        if (names(used, map)) {
            const Contents& bytes = initial(map);
            std::copy(bytes.begin(), bytes.end(),
                      maps_[static_cast<std::size_t>(map)]->layout().base);
        }
    }
    if (names(used, kPercpuMap)) {
        reset_percpu(OurAccess{*maps_[kPercpuMap]});
    }
    if (names(used, kHashMap) && maps_.size() > kHashMap) {
        reset_hash(OurAccess{*maps_[kHashMap]});
    }
}

Contents OurStage::contents(std::uint32_t used) const {
    Contents all;
    for (const int map : {kArrayMap, kGlobalMap, kSinkMap}) {
        if (names(used, map)) {
            const std::uint8_t* const base = maps_[static_cast<std::size_t>(map)]->layout().base;
            all.insert(all.end(), base, base + initial(map).size());
        }
    }
    if (names(used, kPercpuMap)) {
        read_percpu(OurAccess{*maps_[kPercpuMap]}, place_of(cpu_), &all);
    }
    if (names(used, kHashMap) && maps_.size() > kHashMap) {
        read_hash(OurAccess{*maps_[kHashMap]}, &all);
    }
    return all;
}

KernelStage::KernelStage(const OurStage& ours) : ours_(ours), mapped_(kMaps) {
    for (int i = 0; i < kMaps; ++i) {
        fds_.push_back(kernel::create_map(spec_of(i)));
        CREMA_CHECK(fds_.back() >= 0);
    }
    const std::uint32_t key = 0;
    CREMA_CHECK(kernel::update(fds_[kConstantMap], &key, initial(kConstantMap).data(), 0) == 0);
    CREMA_CHECK(kernel::freeze(fds_[kConstantMap]) == 0);
    for (const int map : {kArrayMap, kGlobalMap, kSinkMap}) {
        const auto at = static_cast<std::size_t>(map);
        const std::size_t bytes = initial(map).size();
        void* const memory =
            ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fds_[at], 0);
        CREMA_CHECK(memory != MAP_FAILED);
        mapped_[at] = {static_cast<std::uint8_t*>(memory), bytes};
    }
    reset(~std::uint32_t{0});
}

KernelStage::~KernelStage() {
    for (const auto& memory : mapped_) {
        if (!memory.empty()) {
            ::munmap(memory.data(), memory.size());
        }
    }
    for (const int fd : fds_) {
        ::close(fd);
    }
}

void KernelStage::reset(std::uint32_t used) {
    for (std::size_t map = 0; map < mapped_.size(); ++map) {
        if (names(used, static_cast<int>(map)) && !mapped_[map].empty()) {
            const Contents& bytes = initial(static_cast<int>(map));
            std::copy(bytes.begin(), bytes.end(), mapped_[map].begin());
        }
    }
    if (names(used, kPercpuMap)) {
        reset_percpu(KernelAccess{fds_[kPercpuMap]});
    }
    if (names(used, kHashMap)) {
        reset_hash(KernelAccess{fds_[kHashMap]});
    }
}

Contents KernelStage::contents(std::uint32_t used) const {
    Contents all;
    for (std::size_t map = 0; map < mapped_.size(); ++map) {
        if (names(used, static_cast<int>(map))) {
            all.insert(all.end(), mapped_[map].begin(), mapped_[map].end());
        }
    }
    if (names(used, kPercpuMap)) {
        read_percpu(KernelAccess{fds_[kPercpuMap]}, place_of(ours_.cpu()), &all);
    }
    if (names(used, kHashMap)) {
        read_hash(KernelAccess{fds_[kHashMap]}, &all);
    }
    return all;
}

}  // namespace crema::test::fuzz
