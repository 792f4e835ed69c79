// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/maps/reclaim.h"

#include <utility>

namespace crema::ebpf::maps {

namespace {

// A function-local static: another room's constructor may install before this file's globals.
WaitForRuns& installed_wait() {
    static WaitForRuns wait = nullptr;
    return wait;
}

}  // namespace

void set_wait_for_runs(WaitForRuns wait) {
    installed_wait() = wait;
}

void Retired::add(std::shared_ptr<const void> object) {
    if (object == nullptr) {
        return;
    }
    if (installed_wait() == nullptr) {
        const std::lock_guard lock(mutex_);
        kept_.push_back(std::move(object));
        return;
    }
    installed_wait()();
}

}  // namespace crema::ebpf::maps
