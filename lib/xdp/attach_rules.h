// SPDX-License-Identifier: BSD-3-Clause
//
// Who may put a program on a port where another one is: the kernel's rules for links and rtnetlink,
// with its errors and words. The program's fitness for the port is not judged here (attach.h).
#pragma once

#include "lib/base/result.h"
#include "lib/ebpf/syscall/ports.h"

namespace crema::xdp {

/// What stands at a port after `change`, whose flags the caller has not judged. `own`: how the port
/// runs programs.
[[nodiscard]] Result<ebpf::syscall::Attachment> after_change(
    const ebpf::syscall::Attachment& now,
    ebpf::syscall::XdpMode own,
    const ebpf::syscall::PortChange& change);

}  // namespace crema::xdp
