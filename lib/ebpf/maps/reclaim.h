// SPDX-License-Identifier: BSD-3-Clause
//
// When may what a slot pointed to go? Programs read slots (tail-call targets, inner maps,
// devices) without a lock, so an old target is given up only after every run that may have
// seen it has ended. Who runs programs knows when that is: lib/xdp installs its wait here. Without
// it (a bare process) nothing that was published is given up before its map.
//
// Hash elements need none of this: their memory is type stable and recycled in place (elements.h).
#pragma once

#include <memory>
#include <mutex>
#include <vector>

namespace crema::ebpf::maps {

/// Returns when every run that was on its way has ended. Control threads only.
using WaitForRuns = void (*)();
void set_wait_for_runs(WaitForRuns wait);

/// What slots no longer show. Control threads.
class Retired {
  public:
    /// Gives `object` up once no run can see it. Waits.
    void add(std::shared_ptr<const void> object);

  private:
    std::mutex mutex_;
    std::vector<std::shared_ptr<const void>> kept_;  // while nobody can tell when runs end
};

}  // namespace crema::ebpf::maps
