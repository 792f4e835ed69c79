// SPDX-License-Identifier: BSD-3-Clause
//
// BPF_MAP_TYPE_PROG_ARRAY: where tail calls go. A slot points to an immutable target; an update
// publishes a new one and gives the old one up when no run can see it any more (reclaim.h), so a
// tail call is one acquire load. What a tail call means (33 at most, same frame, the first function
// of the target) is the business of who compiles the call.
//
// Programs in the array may refer to the array: that circle ends when the last user of the map goes
// (Map::drop_user), which empties it, as in the kernel.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "lib/ebpf/abi/xdp_buff.h"
#include "lib/ebpf/maps/index_keys.h"
#include "lib/ebpf/maps/retired_list.h"

namespace crema::ebpf {
struct LoadedProgram;
}

namespace crema::ebpf::maps {

/// entry and self first: compiled code calls entry(&buff, self).
struct TailTarget {
    EntryPoint entry = nullptr;
    const void* self = nullptr;
    std::uint32_t program_id = 0;
    std::shared_ptr<const LoadedProgram> program;
    mutable const TailTarget* next_gone = nullptr;  // in a list of what no slot shows any more
};

class ProgArray final : public IndexedMap {
  public:
    /// spec: checked by create().
    [[nodiscard]] static Result<std::shared_ptr<Map>> make(const MapSpec& spec);

    explicit ProgArray(const MapSpec& spec);
    ProgArray(const ProgArray&) = delete;
    ProgArray& operator=(const ProgArray&) = delete;
    ~ProgArray() override;

    /// Program side, any thread: the target of slot `index`, null when empty or out of range. Valid
    /// until the run ends.
    [[nodiscard]] const TailTarget* target(std::uint32_t index) const {
        return index < slots_.size() ? slots_[index].load(std::memory_order_acquire) : nullptr;
    }

    /// The slots side by side, spec().max_entries of them, for code that reads them itself.
    [[nodiscard]] const std::atomic<const TailTarget*>* slots() const { return slots_.data(); }

  private:
    [[nodiscard]] int do_lookup(const void* key, void* value_out) override;
    [[nodiscard]] int do_update(const void* key, const void* value, std::uint64_t flags) override;
    [[nodiscard]] int do_erase(const void* key) override;
    void users_gone() override;

    /// Null: the slot becomes empty. Returns whether it held something.
    bool replace(std::uint32_t index, std::unique_ptr<const TailTarget> target);

    std::vector<std::atomic<const TailTarget*>> slots_;
    RetiredList<TailTarget> retired_;
};

}  // namespace crema::ebpf::maps
