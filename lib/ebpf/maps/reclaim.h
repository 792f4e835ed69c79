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

/// Waits for them. False, at once: nobody can tell.
[[nodiscard]] bool wait_until_runs_ended();

/// Marks runs of programs outside of any burst (timers), so that they are waited for, too. One
/// thread enters and leaves a place that it has made; the place goes with the thread.
struct RunMarks {
    void* (*make)() = nullptr;
    void (*end)(void* place) = nullptr;
    void (*enter)(void* place) = nullptr;
    void (*leave)(void* place) = nullptr;
};

void set_run_marks(const RunMarks& marks);

/// A run on the calling thread, as long as it lives. Nothing without anybody who waits.
class RunMark {
  public:
    RunMark();
    ~RunMark();
    RunMark(const RunMark&) = delete;
    RunMark& operator=(const RunMark&) = delete;

  private:
    class Place;

    const Place* place_ = nullptr;
};

/// What slots no longer show. Control threads.
class Retired {
  public:
    /// Makes room for one more object, so that add() needs no memory. For before something new is
    /// published: afterwards it is too late to fail.
    void prepare();

    /// Gives `object` up once no run can see it. Waits.
    void add(std::shared_ptr<const void> object);

    template <typename T>
    void add(std::unique_ptr<T> object) {
        if (object != nullptr && !wait_until_runs_ended()) {
            keep({object.release(), [](const void* gone) { delete static_cast<const T*>(gone); }});
        }
    }

    /// All of it goes at once: no run can see it.
    void clear();

  private:
    using Owned = std::unique_ptr<const void, void (*)(const void*)>;

    void keep(Owned object);

    std::mutex mutex_;
    // While nobody can tell when runs end:
    std::vector<std::shared_ptr<const void>> kept_;
    std::vector<Owned> owned_;
};

}  // namespace crema::ebpf::maps
