// SPDX-License-Identifier: BSD-3-Clause
//
// BPF_MAP_TYPE_HASH and LRU_HASH: values inside the elements of hash_core.h. A write to a key that
// is there publishes another element: who holds the old value's address keeps reading the old value
// until the element is reused, as in the kernel.
#pragma once

#include <memory>

#include "lib/ebpf/maps/hashed_map.h"

namespace crema::ebpf::maps {

class HashMap final : public HashedMap {
  public:
    /// spec: checked by create().
    [[nodiscard]] static Result<std::shared_ptr<Map>> make(const MapSpec& spec);

    HashMap(const MapSpec& spec, std::unique_ptr<HashCore> core);
    HashMap(const HashMap&) = delete;
    HashMap& operator=(const HashMap&) = delete;
    ~HashMap() override;

    /// Program side, any thread. Null when there is no such key.
    [[nodiscard]] std::uint8_t* value(const void* key) const {
        const std::uint32_t element = core().find_and_mark(key);
        return element != 0 ? core().cells().value(element) : nullptr;
    }

    /// Program side; cpu: that of the run. 0 or the kernel's negative errno. Piece: 32, 16 or 8
    /// bits, as of KeyInMemory.
    template <typename Piece = std::uint32_t>
    [[nodiscard]] int put(std::uint32_t cpu,
                          const void* key,
                          const void* value,
                          std::uint64_t flags) const;

    [[nodiscard]] std::uint64_t element_count() const override {
        return std::uint64_t{core().cells().last()} + 1;
    }

    [[nodiscard]] ElementPlace element_place(std::uint32_t element) const override {
        return {.key = core().cells().key(element), .value = core().cells().value(element)};
    }

    [[nodiscard]] std::uint32_t element_of(const std::uint8_t* value) const override {
        return core().cells().element_of(value);
    }

    [[nodiscard]] bool read_bucket(std::uint32_t at,
                                   std::uint32_t count_max,
                                   bool remove,
                                   Bucket& out) override;

  private:
    [[nodiscard]] int do_lookup(const void* key, void* value_out) override;
    [[nodiscard]] int do_update(const void* key, const void* value, std::uint64_t flags) override;
    [[nodiscard]] int do_take(const void* key, void* value_out) override;
    [[nodiscard]] std::uint8_t* lockable_value(const void* key) override;

    [[nodiscard]] int put_locked(const void* key, const void* value, std::uint64_t flags) const;
    /// An element leaves the table.
    static void lose(void* self, std::uint32_t element);
    void write_new(std::uint32_t element, const void* value) const;
    void read(std::uint32_t element, void* value_out) const;
};

}  // namespace crema::ebpf::maps
