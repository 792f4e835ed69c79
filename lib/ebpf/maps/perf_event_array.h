// SPDX-License-Identifier: BSD-3-Clause
//
// BPF_MAP_TYPE_PERF_EVENT_ARRAY: the perf event that takes what programs output, by index, which is
// a CPU number by convention. A slot points to an immutable entry; an update publishes another and
// gives the old one up when no run can see it any more (reclaim.h).
//
// An entry goes when the descriptor goes through which it was put in, whoever else has the map, but
// for maps with kPreserveElements. Only events of this process fit (perf_event.h): the kernel's own
// cannot carry what programs write here.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "lib/ebpf/maps/index_keys.h"
#include "lib/ebpf/maps/perf_event.h"
#include "lib/ebpf/maps/retired_list.h"

namespace crema::ebpf::maps {

class PerfEventArray final : public IndexedMap {
  public:
    /// spec: checked by create().
    [[nodiscard]] static Result<std::shared_ptr<Map>> make(const MapSpec& spec);

    explicit PerfEventArray(const MapSpec& spec);
    PerfEventArray(const PerfEventArray&) = delete;
    PerfEventArray& operator=(const PerfEventArray&) = delete;
    ~PerfEventArray() override;

    /// Program side, any thread: the event in slot `index`, null when empty or out of range. Valid
    /// until the run ends.
    [[nodiscard]] PerfEvent* event(std::uint32_t index) const {
        const Entry* const entry =
            index < slots_.size() ? slots_[index].load(std::memory_order_acquire) : nullptr;
        return entry != nullptr ? entry->event.get() : nullptr;
    }

    /// Puts an event into a slot without a descriptor of it. 0, -E2BIG or -EOPNOTSUPP: such an
    /// event cannot be in a map. The entry goes with `user`; null: it stays until it is replaced.
    /// Control threads.
    [[nodiscard]] int put(std::uint32_t index, std::shared_ptr<PerfEvent> event, UserId user);

    /// Empties the slots that `user` has filled.
    void remove_all_of(UserId user);

  private:
    struct Entry {
        std::shared_ptr<PerfEvent> event;
        UserId user;                               // whose descriptor the update came by
        mutable const Entry* next_gone = nullptr;  // in a list of what no slot shows any more
    };

    [[nodiscard]] int do_update(const void* key, const void* value, std::uint64_t flags) override;
    [[nodiscard]] int do_update_by(UserId user,
                                   const void* key,
                                   const void* value,
                                   std::uint64_t flags) override;
    [[nodiscard]] int do_erase(const void* key) override;
    void user_gone(UserId user) override;

    /// Null: the slot becomes empty. Returns whether it held something.
    bool replace(std::uint32_t index, const Entry* entry);

    std::vector<std::atomic<const Entry*>> slots_;
    std::mutex mutex_;  // changes of slots: a user may go while another one updates
    RetiredList<Entry> retired_;
};

}  // namespace crema::ebpf::maps
