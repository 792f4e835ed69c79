// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// Functions that are not inlined and call each other.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

static __attribute__((noinline)) int length_of(struct xdp_md* ctx) {
    return ctx->data_end - ctx->data;
}

static __attribute__((noinline)) int is_long(struct xdp_md* ctx, int limit) {
    return length_of(ctx) > limit;
}

SEC("xdp")

int calls(struct xdp_md* ctx) {
    return length_of(ctx) == 60 || is_long(ctx, 1000) ? XDP_DROP : XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
