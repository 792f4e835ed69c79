// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// Test program: does to the frame what the byte behind its Ethernet header says, by writing in all
// the places where a program may, and sends it back (XDP_TX) or passes it.
#include <linux/bpf.h>
#include <linux/if_ether.h>

#include <bpf/bpf_helpers.h>

#define GROWN 64

// 0 and others: pass as it is.
enum {
    PASS_META = 1,
    TX_AS_IT_IS = 2,
    TX_HEAD_OUT = 3,
    TX_HEAD_IN = 4,
    TX_TAIL_IN = 5,
    TX_TAIL_OUT = 6
};

static __always_inline int fill(struct xdp_md* ctx, __u32 from, __u8 with) {
    __u8 bytes[GROWN];

    __builtin_memset(bytes, with, sizeof(bytes));
    return bpf_xdp_store_bytes(ctx, from, bytes, sizeof(bytes)) ? XDP_ABORTED : XDP_TX;
}

SEC("xdp")
int reshape(struct xdp_md* ctx) {
    __u8* data = (void*)(long)ctx->data;
    __u8* data_end = (void*)(long)ctx->data_end;
    __u32 bytes = ctx->data_end - ctx->data;
    __u8* meta;

    if (data + ETH_HLEN + 1 > data_end)
        return XDP_ABORTED;
    switch (data[ETH_HLEN]) {
        case PASS_META:
            if (bpf_xdp_adjust_meta(ctx, -4))
                return XDP_ABORTED;
            meta = (void*)(long)ctx->data_meta;
            if (meta + 4 > (__u8*)(long)ctx->data)
                return XDP_ABORTED;
            __builtin_memset(meta, 0xa1, 4);
            return XDP_PASS;
        case TX_AS_IT_IS:
            data[ETH_HLEN] = 0xa2;
            return XDP_TX;
        case TX_HEAD_OUT:
            return bpf_xdp_adjust_head(ctx, -GROWN) ? XDP_ABORTED : fill(ctx, 0, 0xa3);
        case TX_HEAD_IN:
            return bpf_xdp_adjust_head(ctx, 6) ? XDP_ABORTED : XDP_TX;
        case TX_TAIL_IN:
            return bpf_xdp_adjust_tail(ctx, -20) ? XDP_ABORTED : XDP_TX;
        case TX_TAIL_OUT:
            return bpf_xdp_adjust_tail(ctx, GROWN) ? XDP_ABORTED : fill(ctx, bytes, 0xa6);
        default:
            return XDP_PASS;
    }
}

char _license[] SEC("license") = "Dual BSD/GPL";
