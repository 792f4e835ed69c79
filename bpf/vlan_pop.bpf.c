// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// Removes the outermost VLAN tag: moves the MAC addresses four bytes towards the payload and the
// start of the frame with them (bpf_xdp_adjust_head). The frame then passes. Untagged frames pass
// unchanged; a tag that is cut short aborts.
#include "packet.h"

SEC("xdp")
int vlan_pop(struct xdp_md* ctx) {
    void* data = (void*)(long)ctx->data;
    void* data_end = (void*)(long)ctx->data_end;
    struct ethhdr* eth = data;
    struct vlan_tag* tag = (void*)(eth + 1);
    struct ethhdr popped;

    if ((void*)(eth + 1) > data_end)
        return XDP_ABORTED;
    if (eth->h_proto != bpf_htons(ETH_P_8021Q) && eth->h_proto != bpf_htons(ETH_P_8021AD))
        return XDP_PASS;
    if ((void*)(tag + 1) > data_end)
        return XDP_ABORTED;
    popped = *eth;
    popped.h_proto = tag->protocol;

    // Fails when fewer than 14 bytes would be left; the frame is unchanged then.
    if (bpf_xdp_adjust_head(ctx, sizeof(*tag)))
        return XDP_ABORTED;
    data = (void*)(long)ctx->data;
    data_end = (void*)(long)ctx->data_end;
    eth = data;
    if ((void*)(eth + 1) > data_end)
        return XDP_ABORTED;
    *eth = popped;
    return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
