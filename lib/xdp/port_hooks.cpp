// SPDX-License-Identifier: BSD-3-Clause
//
// Ports for links of bpf(2) (lib/ebpf/syscall/link.h): a link attaches to a port by the number that
// programs see, and lets go of it only while its own program is there.
#include <cerrno>

#include "lib/ebpf/syscall/link.h"
#include "lib/xdp/attach.h"

namespace crema::xdp {
namespace {

using Program = std::shared_ptr<const ebpf::LoadedProgram>;

std::uint16_t port_of(std::uint32_t ifindex) {
    return static_cast<std::uint16_t>(ifindex - 1);
}

bool is_at(std::uint32_t ifindex, const ebpf::LoadedProgram& program) {
    return port_by_ifindex(ifindex) != nullptr && attached(port_of(ifindex)).get() == &program;
}

int code_of(const Status& status) {
    return status ? 0 : -status.error().code;
}

int attach_by_link(std::uint32_t ifindex, const Program& program) {
    if (port_by_ifindex(ifindex) == nullptr) {
        return -EINVAL;
    }
    return attached(port_of(ifindex)) != nullptr ? -EBUSY
                                                 : code_of(attach(port_of(ifindex), program));
}

int replace_by_link(std::uint32_t ifindex,
                    const ebpf::LoadedProgram& current,
                    const Program& next) {
    return is_at(ifindex, current) ? code_of(attach(port_of(ifindex), next)) : -ENODEV;
}

void detach_by_link(std::uint32_t ifindex, const ebpf::LoadedProgram& current) {
    if (is_at(ifindex, current)) {
        (void)detach(port_of(ifindex));  // the port may go at the same time
    }
}

[[gnu::constructor]] void install() {
    ebpf::syscall::set_port_hooks(
        {.attach = attach_by_link, .replace = replace_by_link, .detach = detach_by_link});
}

}  // namespace
}  // namespace crema::xdp
