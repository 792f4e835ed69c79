// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// Functions that are not inlined: each header by a call of its own, arguments on the stack.
#include "packet.h"

struct parsed {
    __u32 at;       // bytes from the start of the frame to what follows
    __u32 kind;     // EtherType or protocol of what follows, host order
    __u32 summary;  // of all addresses and ports
};

static __noinline int parse_ethernet(struct xdp_md* ctx, struct parsed* parsed) {
    struct ethhdr* eth = (void*)(long)ctx->data;

    if ((void*)(eth + 1) > (void*)(long)ctx->data_end)
        return -1;
    parsed->at = sizeof(*eth);
    parsed->kind = bpf_ntohs(eth->h_proto);
    return 0;
}

static __noinline int parse_ipv4(struct xdp_md* ctx, struct parsed* parsed) {
    struct iphdr* ip = (void*)(long)ctx->data + sizeof(struct ethhdr);

    if ((void*)(ip + 1) > (void*)(long)ctx->data_end || ip->ihl != 5)
        return -1;
    parsed->at += sizeof(*ip);
    parsed->kind = ip->protocol;
    parsed->summary = ip->saddr ^ ip->daddr;
    return 0;
}

static __noinline int parse_ports(struct xdp_md* ctx, struct parsed* parsed) {
    struct ports* ports = (void*)(long)ctx->data + sizeof(struct ethhdr) + sizeof(struct iphdr);

    if ((void*)(ports + 1) > (void*)(long)ctx->data_end)
        return -1;
    parsed->summary ^= (__u32)ports->source << 16 | ports->dest;
    return 0;
}

static __noinline int decide(const struct parsed* parsed) {
    return parsed->summary == 0 ? XDP_DROP : XDP_PASS;
}

SEC("xdp")

int subprograms(struct xdp_md* ctx) {
    struct parsed parsed = {};

    if (parse_ethernet(ctx, &parsed))
        return XDP_DROP;
    if (parsed.kind != ETH_P_IP)
        return XDP_PASS;
    if (parse_ipv4(ctx, &parsed))
        return XDP_DROP;
    if (parsed.kind != IPPROTO_TCP && parsed.kind != IPPROTO_UDP)
        return XDP_PASS;
    if (parse_ports(ctx, &parsed))
        return XDP_DROP;
    return decide(&parsed);
}

char _license[] SEC("license") = "Dual BSD/GPL";
