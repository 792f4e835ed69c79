// SPDX-License-Identifier: BSD-3-Clause
//
// RTM_NEWLINK: what is told of a port.
#pragma once

#include "lib/ebpf/netlink/message.h"
#include "lib/ebpf/syscall/ports.h"

namespace crema::ebpf::netlink {

void write_link(Writer& writer,
                const syscall::PortInfo& port,
                std::uint16_t flags,
                std::uint32_t sequence);

}  // namespace crema::ebpf::netlink
