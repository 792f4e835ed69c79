// SPDX-License-Identifier: BSD-3-Clause
//
// BPF_MAP_TYPE_ARRAY_OF_MAPS and HASH_OF_MAPS: values are other maps, all alike (the template given
// at creation says how). User space writes descriptors and reads ids, a program's lookup gives the
// inner map itself. Programs cannot write these maps.
//
// A slot is one pointer that programs load; the map that an update takes out of it is given up
// when no run can use it any more (reclaim.h).
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "lib/ebpf/maps/hashed_map.h"
#include "lib/ebpf/maps/index_keys.h"
#include "lib/ebpf/maps/reclaim.h"

namespace crema::ebpf::maps {

/// 0, or the kernel's negative errno for a map that cannot be inside another: -EINVAL a map of
/// maps, -524 a type that does not support it.
[[nodiscard]] int check_inner_template(const MapSpec& inner);

/// Whether a map fits a template.
[[nodiscard]] bool fits_template(const MapSpec& inner, const MapSpec& form);

class ArrayOfMaps final : public IndexedMap {
  public:
    /// spec: checked by create().
    [[nodiscard]] static Result<std::shared_ptr<Map>> make(const MapSpec& spec);

    explicit ArrayOfMaps(const MapSpec& spec);

    /// Program side, any thread. Null when the slot is empty or out of range. Valid until the run
    /// ends.
    [[nodiscard]] Map* inner(std::uint32_t index) const {
        return index < slots_.size() ? slots_[index].load(std::memory_order_acquire) : nullptr;
    }

    [[nodiscard]] BatchSupport batch_support() const override {
        return {.lookup = true, .update = true};
    }

    [[nodiscard]] Holdings holdings() const override;

  private:
    [[nodiscard]] int do_lookup(const void* key, void* value_out) override;
    [[nodiscard]] int do_update(const void* key, const void* value, std::uint64_t flags) override;
    [[nodiscard]] int do_erase(const void* key) override;

    void replace(std::uint32_t index, std::shared_ptr<Map> inner);

    std::vector<std::atomic<Map*>> slots_;
    std::vector<std::shared_ptr<Map>> owned_;  // control threads
    Retired retired_;
};

class HashOfMaps final : public HashedMap {
  public:
    /// spec: checked by create().
    [[nodiscard]] static Result<std::shared_ptr<Map>> make(const MapSpec& spec);

    using HashedMap::HashedMap;

    /// Program side, any thread. Null when there is no such key. Valid until the run ends.
    [[nodiscard]] Map* inner(const void* key) const {
        const std::uint32_t element = core().find(key);
        return element != 0 ? inner_of(element).load(std::memory_order_acquire) : nullptr;
    }

    [[nodiscard]] bool read_bucket(std::uint32_t at,
                                   std::uint32_t count_max,
                                   bool remove,
                                   Bucket& out) override;

    [[nodiscard]] Holdings holdings() const override;

  private:
    [[nodiscard]] int do_lookup(const void* key, void* value_out) override;
    [[nodiscard]] int do_update(const void* key, const void* value, std::uint64_t flags) override;
    [[nodiscard]] int do_erase(const void* key) override;

    [[nodiscard]] std::atomic<Map*>& inner_of(std::uint32_t element) const {
        return *reinterpret_cast<std::atomic<Map*>*>(core().cells().value(element));
    }

    std::vector<std::shared_ptr<Map>> owned_;  // by element; control threads
    Retired retired_;
};

}  // namespace crema::ebpf::maps
