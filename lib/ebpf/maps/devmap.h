// SPDX-License-Identifier: BSD-3-Clause
//
// BPF_MAP_TYPE_DEVMAP and DEVMAP_HASH: which device a redirected frame goes to. A slot points to
// an immutable entry; an update publishes a new entry and releases the old one when no running
// program can see it any more, so readers take one acquire load and no lock.
//
// One structure for both types: places_ is a table of chains. DEVMAP has one place per key and
// chains of one; DEVMAP_HASH picks the place by the low bits of the key, as the kernel does.
// Threads: readers any, between the Reader::enter and leave of a burst; updates, and devices that
// go, one at a time.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "lib/ebpf/maps/map.h"
#include "lib/ebpf/maps/reclaim.h"
#include "lib/ebpf/maps/slot_programs.h"
#include "lib/ebpf/maps/target_hooks.h"

namespace crema::ebpf::maps {

struct DevmapEntry {
    // The first 8 bytes are the value as programs and user space read it.
    std::uint32_t ifindex = 0;
    std::uint32_t program_id = 0;  // 0: no program
    void* target = nullptr;        // what TargetHooks::device_acquire gave
    std::uint32_t key = 0;
    bool acquired = false;  // target is to be released
    std::atomic<DevmapEntry*> next{nullptr};
    std::shared_ptr<const LoadedProgram> program;  // may be null
};

class Devmap final : public Map {
  public:
    /// spec: checked by create().
    [[nodiscard]] static Result<std::shared_ptr<Map>> make(const MapSpec& spec);

    Devmap(const MapSpec& spec, std::uint32_t places);
    Devmap(const Devmap&) = delete;
    Devmap& operator=(const Devmap&) = delete;
    ~Devmap() override;

    /// The entry of a key or null. For type devmap only.
    [[nodiscard]] const DevmapEntry* find_direct(std::uint32_t key) const {
        return key < spec().max_entries ? places_[key].load(std::memory_order_acquire) : nullptr;
    }

    /// The entry of a key or null. For type devmap_hash only.
    [[nodiscard]] const DevmapEntry* find_hashed(std::uint32_t key) const {
        const DevmapEntry* entry = places_[key & place_mask_].load(std::memory_order_acquire);
        while (entry != nullptr && entry->key != key) {
            entry = entry->next.load(std::memory_order_acquire);
        }
        return entry;
    }

    /// Calls visit(const DevmapEntry&) for each occupied slot, for BROADCAST.
    template <typename Visit>
    void for_each(Visit&& visit) const {
        for (const auto& place : places_) {
            const DevmapEntry* entry = place.load(std::memory_order_acquire);
            while (entry != nullptr) {
                visit(*entry);
                entry = entry->next.load(std::memory_order_acquire);
            }
        }
    }

    [[nodiscard]] Holdings holdings() const override;
    void abandon() override;

    /// Empties the slots that lead to `ifindex`; runs may still see what was in them. Under the
    /// lock of all changes.
    void forget(std::uint32_t ifindex, std::vector<std::unique_ptr<DevmapEntry>>& gone);

  private:
    [[nodiscard]] int do_lookup(const void* key, void* value_out) override;
    [[nodiscard]] int do_update(const void* key, const void* value, std::uint64_t flags) override;
    [[nodiscard]] int do_erase(const void* key) override;
    [[nodiscard]] int do_next_key(const void* key, void* next_out) override;

    [[nodiscard]] bool hashed() const { return spec().type == MapType::devmap_hash; }

    [[nodiscard]] const DevmapEntry* find(std::uint32_t key) const {
        return hashed() ? find_hashed(key) : find_direct(key);
    }

    /// do_update() under the lock; gone: what is to be released behind it.
    [[nodiscard]] int change(const void* key,
                             const void* value,
                             std::uint64_t flags,
                             std::unique_ptr<DevmapEntry>& gone);
    /// Makes an entry and acquires its target. -EINVAL: bad device or program.
    [[nodiscard]] int make_entry(std::uint32_t key,
                                 std::uint32_t ifindex,
                                 int program_fd,
                                 std::unique_ptr<DevmapEntry>* out);
    /// Puts `entry` (null: nothing) where the entry of `key` is; returns what was there.
    [[nodiscard]] std::unique_ptr<DevmapEntry> exchange(std::uint32_t key, DevmapEntry* entry);
    void release(std::unique_ptr<DevmapEntry> entry);

    std::vector<std::atomic<DevmapEntry*>> places_;
    std::uint32_t place_mask_;
    std::uint32_t items_ = 0;  // devmap_hash only
    SlotPrograms programs_;
    Retired retired_;
};

/// The device has gone: no slot of any map leads there any more, as in the kernel. Waits until no
/// run can see them. Control threads.
void forget_device(std::uint32_t ifindex);

}  // namespace crema::ebpf::maps
