// SPDX-License-Identifier: BSD-3-Clause
//
// BPF_MAP_TYPE_PERCPU_HASH and LRU_PERCPU_HASH: keys in the elements of hash_core.h, values in one
// array per possible CPU, indexed by element; the arrays of two CPUs share no pair of cache lines.
// A program sees the value of the CPU it runs on. Its write to a new key makes the other CPUs'
// values zero, one to a key that is there leaves them alone.
#pragma once

#include <memory>

#include "lib/ebpf/maps/hashed_map.h"
#include "lib/ebpf/maps/memory.h"

namespace crema::ebpf::maps {

class PercpuHashMap final : public HashedMap {
  public:
    /// spec: checked by create().
    [[nodiscard]] static Result<std::shared_ptr<Map>> make(const MapSpec& spec);

    PercpuHashMap(const MapSpec& spec, std::unique_ptr<HashCore> core, Memory values);

    /// Program side, any thread; cpu: a possible one. Null when there is no such key.
    [[nodiscard]] std::uint8_t* value(std::uint32_t cpu, const void* key) const {
        const std::uint32_t element = core().find_and_mark(key);
        return element != 0 ? value_at(cpu, element) : nullptr;
    }

    template <typename Key>
    [[nodiscard]] std::uint8_t* value_of(std::uint32_t cpu, const Key& key) const {
        const std::uint32_t element = core().find_key_and_mark(key);
        return element != 0 ? value_at(cpu, element) : nullptr;
    }

    [[nodiscard]] std::uint8_t* value_at(std::uint32_t cpu, std::uint32_t element) const {
        return values_.data() + cpu * percpu_stride_ + std::uint64_t{element} * stride_;
    }

    /// Program side; cpu: that of the run. 0 or the kernel's negative errno. Piece: 32, 16 or 8
    /// bits, as of KeyInMemory.
    template <typename Piece = std::uint32_t>
    [[nodiscard]] int put(std::uint32_t cpu,
                          const void* key,
                          const void* value,
                          std::uint64_t flags) const;

    [[nodiscard]] bool read_bucket(std::uint32_t at,
                                   std::uint32_t count_max,
                                   bool remove,
                                   Bucket& out) override;

    [[nodiscard]] std::uint32_t user_value_bytes() const override {
        return stride_ * possible_cpus();
    }

  private:
    [[nodiscard]] int do_lookup(const void* key, void* value_out) override;
    [[nodiscard]] int do_update(const void* key, const void* value, std::uint64_t flags) override;
    [[nodiscard]] int do_take(const void* key, void* value_out) override;

    void read(std::uint32_t element, void* value_out) const;

    Memory values_;
    std::uint32_t stride_;
    std::uint64_t percpu_stride_;
};

}  // namespace crema::ebpf::maps
