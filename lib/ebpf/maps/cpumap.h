// SPDX-License-Identifier: BSD-3-Clause
//
// BPF_MAP_TYPE_CPUMAP: which CPU continues with a redirected frame. The key is the kernel's CPU
// number, the value the length of its queue and, optionally, a second program that runs there.
// Slots work as those of devmap.h: immutable entries, one acquire load to read.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "lib/ebpf/maps/index_keys.h"
#include "lib/ebpf/maps/reclaim.h"
#include "lib/ebpf/maps/slot_programs.h"
#include "lib/ebpf/maps/target_hooks.h"

namespace crema::ebpf::maps {

struct CpumapEntry {
    std::uint32_t queue_size = 0;  // frames
    std::uint32_t program_id = 0;  // 0: no program
    void* target = nullptr;        // what TargetHooks::cpu_acquire gave
    bool acquired = false;
    std::shared_ptr<const LoadedProgram> program;  // may be null
};

class Cpumap final : public IndexedMap {
  public:
    /// spec: checked by create().
    [[nodiscard]] static Result<std::shared_ptr<Map>> make(const MapSpec& spec);

    explicit Cpumap(const MapSpec& spec);
    Cpumap(const Cpumap&) = delete;
    Cpumap& operator=(const Cpumap&) = delete;
    ~Cpumap() override;

    /// The entry of a CPU or null. Any thread, inside a burst.
    [[nodiscard]] const CpumapEntry* find(std::uint32_t cpu) const {
        return cpu < spec().max_entries ? places_[cpu].load(std::memory_order_acquire) : nullptr;
    }

    [[nodiscard]] Holdings holdings() const override;
    void abandon() override;

  private:
    [[nodiscard]] int do_lookup(const void* key, void* value_out) override;
    [[nodiscard]] int do_update(const void* key, const void* value, std::uint64_t flags) override;
    [[nodiscard]] int do_erase(const void* key) override;

    void replace(std::uint32_t cpu, CpumapEntry* entry);

    std::vector<std::atomic<CpumapEntry*>> places_;
    SlotPrograms programs_;
    Retired retired_;
};

}  // namespace crema::ebpf::maps
