// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// Test program: returns the 32-bit number that stands behind the Ethernet header, so that a test
// chooses the verdict by the packet: all five, unknown ones, numbers with high bits set. A frame
// too short for the number returns 77.
#include <linux/bpf.h>
#include <linux/if_ether.h>

#include <bpf/bpf_helpers.h>

SEC("xdp")

int oracle_verdict(struct xdp_md* ctx) {
    void* data = (void*)(long)ctx->data;
    void* data_end = (void*)(long)ctx->data_end;
    __u32* verdict = data + sizeof(struct ethhdr);

    if ((void*)(verdict + 1) > data_end)
        return 77;
    return *verdict;
}

char _license[] SEC("license") = "Dual BSD/GPL";
