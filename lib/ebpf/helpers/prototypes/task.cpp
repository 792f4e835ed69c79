// SPDX-License-Identifier: BSD-3-Clause
//
// Tasks, their storage, counters: legal in XDP, about whatever the packet interrupted.
#include <array>

#include "lib/ebpf/helpers/prototypes/families.h"

namespace crema::ebpf::helpers::prototypes {

namespace {

constexpr Arg kTask = object(KernelObject::task_struct);
constexpr Arg kTaskOrNull = object(KernelObject::task_struct, true);
constexpr Arg kCgroupOrNull = object(KernelObject::cgroup, true);
constexpr Arg kValueOrNull{.kind = ArgKind::map_value, .nullable = true};

constexpr std::array kRows = {
    // perf_event_read(map, flags)
    Prototype{.id = 22,
              .args = {kMap, kAny},
              .gpl_only = true,
              .wants_context = true,
              .native = perf_event_read},
    // get_current_task()
    Prototype{.id = 35, .gpl_only = true, .native = get_current_task},
    // current_task_under_cgroup(map, index)
    Prototype{.id = 37, .args = {kMap, kAny}},
    // perf_event_read_value(map, flags, to, size)
    Prototype{.id = 55,
              .args = {kMap, kAny, kOut, kSize},
              .gpl_only = true,
              .wants_context = true,
              .native = perf_event_read_value},
    // send_signal(signal), send_signal_thread
    Prototype{.id = 109, .args = {kAny}, .native = send_signal},
    Prototype{.id = 117, .args = {kAny}, .native = send_signal},
    // get_task_stack(task, to, size, flags)
    Prototype{.id = 141, .args = {kTask, kOut, kSizeOrZero, kAny}},
    // per_cpu_ptr(object, cpu), this_cpu_ptr(object)
    Prototype{.id = 153,
              .returns = {ReturnKind::percpu_object_or_null},
              .args = {Arg{.kind = ArgKind::percpu_object}, kAny}},
    Prototype{.id = 154,
              .returns = {ReturnKind::percpu_object},
              .args = {Arg{.kind = ArgKind::percpu_object}}},
    // task_storage_get(map, task, value, flags), task_storage_delete(map, task)
    Prototype{.id = 156,
              .returns = {ReturnKind::map_value_or_null},
              .args = {kMap, kTaskOrNull, kValueOrNull, kAny}},
    Prototype{.id = 157, .args = {kMap, kTaskOrNull}},
    // get_current_task_btf()
    Prototype{.id = 158,
              .returns = {.kind = ReturnKind::kernel_object, .object = KernelObject::task_struct},
              .gpl_only = true},
    // task_pt_regs(task)
    Prototype{.id = 175,
              .returns = {.kind = ReturnKind::kernel_object, .object = KernelObject::pt_regs},
              .args = {kTask},
              .gpl_only = true},
    // get_branch_snapshot(to, size, flags)
    Prototype{.id = 176,
              .args = {kOut, kSizeOrZero, kUnchecked},
              .gpl_only = true,
              .native = get_branch_snapshot},
    // find_vma(task, address, callback, context, flags)
    Prototype{.id = 180,
              .args = {kTask, kAny, kCallback, kFrameOrNull, kAny},
              .callback = CallbackRule::vma},
    // cgrp_storage_get(map, cgroup, value, flags), cgrp_storage_delete(map, cgroup)
    Prototype{.id = 210,
              .returns = {ReturnKind::map_value_or_null},
              .args = {kMap, kCgroupOrNull, kValueOrNull, kAny}},
    Prototype{.id = 211, .args = {kMap, kCgroupOrNull}},
};

}  // namespace

std::span<const Prototype> task() {
    return kRows;
}

}  // namespace crema::ebpf::helpers::prototypes
