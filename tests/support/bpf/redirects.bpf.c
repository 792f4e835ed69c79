// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// What a test run can tell besides verdict and bytes: an interface, no target at all, metadata.
#include <linux/bpf.h>
#include <linux/if_ether.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

SEC("xdp")

int redirects(struct xdp_md* ctx) {
    struct ethhdr* eth = (void*)(long)ctx->data;
    void* data_end = (void*)(long)ctx->data_end;
    __u32* meta;

    if ((void*)(eth + 1) > data_end)
        return XDP_ABORTED;
    switch (eth->h_proto) {
        case bpf_htons(ETH_P_ARP):
            return bpf_redirect(3, 0);
        case bpf_htons(ETH_P_8021Q):
            return XDP_REDIRECT;
        case bpf_htons(ETH_P_IPV6):
            if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*meta)))
                return XDP_ABORTED;
            meta = (void*)(long)ctx->data_meta;
            if ((void*)(meta + 1) > (void*)(long)ctx->data)
                return XDP_ABORTED;
            *meta = 0x01020304;
            return XDP_PASS;
    }
    return XDP_DROP;
}

char _license[] SEC("license") = "Dual BSD/GPL";
