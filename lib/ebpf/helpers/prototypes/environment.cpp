// SPDX-License-Identifier: BSD-3-Clause
//
// Where and when a program runs: clocks, CPU, random numbers, the interrupted task's numbers.
#include <array>

#include "lib/ebpf/helpers/prototypes/families.h"

namespace crema::ebpf::helpers::prototypes {

namespace {

constexpr std::array kRows = {
    // ktime_get_ns()
    Prototype{.id = 5, .native = ktime_get_ns},
    // get_prandom_u32()
    Prototype{.id = 7, .native = get_prandom_u32},
    // get_smp_processor_id()
    Prototype{.id = 8, .wants_context = true, .native = get_smp_processor_id},
    // get_current_pid_tgid()
    Prototype{.id = 14, .native = get_current_pid_tgid},
    // get_current_uid_gid()
    Prototype{.id = 15, .native = get_current_uid_gid},
    // get_current_comm(to, size)
    Prototype{.id = 16, .args = {kOut, kSize}, .native = get_current_comm},
    // get_cgroup_classid()
    Prototype{.id = 17, .native = get_cgroup_classid},
    // get_numa_node_id()
    Prototype{.id = 42, .native = get_numa_node_id},
    // get_current_cgroup_id()
    Prototype{.id = 80, .native = get_current_cgroup_id},
    // jiffies64()
    Prototype{.id = 118, .native = jiffies64},
    // get_ns_current_pid_tgid(dev, ino, to, size)
    Prototype{.id = 120, .args = {kAny, kAny, kOut, kSize}, .native = get_ns_current_pid_tgid},
    // get_current_ancestor_cgroup_id(level)
    Prototype{.id = 123, .args = {kAny}, .native = get_current_ancestor_cgroup_id},
    // ktime_get_boot_ns()
    Prototype{.id = 125, .native = ktime_get_boot_ns},
    // ktime_get_coarse_ns()
    Prototype{.id = 160, .native = ktime_get_coarse_ns},
    // ktime_get_tai_ns()
    Prototype{.id = 208, .native = ktime_get_tai_ns},
};

}  // namespace

std::span<const Prototype> environment() {
    return kRows;
}

}  // namespace crema::ebpf::helpers::prototypes
