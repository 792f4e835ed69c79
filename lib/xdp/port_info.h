// SPDX-License-Identifier: BSD-3-Clause
//
// Ports as tools want to see interfaces: with a name, an address, an MTU.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "lib/ebpf/syscall/ports.h"

namespace crema::xdp {

/// True when the kernel would let an interface have this name.
[[nodiscard]] bool is_interface_name(std::string_view name);

/// Those with the modes native and generic, by number. A port is named as its device is; where that
/// is no name for an interface (PCI addresses), "port" and its id, and the device's is the alias.
[[nodiscard]] std::vector<ebpf::syscall::PortInfo> list_ports();

}  // namespace crema::xdp
