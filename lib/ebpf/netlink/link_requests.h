// SPDX-License-Identifier: BSD-3-Clause
//
// One rtnetlink request of a process: is it about ports, and if so, what is the answer? The request
// is input: nothing in it is believed. Descriptors in it are those of the calling process
// (lib/base/caller.h).
#pragma once

#include <cstdint>
#include <vector>

#include "lib/ebpf/netlink/message.h"

namespace crema::ebpf::netlink {

/// Who answers.
enum class Handling : std::uint8_t {
    kernel,       // nothing here concerns ports
    instead,      // we: the kernel must not see the request
    before_dump,  // the kernel; these messages belong into its list
};

/// How the socket wants to be told of errors (NETLINK_CAP_ACK, NETLINK_EXT_ACK).
struct AckOptions {
    bool capped = false;
    bool extended = false;
};

struct Answer {
    Handling handling = Handling::kernel;
    /// Messages for the process, one after the other; their nlmsg_pid is left to whoever delivers
    /// them.
    std::vector<std::uint8_t> messages;
};

/// request: one message, its header included.
[[nodiscard]] Answer answer(Bytes request, AckOptions options);

}  // namespace crema::ebpf::netlink
