// SPDX-License-Identifier: BSD-3-Clause
//
// Who may put a program on a port where another one is: the kernel's rules for links and rtnetlink,
// with its errors and words; and who may join the programs that are there, where the rules are
// libxdp's. A program's fitness for the port is not judged here (attach.h).
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

/// What stands at a port after `change`, in the order of sort_chain(). Errors: EINVAL nothing is
/// asked for or a program is for slots of maps, ENOENT one that is to leave is not there, EBUSY a
/// link or libxdp's dispatcher is there, EEXIST one is there already, or all are in another mode,
/// E2BIG more than kChainMax.
[[nodiscard]] Result<ebpf::syscall::Attachment> after_chain_change(
    const ebpf::syscall::Attachment& now,
    ebpf::syscall::XdpMode own,
    const ebpf::syscall::ChainChange& change);

}  // namespace crema::xdp
