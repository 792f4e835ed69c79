// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// Test program: writes into frames that it then drops, as the byte behind the Ethernet header says:
// inside of the frame, or behind its end, where the tail was for a moment.
#include <linux/bpf.h>
#include <linux/if_ether.h>

#include <bpf/bpf_helpers.h>

#define GROWN 256

// 0 and others: pass as it is.
enum { DROP_WRITTEN = 1, DROP_WRITTEN_BEHIND = 2 };

SEC("xdp")
int scribble(struct xdp_md* ctx) {
    __u8* data = (void*)(long)ctx->data;
    __u8* data_end = (void*)(long)ctx->data_end;
    __u32 bytes = ctx->data_end - ctx->data;
    __u8 behind[GROWN];

    if (data + ETH_HLEN + 8 > data_end)
        return XDP_ABORTED;
    if (data[ETH_HLEN] == DROP_WRITTEN) {
        __builtin_memset(data + ETH_HLEN, 0xd1, 8);
        return XDP_DROP;
    }
    if (data[ETH_HLEN] != DROP_WRITTEN_BEHIND)
        return XDP_PASS;
    __builtin_memset(behind, 0xd2, sizeof(behind));
    if (bpf_xdp_adjust_tail(ctx, GROWN) || bpf_xdp_store_bytes(ctx, bytes, behind, GROWN) ||
        bpf_xdp_adjust_tail(ctx, -GROWN))
        return XDP_ABORTED;
    return XDP_DROP;
}

char _license[] SEC("license") = "Dual BSD/GPL";
