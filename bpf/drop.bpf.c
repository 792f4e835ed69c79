// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// Drops every frame that holds an Ethernet header; what is shorter is ABORTED, so that it shows up
// as an error and not as a decision. The bounds check makes this the smallest program that touches
// a packet: the baseline of the receive-drop benchmarks.
#include <linux/bpf.h>
#include <linux/if_ether.h>

#include <bpf/bpf_helpers.h>

SEC("xdp")
int drop(struct xdp_md* ctx) {
    void* data = (void*)(long)ctx->data;
    void* data_end = (void*)(long)ctx->data_end;

    if (data + sizeof(struct ethhdr) > data_end)
        return XDP_ABORTED;
    return XDP_DROP;
}

char _license[] SEC("license") = "Dual BSD/GPL";
