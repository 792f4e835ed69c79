// SPDX-License-Identifier: BSD-3-Clause
//
// BPF_MAP_TYPE_QUEUE and STACK: values without keys, in a ring of max_entries places; a queue takes
// from its tail what was pushed first, a stack from its head what was pushed last. Programs and
// bpf(2) push, pop and peek under one lock, as in the kernel: each step is a copy of one value.
#pragma once

#include "lib/ebpf/maps/map.h"
#include "lib/ebpf/maps/memory.h"

namespace crema::ebpf::maps {

class QueueStack final : public Map {
  public:
    /// spec: checked by create().
    [[nodiscard]] static Result<std::shared_ptr<Map>> make(const MapSpec& spec);

    QueueStack(const MapSpec& spec, Memory memory, std::uint32_t stride);

    /// Program side, any thread. 0 or the kernel's negative errno; pop and peek of an empty map
    /// clear the value. flags: kAny or kExist (when full, the oldest makes room; queue and stack).
    [[nodiscard]] int push(const void* value, std::uint64_t flags);
    [[nodiscard]] int pop(void* value_out);
    [[nodiscard]] int peek(void* value_out);

  private:
    [[nodiscard]] int do_lookup(const void* key, void* value_out) override;
    [[nodiscard]] int do_update(const void* key, const void* value, std::uint64_t flags) override;
    [[nodiscard]] int do_erase(const void* key) override;
    [[nodiscard]] int do_next_key(const void* key, void* next_out) override;
    [[nodiscard]] int do_take(const void* key, void* value_out) override;

    [[nodiscard]] int read_next(void* value_out, bool remove);

    [[nodiscard]] std::uint8_t* place(std::uint64_t position) const {
        return memory_.data() + (position % spec().max_entries) * stride_;
    }

    Memory memory_;
    std::uint32_t stride_;
    alignas(64) std::uint32_t locked_ = 0;  // HeldLock
    // Under the lock. Positions grow without end; [tail_, head_) is in the map.
    std::uint64_t head_ = 0;
    std::uint64_t tail_ = 0;
};

}  // namespace crema::ebpf::maps
