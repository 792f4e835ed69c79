// SPDX-License-Identifier: BSD-3-Clause
//
// BPF_MAP_TYPE_XSKMAP: which AF_XDP socket takes a redirected frame. Sockets of the kernel cannot
// take frames of this process, so no slot is ever filled: an update says what the kernel says to
// a descriptor that is no socket, programs find every slot empty.
#pragma once

#include "lib/ebpf/maps/index_keys.h"

namespace crema::ebpf::maps {

class Xskmap final : public IndexedMap {
  public:
    /// spec: checked by create().
    [[nodiscard]] static Result<std::shared_ptr<Map>> make(const MapSpec& spec);

    using IndexedMap::IndexedMap;

  private:
    [[nodiscard]] int do_lookup(const void* key, void* value_out) override;
    [[nodiscard]] int do_update(const void* key, const void* value, std::uint64_t flags) override;
    [[nodiscard]] int do_erase(const void* key) override;
};

}  // namespace crema::ebpf::maps
