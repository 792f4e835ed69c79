// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// Pushes a VLAN tag and pops it again: the frame's head moves twice, the MAC addresses move twice,
// and the frame ends as it began.
#include "packet.h"

#define TAG_ID 42

static __always_inline int push(struct xdp_md* ctx) {
    struct ethhdr* old;
    struct ethhdr* eth;
    struct vlan_tag* tag;
    void* data_end;

    if (bpf_xdp_adjust_head(ctx, -(int)sizeof(*tag)))
        return -1;
    eth = (void*)(long)ctx->data;
    data_end = (void*)(long)ctx->data_end;
    old = (void*)eth + sizeof(*tag);
    if ((void*)(old + 1) > data_end)
        return -1;
    __builtin_memmove(eth, old, 2 * ETH_ALEN);
    tag = (void*)(eth + 1);
    tag->tci = bpf_htons(TAG_ID);
    eth->h_proto = bpf_htons(ETH_P_8021Q);
    return 0;
}

static __always_inline int pop(struct xdp_md* ctx) {
    struct ethhdr* eth = (void*)(long)ctx->data;
    void* data_end = (void*)(long)ctx->data_end;
    struct vlan_tag* tag = (void*)(eth + 1);

    if ((void*)(tag + 1) > data_end || eth->h_proto != bpf_htons(ETH_P_8021Q))
        return -1;
    __builtin_memmove((void*)eth + sizeof(*tag), eth, 2 * ETH_ALEN);
    return bpf_xdp_adjust_head(ctx, sizeof(*tag));
}

SEC("xdp")

int vlan_push_pop(struct xdp_md* ctx) {
    if (push(ctx) || pop(ctx))
        return XDP_ABORTED;
    return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
