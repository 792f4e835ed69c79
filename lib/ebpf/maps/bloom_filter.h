// SPDX-License-Identifier: BSD-3-Clause
//
// BPF_MAP_TYPE_BLOOM_FILTER: a set of values that can say "certainly not" and "maybe". A bit array
// of a power of two, sized as the kernel's for max_entries and the number of hash functions
// (map_extra, 5 when 0); the functions are steps from one 64-bit hash by another. Bits are only
// ever set, atomically: no lock on either side.
#pragma once

#include "lib/ebpf/maps/key_hash.h"
#include "lib/ebpf/maps/map.h"
#include "lib/ebpf/maps/memory.h"

namespace crema::ebpf::maps {

class BloomFilter final : public Map {
  public:
    /// spec: checked by create().
    [[nodiscard]] static Result<std::shared_ptr<Map>> make(const MapSpec& spec);

    BloomFilter(const MapSpec& spec, Memory memory, std::uint64_t bits);

    /// Program side, any thread. flags: kAny.
    [[nodiscard]] int push(const void* value, std::uint64_t flags) const;
    /// 0: maybe in the set. -ENOENT: not.
    [[nodiscard]] int peek(const void* value) const;

    /// A lookup reads the value it is asked for instead of writing one.
    [[nodiscard]] bool lookup_takes_value() const override { return true; }

  private:
    [[nodiscard]] int do_lookup(const void* key, void* value_out) override;
    [[nodiscard]] int do_update(const void* key, const void* value, std::uint64_t flags) override;
    [[nodiscard]] int do_erase(const void* key) override;
    [[nodiscard]] int do_next_key(const void* key, void* next_out) override;

    /// Calls visit(word, mask) for each hash function until it returns false.
    template <typename Visit>
    bool each_bit(const void* value, Visit&& visit) const;

    Memory memory_;
    std::uint64_t mask_;
    std::uint32_t functions_;
    HashSecret secret_;
};

}  // namespace crema::ebpf::maps
