// SPDX-License-Identifier: BSD-3-Clause
//
// BPF_MAP_TYPE_PERCPU_ARRAY: one array per possible CPU. A program sees the array of the CPU it
// runs on; user space sees all of them. The arrays of two CPUs never share a cache line, nor a
// pair of adjacent lines (the prefetcher fetches pairs).
#pragma once

#include "lib/ebpf/maps/index_keys.h"
#include "lib/ebpf/maps/memory.h"

namespace crema::ebpf::maps {

class PercpuArrayMap final : public IndexedMap {
  public:
    /// spec: checked by create().
    [[nodiscard]] static Result<std::shared_ptr<Map>> make(const MapSpec& spec);

    PercpuArrayMap(const MapSpec& spec, Memory memory);

    /// Null when index is out of range. cpu: a possible one. Program side, any thread.
    [[nodiscard]] std::uint8_t* value(std::uint32_t cpu, std::uint32_t index) const {
        return index < spec().max_entries
                   ? memory_.data() + cpu * percpu_stride_ + std::uint64_t{index} * stride_
                   : nullptr;
    }

    /// Program side, the value of one CPU. 0 or the kernel's negative errno.
    [[nodiscard]] int put(std::uint32_t cpu,
                          std::uint32_t index,
                          const void* value,
                          std::uint64_t flags) const;

    [[nodiscard]] BatchSupport batch_support() const override {
        return {.lookup = true, .update = true};
    }

    [[nodiscard]] ValueLayout layout() const override {
        return {.base = memory_.data(), .stride = stride_, .percpu_stride = percpu_stride_};
    }

    [[nodiscard]] std::uint32_t user_value_bytes() const override {
        return stride_ * possible_cpus();
    }

  private:
    [[nodiscard]] int check_write(std::uint32_t index, std::uint64_t flags) const;
    [[nodiscard]] int do_lookup(const void* key, void* value_out) override;
    [[nodiscard]] int do_update(const void* key, const void* value, std::uint64_t flags) override;
    [[nodiscard]] int do_erase(const void* key) override;

    Memory memory_;
    std::uint32_t stride_;
    std::uint64_t percpu_stride_;
};

}  // namespace crema::ebpf::maps
