// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// A program array that the object fills itself, with one program that is refused.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

int refused(struct xdp_md* ctx);
int sends(struct xdp_md* ctx);

struct {
    __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
    __uint(max_entries, 2);
    __uint(key_size, sizeof(__u32));
    __array(values, int(void*));
} slots SEC(".maps") = {.values = {[0] = (void*)&refused, [1] = (void*)&sends}};

SEC("xdp")

int refused(struct xdp_md* ctx) {
    return *(unsigned char*)(long)ctx->data;
}

SEC("xdp")

int sends(struct xdp_md* ctx) {
    return XDP_TX;
}

SEC("xdp")

int start(struct xdp_md* ctx) {
    bpf_tail_call(ctx, &slots, 0);
    bpf_tail_call(ctx, &slots, 1);
    return XDP_ABORTED;
}

char _license[] SEC("license") = "Dual BSD/GPL";
