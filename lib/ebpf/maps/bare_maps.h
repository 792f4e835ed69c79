// SPDX-License-Identifier: BSD-3-Clause
//
// Map types of which an object may have one although nothing here fills it, so that the object
// loads and its programs see what they see in a kernel where nobody has filled it either:
//
// - PERF_EVENT_ARRAY: slots for perf events. Events are the kernel's and cannot carry what programs
//   of this process write: an update with one is refused (EOPNOTSUPP), so every slot is empty and
//   bpf_perf_event_output gives ENOENT.
// - STACK_TRACE: call stacks; an XDP program has no helper for it.
// - USER_RINGBUF: samples from user space; its draining is not served.
#pragma once

#include "lib/ebpf/maps/index_keys.h"

namespace crema::ebpf::maps {

class PerfEventArray final : public IndexedMap {
  public:
    /// spec: checked by create().
    [[nodiscard]] static Result<std::shared_ptr<Map>> make(const MapSpec& spec);

    using IndexedMap::IndexedMap;

  private:
    [[nodiscard]] int do_update(const void* key, const void* value, std::uint64_t flags) override;
    [[nodiscard]] int do_erase(const void* key) override;
};

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

class UserRingBuffer final : public Map {
  public:
    /// spec: checked by create().
    [[nodiscard]] static Result<std::shared_ptr<Map>> make(const MapSpec& spec);

    using Map::Map;
};

}  // namespace crema::ebpf::maps
