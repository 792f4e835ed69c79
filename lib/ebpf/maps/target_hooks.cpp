// SPDX-License-Identifier: BSD-3-Clause
//
// The installed hooks. Function-local statics: a constructor of another room may install its hooks
// before this file's globals would be ready.
#include "lib/ebpf/maps/target_hooks.h"

namespace crema::ebpf::maps {

namespace {

TargetHooks& installed_hooks() {
    static TargetHooks hooks{};
    return hooks;
}

ProgramByFd& installed_resolver() {
    static ProgramByFd resolve = nullptr;
    return resolve;
}

MapByFd& installed_map_resolver() {
    static MapByFd resolve = nullptr;
    return resolve;
}

PerfEventByFd& installed_event_resolver() {
    static PerfEventByFd resolve = nullptr;
    return resolve;
}

}  // namespace

void set_perf_event_by_fd(PerfEventByFd resolve) {
    installed_event_resolver() = resolve;
}

std::shared_ptr<PerfEvent> perf_event_by_fd(int fd, int* error) {
    *error = -EBADF;
    return installed_event_resolver() != nullptr ? installed_event_resolver()(fd, error) : nullptr;
}

void set_map_by_fd(MapByFd resolve) {
    installed_map_resolver() = resolve;
}

std::shared_ptr<Map> map_by_fd(int fd, int* error) {
    *error = -EBADF;
    return installed_map_resolver() != nullptr ? installed_map_resolver()(fd, error) : nullptr;
}

void set_target_hooks(const TargetHooks& hooks) {
    installed_hooks() = hooks;
}

const TargetHooks& target_hooks() {
    return installed_hooks();
}

void set_program_by_fd(ProgramByFd resolve) {
    installed_resolver() = resolve;
}

ProgramRef program_by_fd(int fd) {
    return installed_resolver() != nullptr ? installed_resolver()(fd) : ProgramRef{};
}

}  // namespace crema::ebpf::maps
