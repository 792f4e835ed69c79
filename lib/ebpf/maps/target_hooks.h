// SPDX-License-Identifier: BSD-3-Clause
//
// How devmap and cpumap slots reach the rooms above: a slot holds ids (ifindex, CPU, queue size),
// and the data path turns them into queues. lib/redirect installs these hooks; without them (a
// bare process, the tests of this room) slots keep their ids and `target` stays null.
#pragma once

#include <cerrno>
#include <cstdint>
#include <memory>

#include "lib/ebpf/abi/xdp_buff.h"
#include "lib/ebpf/maps/map.h"

namespace crema::ebpf {
struct LoadedProgram;
}

namespace crema::ebpf::maps {

class PerfEvent;

struct DeviceSlot {
    std::uint32_t ifindex;                         // > 0
    std::shared_ptr<const LoadedProgram> program;  // may be null
};

struct CpuSlot {
    std::uint32_t cpu;
    std::uint32_t queue_size;                      // frames, 1..16384
    std::shared_ptr<const LoadedProgram> program;  // may be null
};

/// Plain functions, set once before the first map is created. All run on a control thread.
struct TargetHooks {
    /// 0 or a negative errno (-EINVAL unknown ifindex). On success *target is what the slot keeps.
    int (*device_acquire)(const DeviceSlot& slot, void** target);
    int (*cpu_acquire)(const CpuSlot& slot, void** target);
    /// Called after the slot no longer shows `target` and every running program is quiescent
    /// (the hook itself waits for that).
    void (*device_release)(void* target);
    void (*cpu_release)(void* target);
};

/// A program as a devmap, cpumap or prog_array value names it.
struct ProgramRef {
    std::shared_ptr<const LoadedProgram> program;  // null: see error
    std::uint32_t id = 0;
    ProgramTraits traits{};
    EntryPoint entry = nullptr;  // what a tail call enters, with self
    const void* self = nullptr;
    /// The program for a slot of an array of programs; null: it may not be in one now (EBUSY).
    /// Without the function it always may.
    std::shared_ptr<const LoadedProgram> (*as_member)(
        const std::shared_ptr<const LoadedProgram>& program) = nullptr;
    int error = -EBADF;  // no program: -EBADF not open, -EINVAL something else
};

/// Installed by lib/ebpf/syscall, which owns the file descriptors. Without it no fd is a program.
using ProgramByFd = ProgramRef (*)(int fd);
void set_program_by_fd(ProgramByFd resolve);
[[nodiscard]] ProgramRef program_by_fd(int fd);

/// The map behind a descriptor. Null: *error is -EBADF (not open) or -EINVAL (no map).
using MapByFd = std::shared_ptr<Map> (*)(int fd, int* error);
void set_map_by_fd(MapByFd resolve);
[[nodiscard]] std::shared_ptr<Map> map_by_fd(int fd, int* error);

/// The perf event behind a descriptor. Null: *error is -EBADF (none) or -EOPNOTSUPP (one of the
/// kernel's).
using PerfEventByFd = std::shared_ptr<PerfEvent> (*)(int fd, int* error);
void set_perf_event_by_fd(PerfEventByFd resolve);
[[nodiscard]] std::shared_ptr<PerfEvent> perf_event_by_fd(int fd, int* error);

void set_target_hooks(const TargetHooks& hooks);
[[nodiscard]] const TargetHooks& target_hooks();

}  // namespace crema::ebpf::maps
