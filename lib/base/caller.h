// SPDX-License-Identifier: BSD-3-Clause
//
// Whose addresses and descriptor numbers a system call that is served in user space means: this
// process's own, or, while a call of another process is served, that process's. The kernel keeps
// the answer for us: /proc/PID shows the other's descriptors, process_vm_readv its memory.
#pragma once

#include <functional>
#include <string>
#include <sys/stat.h>
#include <sys/types.h>

namespace crema::caller {

/// On whose behalf the calling thread works; the own process outside of any Scope.
[[nodiscard]] pid_t current();

[[nodiscard]] bool is_other_process();

/// "/proc/PID/WHAT" of the caller.
[[nodiscard]] std::string proc_path(const char* what);

/// As fstat(2) of a descriptor of the caller. False: it is not open.
[[nodiscard]] bool stat_descriptor(int fd, struct stat& status);

/// What a descriptor of the caller leads to, as readlink of /proc/PID/fd/FD; empty: not open.
[[nodiscard]] std::string link_of_descriptor(int fd);

/// False when nobody waits for the result any more: the caller got a signal or has ended, or we are
/// to stop. Long work asks now and then, and gives up (EINTR). True outside of any Scope.
[[nodiscard]] bool still_waits();

/// The calling thread works for process `pid` (or a thread of it) as long as this lives.
class Scope {
  public:
    using StillWaits = std::function<bool()>;

    /// still_waits: what still_waits() is to say; empty: true.
    explicit Scope(pid_t pid, StillWaits still_waits = {});
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

  private:
    pid_t outer_;
    StillWaits still_waits_;
    const StillWaits* outer_still_waits_;
};

}  // namespace crema::caller
