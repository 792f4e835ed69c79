// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// Forwards every frame, unchanged, from the port it came in to the port that `tx_port` names for
// it: a cable between two ports, a ring of more. Counts frames and bytes per ingress port. No
// learning, no flooding; a port without an entry aborts its frames.
#include "l2fwd.h"

SEC("xdp")
int l2fwd(struct xdp_md* ctx) {
    count_received(ctx);
    return forward(ctx);
}

char _license[] SEC("license") = "Dual BSD/GPL";
