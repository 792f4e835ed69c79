// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// Destination NAT with incremental checksums (RFC 1624): address and port are replaced, IP and
// transport checksums follow. The translation is an exclusive-or, so that a second run undoes the
// first and a buffer can be run over and over.
#include "packet.h"

#include <linux/tcp.h>

#define ADDRESS_MASK bpf_htonl(0x00a55a01)
#define PORT_MASK bpf_htons(0x0f1e)

static __always_inline __u32 folded(__u32 sum) {
    sum = (sum & 0xffff) + (sum >> 16);
    return (sum & 0xffff) + (sum >> 16);
}

// The sum of what changed, to be added to a checksum.
static __always_inline __u32 change(__be32 before, __be32 after) {
    return folded((~before & 0xffff) + (~before >> 16 & 0xffff) + (after & 0xffff) + (after >> 16));
}

static __always_inline __sum16 updated(__sum16 check, __u32 sum) {
    return (__sum16)~folded((__u32)(__u16)~check + sum);
}

SEC("xdp")

int nat(struct xdp_md* ctx) {
    void* data = (void*)(long)ctx->data;
    void* data_end = (void*)(long)ctx->data_end;
    struct ethhdr* eth = data;
    struct iphdr* ip = data + sizeof(*eth);
    struct tcphdr* tcp = (void*)(ip + 1);
    __be32 address;
    __be16 port;
    __u32 sum;

    if ((void*)(tcp + 1) > data_end || eth->h_proto != bpf_htons(ETH_P_IP) || ip->ihl != 5 ||
        ip->protocol != IPPROTO_TCP)
        return XDP_PASS;
    address = ip->daddr ^ ADDRESS_MASK;
    port = tcp->dest ^ PORT_MASK;
    sum = change(ip->daddr, address);
    ip->check = updated(ip->check, sum);
    tcp->check = updated(tcp->check, sum + change(tcp->dest, port));
    ip->daddr = address;
    tcp->dest = port;
    return XDP_TX;
}

char _license[] SEC("license") = "Dual BSD/GPL";
