// SPDX-License-Identifier: BSD-3-Clause
//
// What slots no longer show, linked through the entries themselves, so that giving up needs no
// memory: also a descriptor that is closed comes here. T has `mutable const T* next_gone`.
// reclaim.h says when an entry may go. Threads: control threads.
#pragma once

#include <mutex>
#include <utility>

#include "lib/ebpf/maps/reclaim.h"

namespace crema::ebpf::maps {

template <typename T>
class RetiredList {
  public:
    /// Entries that were taken out of their slots together.
    class Batch {
      public:
        void add(const T* entry) {
            entry->next_gone = first_;
            first_ = entry;
            last_ = last_ == nullptr ? entry : last_;
        }

      private:
        friend RetiredList;
        const T* first_ = nullptr;
        const T* last_ = nullptr;
    };

    RetiredList() = default;
    RetiredList(const RetiredList&) = delete;
    RetiredList& operator=(const RetiredList&) = delete;

    /// With the map: no program that uses it is left.
    ~RetiredList() { delete_from(gone_); }

    /// Deletes the entries once no run can see them, after one wait for all; where nobody can tell,
    /// with this list.
    void retire(const Batch& batch) {
        if (batch.first_ == nullptr) {
            return;
        }
        if (wait_until_runs_ended()) {
            delete_from(batch.first_);
            return;
        }
        const std::lock_guard lock(mutex_);
        batch.last_->next_gone = std::exchange(gone_, batch.first_);
    }

    void retire(const T* entry) {
        Batch batch;
        batch.add(entry);
        retire(batch);
    }

  private:
    static void delete_from(const T* entry) {
        while (entry != nullptr) {
            delete std::exchange(entry, entry->next_gone);
        }
    }

    std::mutex mutex_;
    const T* gone_ = nullptr;
};

}  // namespace crema::ebpf::maps
