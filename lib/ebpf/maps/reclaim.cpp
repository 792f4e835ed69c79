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

RunMarks& installed_marks() {
    static RunMarks marks;
    return marks;
}

}  // namespace

/// The place of a thread, which goes with it.
class RunMark::Place {
  public:
    explicit Place(const RunMarks& marks) : marks_(marks), at_(marks.make()) {}

    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;

    ~Place() { marks_.end(at_); }

    void enter() const { marks_.enter(at_); }

    void leave() const { marks_.leave(at_); }

  private:
    RunMarks marks_;
    void* at_;
};

void set_run_marks(const RunMarks& marks) {
    installed_marks() = marks;
}

RunMark::RunMark() {
    const RunMarks& marks = installed_marks();
    if (marks.make != nullptr) {
        thread_local const Place place(marks);
        place_ = &place;
        place.enter();
    }
}

RunMark::~RunMark() {
    if (place_ != nullptr) {
        place_->leave();
    }
}

void set_wait_for_runs(WaitForRuns wait) {
    installed_wait() = wait;
}

bool wait_until_runs_ended() {
    if (installed_wait() == nullptr) {
        return false;
    }
    installed_wait()();
    return true;
}

void Retired::prepare() {
    if (installed_wait() == nullptr) {
        const std::lock_guard lock(mutex_);
        const auto make_room = [](auto& list) {
            if (list.size() == list.capacity()) {
                list.reserve(2 * list.size() + 1);
            }
        };
        make_room(kept_);
        make_room(owned_);
    }
}

void Retired::add(std::shared_ptr<const void> object) {
    if (object != nullptr && !wait_until_runs_ended()) {
        const std::lock_guard lock(mutex_);
        kept_.push_back(std::move(object));
    }
}

void Retired::clear() {
    std::vector<std::shared_ptr<const void>> kept;
    std::vector<Owned> owned;
    const std::lock_guard lock(mutex_);
    kept.swap(kept_);
    owned.swap(owned_);
}

void Retired::keep(Owned object) {
    const std::lock_guard lock(mutex_);
    owned_.push_back(std::move(object));
}

}  // namespace crema::ebpf::maps
