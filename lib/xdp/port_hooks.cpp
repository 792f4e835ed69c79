// SPDX-License-Identifier: BSD-3-Clause
//
// Ports for links of bpf(2) and for rtnetlink (lib/ebpf/syscall/ports.h): programs come and go by
// the number that programs see. A link lets go of its port only while its own program is there.
#include <cerrno>

#include "lib/ebpf/syscall/ports.h"
#include "lib/xdp/attach.h"
#include "lib/xdp/attach_rules.h"
#include "lib/xdp/port_info.h"

namespace crema::xdp {
namespace {

using Program = std::shared_ptr<const ebpf::LoadedProgram>;
using ebpf::syscall::PortChange;

/// Of a port that is there.
std::uint16_t port_of(std::uint32_t ifindex) {
    return static_cast<std::uint16_t>(port_id_of(ifindex));
}

Status change_port(std::uint32_t ifindex, const PortChange& asked) {
    if (port_by_ifindex(ifindex) == nullptr) {
        return fail(ENODEV, "no port has ifindex {}", ifindex);
    }
    return change(port_of(ifindex), [&asked](const Attachment& now, XdpMode own) {
        return after_change(now, own, asked);
    });
}

Status change_chain_of_port(std::uint32_t ifindex, const ebpf::syscall::ChainChange& asked) {
    if (port_by_ifindex(ifindex) == nullptr) {
        return fail(ENODEV, "no port has ifindex {}", ifindex);
    }
    return change(port_of(ifindex), [&asked](const Attachment& now, XdpMode own) {
        return after_chain_change(now, own, asked);
    });
}

/// What a link does to its own program.
int change_linked(std::uint32_t ifindex, const ebpf::LoadedProgram& current, const Program& next) {
    if (port_by_ifindex(ifindex) == nullptr) {
        return -ENODEV;
    }
    const Status done =
        change(port_of(ifindex), [&](const Attachment& now, XdpMode own) -> Result<Attachment> {
            if (now.first().get() != &current || !now.by_link) {
                return fail(ENODEV, "another program is there");
            }
            return next == nullptr ? ebpf::syscall::alone(nullptr, own, false)
                                   : ebpf::syscall::alone(next, now.mode, true);
        });
    return done ? 0 : -done.error().code;
}

int replace_by_link(std::uint32_t ifindex,
                    const ebpf::LoadedProgram& current,
                    const Program& next) {
    return change_linked(ifindex, current, next);
}

void detach_by_link(std::uint32_t ifindex, const ebpf::LoadedProgram& current) {
    (void)change_linked(ifindex, current, nullptr);  // the port may have gone
}

[[gnu::constructor]] void install() {
    ebpf::syscall::set_port_hooks({.change = change_port,
                                   .replace = replace_by_link,
                                   .detach = detach_by_link,
                                   .change_chain = change_chain_of_port,
                                   .list = list_ports});
}

}  // namespace
}  // namespace crema::xdp
