// SPDX-License-Identifier: BSD-3-Clause
//
// BPF_MAP_TYPE_ARRAY: values side by side, zero at first, never deleted. Programs reach them by
// address (lowering inlines the lookup); one with kMmapable and without special fields is shared
// memory that a skeleton maps.
#pragma once

#include "lib/ebpf/maps/index_keys.h"
#include "lib/ebpf/maps/memory.h"

namespace crema::ebpf::maps {

class ArrayMap final : public IndexedMap {
  public:
    /// spec: checked by create().
    [[nodiscard]] static Result<std::shared_ptr<Map>> make(const MapSpec& spec);

    ArrayMap(const MapSpec& spec, Memory memory);
    ArrayMap(const ArrayMap&) = delete;
    ArrayMap& operator=(const ArrayMap&) = delete;
    ~ArrayMap() override;

    /// Null when index is out of range. Program side, any thread.
    [[nodiscard]] std::uint8_t* value(std::uint32_t index) const {
        return index < spec().max_entries ? memory_.data() + std::uint64_t{index} * stride_
                                          : nullptr;
    }

    /// Program side, any thread. 0 or the kernel's negative errno.
    [[nodiscard]] int put(std::uint32_t index, const void* value, std::uint64_t flags) const;

    [[nodiscard]] ValueLayout layout() const override {
        return {.base = memory_.data(), .stride = stride_, .percpu_stride = 0};
    }

    [[nodiscard]] int memory_fd() const override { return memory_.fd(); }

    [[nodiscard]] std::uint64_t element_count() const override { return spec().max_entries; }

    [[nodiscard]] ElementPlace element_place(std::uint32_t element) const override {
        return {.key = nullptr, .value = value(element)};
    }

    [[nodiscard]] std::uint32_t element_of(const std::uint8_t* value) const override {
        return static_cast<std::uint32_t>(static_cast<std::uint64_t>(value - memory_.data()) /
                                          stride_);
    }

    [[nodiscard]] BatchSupport batch_support() const override {
        return {.lookup = true, .update = true};
    }

  private:
    [[nodiscard]] int do_lookup(const void* key, void* value_out) override;
    [[nodiscard]] int do_update(const void* key, const void* value, std::uint64_t flags) override;
    [[nodiscard]] int do_erase(const void* key) override;
    [[nodiscard]] std::uint8_t* lockable_value(const void* key) override;

    Memory memory_;
    std::uint32_t stride_;
};

}  // namespace crema::ebpf::maps
