// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// A chain of four programs by tail calls: each looks at one header and hands on.
#include "packet.h"

#define STAGES 4

struct {
    __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
    __uint(max_entries, STAGES);
    __type(key, __u32);
    __type(value, __u32);
} stages SEC(".maps");

SEC("xdp")

int stage_ports(struct xdp_md* ctx) {
    struct ports* ports = (void*)(long)ctx->data + sizeof(struct ethhdr) + sizeof(struct iphdr);

    if ((void*)(ports + 1) > (void*)(long)ctx->data_end)
        return XDP_DROP;
    return ports->dest == bpf_htons(53) ? XDP_TX : XDP_PASS;
}

SEC("xdp")

int stage_ipv4(struct xdp_md* ctx) {
    struct iphdr* ip = (void*)(long)ctx->data + sizeof(struct ethhdr);

    if ((void*)(ip + 1) > (void*)(long)ctx->data_end || ip->ihl != 5)
        return XDP_DROP;
    if (ip->protocol == IPPROTO_UDP)
        bpf_tail_call(ctx, &stages, 2);
    return XDP_PASS;
}

SEC("xdp")

int stage_ethernet(struct xdp_md* ctx) {
    struct ethhdr* eth = (void*)(long)ctx->data;

    if ((void*)(eth + 1) > (void*)(long)ctx->data_end)
        return XDP_DROP;
    if (eth->h_proto == bpf_htons(ETH_P_IP))
        bpf_tail_call(ctx, &stages, 1);
    return XDP_PASS;
}

SEC("xdp")

int tail_chain(struct xdp_md* ctx) {
    bpf_tail_call(ctx, &stages, 0);
    return XDP_ABORTED;
}

char _license[] SEC("license") = "Dual BSD/GPL";
