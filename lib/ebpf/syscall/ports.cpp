// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/syscall/ports.h"

#include <cerrno>

namespace crema::ebpf::syscall {
namespace {

PortHooks& hooks() {
    static PortHooks the_hooks = {
        .change = [](std::uint32_t ifindex, const PortChange&) -> Status {
            return fail(ENODEV, "no port has ifindex {}", ifindex);
        },
        .replace = [](std::uint32_t, const LoadedProgram&,
                      const std::shared_ptr<const LoadedProgram>&) { return -ENODEV; },
        .detach = [](std::uint32_t, const LoadedProgram&) {},
        .list = [] { return std::vector<PortInfo>(); },
    };
    return the_hooks;
}

}  // namespace

void set_port_hooks(const PortHooks& installed) {
    hooks() = installed;
}

const PortHooks& port_hooks() {
    return hooks();
}

}  // namespace crema::ebpf::syscall
