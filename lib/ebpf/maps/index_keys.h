// SPDX-License-Identifier: BSD-3-Clause
//
// Maps whose keys are 0..max_entries-1: reading a key and stepping to the next one.
#pragma once

#include <cerrno>
#include <cstdint>
#include <cstring>

#include "lib/ebpf/maps/map.h"

namespace crema::ebpf::maps {

[[nodiscard]] inline std::uint32_t load_index(const void* key) {
    std::uint32_t index = 0;
    std::memcpy(&index, key, sizeof index);
    return index;
}

/// As the kernel: no key or one beyond the end starts over, the last one has no successor.
[[nodiscard]] inline int next_index(const void* key, std::uint32_t entries, void* next_out) {
    std::uint32_t next = 0;
    if (key != nullptr && load_index(key) < entries) {
        next = load_index(key) + 1;
        if (next == entries) {
            return -ENOENT;
        }
    }
    std::memcpy(next_out, &next, sizeof next);
    return 0;
}

/// A map all of whose keys are 0..max_entries-1, whatever its slots hold.
class IndexedMap : public Map {
  public:
    using Map::Map;

  private:
    [[nodiscard]] int do_next_key(const void* key, void* next_out) final {
        return next_index(key, spec().max_entries, next_out);
    }
};

}  // namespace crema::ebpf::maps
