// SPDX-License-Identifier: BSD-3-Clause
//
// How dispatch hands frames to lib/redirect, which lies beside this room and uses it (secondary
// programs run there). lib/redirect installs these functions when the library is loaded.
#pragma once

#include <cstdint>

#include "lib/ebpf/abi/xdp_buff.h"
#include "lib/xdp/hook.h"

namespace crema::xdp {

/// Bulk queues of one RX queue or cpumap poller.
struct Outbound;

struct Redirector {
    Outbound* (*create)();
    void (*destroy)(Outbound* outbound);
    /// Where copies for broadcast come from; until then from the pool of the frame itself.
    /// `outbound` may be null.
    void (*set_copy_pool)(Outbound* outbound, rte_mempool* pool);
    /// Queues one frame for the target in buff.redirect. 0: taken. Else the caller still owns it
    /// (drops and counts), and why, as the kernel says it: -EBADRQC nothing was asked for, -EINVAL
    /// no such port, -ENETDOWN, -EMSGSIZE, -EOVERFLOW no room for the frame's header, -ENOMEM.
    int (*enqueue)(Outbound* outbound, const ebpf::XdpBuff& buff, const Frame& frame);
    /// Hands all queued frames over: one call per target. Frames that a target refuses are recycled
    /// and counted there. Returns how many were refused.
    std::uint32_t (*flush)(Outbound* outbound);
};

void set_redirector(const Redirector& redirector);
[[nodiscard]] const Redirector& redirector();

}  // namespace crema::xdp
