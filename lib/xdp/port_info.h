// SPDX-License-Identifier: BSD-3-Clause
//
// Ports as tools want to see interfaces: with a name, an address, an MTU.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lib/ebpf/syscall/ports.h"

namespace crema::xdp {

/// True when the kernel would let an interface have this name.
[[nodiscard]] bool is_interface_name(std::string_view name);

/// Receive queues that the device of a registered port is set up with; kRxQueuesMax where the port
/// is no ethdev.
[[nodiscard]] std::uint32_t rx_queues_of(std::uint32_t ifindex);

/// Those with the modes native and generic, by number. A port is named as its device is; where that
/// is no name for an interface (PCI addresses), "port" and its id, and the device's is the alias.
[[nodiscard]] std::vector<ebpf::syscall::PortInfo> list_ports();

}  // namespace crema::xdp
