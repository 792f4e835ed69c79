// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// Programs of which some are refused, in between ones that are not.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("xdp")

int first_is_refused(struct xdp_md* ctx) {
    return *(unsigned char*)(long)ctx->data;
}

SEC("xdp")

int second_passes(struct xdp_md* ctx) {
    return ctx->rx_queue_index == 77 ? XDP_DROP : XDP_PASS;
}

SEC("xdp/devmap")

int of_devmap_is_refused(struct xdp_md* ctx) {
    return *(unsigned char*)(long)ctx->data_end;
}

SEC("xdp")

int third_drops(struct xdp_md* ctx) {
    return XDP_DROP;
}

char _license[] SEC("license") = "Dual BSD/GPL";
