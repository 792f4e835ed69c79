// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// Reads the packet without asking how long it is: the verifier must refuse it.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("xdp")
int reads_without_a_check(struct xdp_md* ctx) {
    unsigned char* data = (unsigned char*)(long)ctx->data;
    return data[40] == 1 ? XDP_DROP : XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
