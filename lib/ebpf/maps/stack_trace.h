// SPDX-License-Identifier: BSD-3-Clause
//
// BPF_MAP_TYPE_STACK_TRACE: call stacks. An object may have one, so that it loads; an XDP program
// has no helper that fills it, and so it is empty, as in the kernel.
#pragma once

#include "lib/ebpf/maps/index_keys.h"

namespace crema::ebpf::maps {

class StackTrace final : public Map {
  public:
    /// spec: checked by create().
    [[nodiscard]] static Result<std::shared_ptr<Map>> make(const MapSpec& spec);

    using Map::Map;

  private:
    [[nodiscard]] int do_lookup(const void* key, void* value_out) override;
    [[nodiscard]] int do_update(const void* key, const void* value, std::uint64_t flags) override;
    [[nodiscard]] int do_erase(const void* key) override;
    [[nodiscard]] int do_next_key(const void* key, void* next_out) override;
};

}  // namespace crema::ebpf::maps
