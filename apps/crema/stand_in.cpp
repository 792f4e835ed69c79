// SPDX-License-Identifier: BSD-3-Clause
#include "apps/crema/stand_in.h"

#include <cerrno>
#include <memory>
#include <net/if.h>

#include "lib/xdp/hook.h"

namespace crema::command {
namespace {

const xdp::PortOps& stand_in() {
    static const xdp::PortOps ops = {
        .mode = "none",
        .xmit = [](void*, std::uint32_t, const xdp::Frame*, std::uint32_t) { return 0U; },
        .attach_check = [](void*, bool) -> Status { return fail(ENODEV, "this port is none"); },
        .frame_bytes_max = [](void*) { return 1518U; },
        .is_up = [](void*) { return false; },
    };
    return ops;
}

}  // namespace

Status register_stand_in(std::uint32_t ifindex) {
    if (ifindex < 1 || ifindex > xdp::kPortsMax) {
        return fail(EINVAL, "{} is no interface number (1 to {})", ifindex, xdp::kPortsMax);
    }
    if (xdp::port_by_ifindex(ifindex) != nullptr) {
        return {};
    }
    const auto registered =
        xdp::register_port(static_cast<std::uint16_t>(ifindex - 1), stand_in(), nullptr);
    return registered ? Status{} : Status(forward_error(registered));
}

void register_stand_ins() {
    const std::unique_ptr<struct if_nameindex, void (*)(struct if_nameindex*)> interfaces(
        ::if_nameindex(), ::if_freenameindex);
    for (const struct if_nameindex* at = interfaces.get(); at != nullptr && at->if_index != 0;
         ++at) {
        if (at->if_index <= xdp::kPortsMax) {
            (void)register_stand_in(at->if_index);  // one less to name in a devmap
        }
    }
}

}  // namespace crema::command
