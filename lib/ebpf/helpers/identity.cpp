// SPDX-License-Identifier: BSD-3-Clause
//
// Who runs the program and where: CPU, memory node, task, user, cgroup. The CPU is the worker's. In
// the kernel the "current task" of an XDP program is whatever the interrupt hit; here it is the
// worker thread. What has no meaning here answers as it would in the root cgroup, or refuses.
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <sched.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "lib/ebpf/helpers/natives.h"

namespace crema::ebpf::helpers {

namespace {

/// Asked for once per thread: the only system calls, by the thread's first program that wants them.
struct Task {
    bool is_known = false;
    std::uint64_t pid_tgid = 0;
    std::uint64_t uid_gid = 0;
    std::array<char, 16> comm{};
};

thread_local Task t_task;

const Task& current() {
    Task& task = t_task;
    if (!task.is_known) [[unlikely]] {
        task.pid_tgid =
            (static_cast<std::uint64_t>(getpid()) << 32) | static_cast<std::uint32_t>(gettid());
        task.uid_gid = (std::uint64_t{getgid()} << 32) | getuid();
        prctl(PR_GET_NAME, task.comm.data());
        task.is_known = true;
    }
    return task;
}

}  // namespace

std::uint64_t get_smp_processor_id(
    std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t r5) {
    return context_of(r5).cpu;
}

std::uint64_t get_numa_node_id(
    std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t) {
    unsigned cpu = 0;
    unsigned node = 0;
    getcpu(&cpu, &node);
    return node;
}

std::uint64_t get_current_pid_tgid(
    std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t) {
    return current().pid_tgid;
}

std::uint64_t get_current_uid_gid(
    std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t) {
    return current().uid_gid;
}

// r1 memory, r2 its size (> 0). The rest of the memory is zeroed.
std::uint64_t get_current_comm(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t, std::uint64_t, std::uint64_t) {
    const auto bytes = static_cast<std::uint32_t>(r2);
    const auto& comm = current().comm;
    const std::size_t length = std::min<std::size_t>(strnlen(comm.data(), comm.size()), bytes - 1);
    std::memset(memory_at(r1), 0, bytes);
    std::memcpy(memory_at(r1), comm.data(), length);
    return 0;
}

std::uint64_t get_current_task(
    std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t) {
    return 0;  // a task's address: there is none that could be read
}

std::uint64_t get_cgroup_classid(
    std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t) {
    return 0;  // no class
}

std::uint64_t get_current_cgroup_id(
    std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t) {
    return 1;  // the root
}

// r1 level
std::uint64_t get_current_ancestor_cgroup_id(
    std::uint64_t r1, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t) {
    return static_cast<std::int32_t>(r1) == 0 ? 1 : 0;  // the root has no other ancestors
}

// r1 device, r2 inode of a PID namespace, r3 memory for pid and tgid, r4 its size. Namespaces are
// not told apart: as for one that is not the task's.
std::uint64_t get_ns_current_pid_tgid(
    std::uint64_t, std::uint64_t, std::uint64_t r3, std::uint64_t r4, std::uint64_t) {
    std::memset(memory_at(r3), 0, static_cast<std::uint32_t>(r4));
    return error_result(EINVAL);
}

// r1 signal: a data path sends none to itself.
std::uint64_t send_signal(
    std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t) {
    return error_result(EPERM);
}

// r1 memory, r2 its size, r3 flags. As on a CPU without branch records.
std::uint64_t get_branch_snapshot(
    std::uint64_t, std::uint64_t, std::uint64_t r3, std::uint64_t, std::uint64_t) {
    return error_result(r3 != 0 ? EINVAL : ENOENT);
}

}  // namespace crema::ebpf::helpers
