// SPDX-License-Identifier: BSD-3-Clause
//
// Makes the bpf(2) and perf_event_open(2) calls of this process, and of what it starts, come to a
// supervisor instead of the kernel: a seccomp filter, so it does not matter who issues the
// instruction (libc, Go, a static binary). There is no way back for the process, and no bpf(2) call
// falls through to the kernel: when the supervisor is gone they fail with ENOSYS.
#pragma once

#include "lib/base/result.h"
#include "lib/base/unique_fd.h"

namespace crema::ebpf::supervise {

/// Returns what the supervisor listens on (supervisor.h). For a process that is about to execute
/// another program. Without the right to do otherwise, it gives up ever gaining rights by
/// executing one (no_new_privs). EINVAL, ENOSYS: no seccomp here; EBUSY: it is supervised already.
[[nodiscard]] Result<UniqueFd> trap_bpf_calls();

/// Passes a descriptor over a UNIX socket. Errors are those of sendmsg and recvmsg, ECONNRESET when
/// the other side left, EPROTO when it sent something else.
[[nodiscard]] Status send_descriptor(int socket, int fd);
[[nodiscard]] Result<UniqueFd> receive_descriptor(int socket);

}  // namespace crema::ebpf::supervise
