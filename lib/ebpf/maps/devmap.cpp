// SPDX-License-Identifier: BSD-3-Clause
//
// Devmap and devmap_hash, bpf(2) side. Values are {ifindex} or {ifindex, program fd}; reading them
// back gives the program's id. Order of errors as measured on the kernel. An entry replaced in
// a hash chain keeps its place there (the kernel moves it to the front; key order is no promise).
#include "lib/ebpf/maps/devmap.h"

#include <bit>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <new>
#include <utility>

#include "lib/ebpf/maps/index_keys.h"
#include "lib/ebpf/program/program.h"

namespace crema::ebpf::maps {

namespace {

struct DeviceValue {
    std::uint32_t ifindex;
    std::int32_t program;  // fd when written, id when read
};

/// All maps of devices, for when a device goes.
struct Registry {
    std::mutex changes;  // of any slot in any of them
    std::vector<Devmap*> maps;
};

/// Lives to the end of the process: maps may be in objects with static lifetime.
Registry& registry() {
    static auto& all = *new Registry;
    return all;
}

}  // namespace

Result<std::shared_ptr<Map>> Devmap::make(const MapSpec& spec) {
    const std::uint64_t places = spec.type == MapType::devmap_hash
                                     ? std::bit_ceil(std::uint64_t{spec.max_entries})
                                     : spec.max_entries;
    // Programs may look a slot up but never write it: the kernel shows that as a map flag.
    MapSpec shown = spec;
    shown.flags |= kRdonlyProg;
    constexpr std::uint64_t kPlacesMax = 1U << 24U;  // 128 MiB of slots
    if (places > kPlacesMax) {
        return fail(ENOMEM, "map {}: {} device slots, at most {} are served", spec.name,
                    spec.max_entries, kPlacesMax);
    }
    return std::make_shared<Devmap>(shown, static_cast<std::uint32_t>(places));
}

Devmap::Devmap(const MapSpec& spec, std::uint32_t places)
    : Map(spec), places_(places), place_mask_(places - 1) {
    const std::scoped_lock guard(registry().changes);
    registry().maps.push_back(this);
}

Devmap::~Devmap() {
    {
        const std::scoped_lock guard(registry().changes);
        std::erase(registry().maps, this);
    }
    abandon();
}

Map::Holdings Devmap::holdings() const {
    return {.programs = programs_.all(), .maps = {}};
}

void Devmap::abandon() {
    for (auto& place : places_) {
        DevmapEntry* entry = place.exchange(nullptr, std::memory_order_acq_rel);
        while (entry != nullptr) {
            const std::unique_ptr<DevmapEntry> gone(entry);
            entry = gone->next.load(std::memory_order_acquire);
            if (gone->acquired) {
                target_hooks().device_release(gone->target);
            }
        }
    }
    items_ = 0;
    retired_.clear();
}

void Devmap::release(std::unique_ptr<DevmapEntry> entry) {
    if (entry == nullptr) {
        return;
    }
    if (entry->acquired) {
        target_hooks().device_release(entry->target);  // waits until no reader is left
        return;
    }
    retired_.add(std::move(entry));
}

int Devmap::make_entry(std::uint32_t key,
                       std::uint32_t ifindex,
                       int program_fd,
                       std::unique_ptr<DevmapEntry>* out) {
    auto entry = std::make_unique<DevmapEntry>();
    entry->key = key;
    entry->ifindex = ifindex;
    if (program_fd > 0) {
        ProgramRef program = program_by_fd(program_fd);
        if (program.program == nullptr || program.traits.expected_attach_type != kAttachXdpDevmap ||
            !admits(program.traits)) {
            return -EINVAL;
        }
        entry->program_id = program.id;
        entry->program = programs_.share(std::move(program.program));
    }
    if (target_hooks().device_acquire != nullptr) {
        const int rc = target_hooks().device_acquire({ifindex, entry->program}, &entry->target);
        if (rc != 0) {
            return rc;
        }
        entry->acquired = true;
    }
    *out = std::move(entry);
    return 0;
}

std::unique_ptr<DevmapEntry> Devmap::exchange(std::uint32_t key, DevmapEntry* entry) {
    std::atomic<DevmapEntry*>* link = &places_[hashed() ? key & place_mask_ : key];
    DevmapEntry* head = link->load(std::memory_order_relaxed);
    DevmapEntry* old = head;
    while (old != nullptr && old->key != key) {
        link = &old->next;
        old = link->load(std::memory_order_relaxed);
    }
    if (old != nullptr) {
        DevmapEntry* after = old->next.load(std::memory_order_relaxed);
        if (entry != nullptr) {
            entry->next.store(after, std::memory_order_relaxed);
        }
        link->store(entry != nullptr ? entry : after, std::memory_order_release);
    } else if (entry != nullptr) {
        entry->next.store(head, std::memory_order_relaxed);
        places_[hashed() ? key & place_mask_ : key].store(entry, std::memory_order_release);
    }
    return std::unique_ptr<DevmapEntry>(old);
}

int Devmap::do_lookup(const void* key, void* value_out) {
    const DevmapEntry* entry = find(load_index(key));
    if (entry == nullptr) {
        return -ENOENT;
    }
    const DeviceValue value{entry->ifindex, static_cast<std::int32_t>(entry->program_id)};
    std::memcpy(value_out, &value, spec().value_size);
    return 0;
}

int Devmap::do_update(const void* key, const void* value_in, std::uint64_t flags) {
    retired_.prepare();
    std::unique_ptr<DevmapEntry> gone;
    int rc = 0;
    {
        const std::scoped_lock guard(registry().changes);
        rc = change(key, value_in, flags, gone);
    }
    // Behind the lock: its program may be the last that holds another map of devices.
    release(std::move(gone));
    return rc;
}

int Devmap::change(const void* key,
                   const void* value_in,
                   std::uint64_t flags,
                   std::unique_ptr<DevmapEntry>& gone) {
    const std::uint32_t index = load_index(key);
    DeviceValue value{};
    std::memcpy(&value, value_in, spec().value_size);
    if (flags > kExist || (hashed() && value.ifindex == 0)) {
        return -EINVAL;
    }
    const bool occupied = hashed() && find_hashed(index) != nullptr;
    if (!hashed() && index >= spec().max_entries) {
        return -E2BIG;
    }
    if (flags == kNoExist && (occupied || !hashed())) {
        return -EEXIST;
    }
    if (value.ifindex == 0) {
        if (value.program > 0) {
            return -EINVAL;
        }
        gone = exchange(index, nullptr);
        return 0;
    }
    std::unique_ptr<DevmapEntry> entry;
    const int rc = make_entry(index, value.ifindex, value.program, &entry);
    if (rc != 0) {
        return rc;
    }
    if (hashed() && !occupied) {
        if (items_ >= spec().max_entries) {
            gone = std::move(entry);
            return -E2BIG;
        }
        items_++;
    }
    gone = exchange(index, entry.release());
    return 0;
}

int Devmap::do_erase(const void* key) {
    retired_.prepare();
    const std::uint32_t index = load_index(key);
    if (!hashed() && index >= spec().max_entries) {
        return -EINVAL;
    }
    std::unique_ptr<DevmapEntry> old;
    {
        const std::scoped_lock guard(registry().changes);
        old = exchange(index, nullptr);
        if (hashed() && old == nullptr) {
            return -ENOENT;
        }
        items_ -= hashed() ? 1 : 0;
    }
    release(std::move(old));
    return 0;
}

void Devmap::forget(std::uint32_t ifindex, std::vector<std::unique_ptr<DevmapEntry>>& gone) {
    for (auto& place : places_) {
        DevmapEntry* entry = place.load(std::memory_order_relaxed);
        while (entry != nullptr) {
            DevmapEntry* const next = entry->next.load(std::memory_order_relaxed);
            if (entry->ifindex == ifindex) {
                items_ -= hashed() ? 1 : 0;
                gone.push_back(exchange(entry->key, nullptr));
            }
            entry = next;
        }
    }
}

void forget_device(std::uint32_t ifindex) {
    std::vector<std::unique_ptr<DevmapEntry>> gone;
    {
        const std::scoped_lock guard(registry().changes);
        for (Devmap* map : registry().maps) {
            map->forget(ifindex, gone);
        }
    }
    // Behind the lock, as in do_update().
    (void)wait_until_runs_ended();
    for (const auto& entry : gone) {
        if (entry->acquired) {
            target_hooks().device_release(entry->target);
        }
    }
}

int Devmap::do_next_key(const void* key, void* next_out) {
    if (!hashed()) {
        return next_index(key, spec().max_entries, next_out);
    }
    std::size_t place = 0;
    const DevmapEntry* entry = key != nullptr ? find_hashed(load_index(key)) : nullptr;
    if (entry != nullptr) {
        place = (entry->key & place_mask_) + std::size_t{1};
        entry = entry->next.load(std::memory_order_acquire);
    }
    while (entry == nullptr) {
        if (place == places_.size()) {
            return -ENOENT;
        }
        entry = places_[place++].load(std::memory_order_acquire);
    }
    std::memcpy(next_out, &entry->key, sizeof entry->key);
    return 0;
}

}  // namespace crema::ebpf::maps
