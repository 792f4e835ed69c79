// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// What the two forwarding programs share: where each port sends its frames, and how much came in.
// One object may replace the other on a running port; each has its own maps.
#ifndef CREMA_BPF_L2FWD_H
#define CREMA_BPF_L2FWD_H

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#define PORTS_MAX 64

struct port_counters {
    __u64 packets;
    __u64 bytes;
};

// ingress ifindex -> egress ifindex; filled by whoever attaches the program.
struct {
    __uint(type, BPF_MAP_TYPE_DEVMAP);
    __uint(max_entries, PORTS_MAX);
    __type(key, __u32);
    __type(value, __u32);
} tx_port SEC(".maps");

// ingress ifindex -> frames that came in there.
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, PORTS_MAX);
    __type(key, __u32);
    __type(value, struct port_counters);
} rx_counters SEC(".maps");

static __always_inline void count_received(struct xdp_md* ctx) {
    __u32 port = ctx->ingress_ifindex;
    struct port_counters* counters = bpf_map_lookup_elem(&rx_counters, &port);

    if (counters) {
        counters->packets++;
        counters->bytes += ctx->data_end - ctx->data;
    }
}

// A port without a target is a configuration error: ABORTED, which is counted as one.
static __always_inline int forward(struct xdp_md* ctx) {
    return bpf_redirect_map(&tx_port, ctx->ingress_ifindex, XDP_ABORTED);
}

#endif
