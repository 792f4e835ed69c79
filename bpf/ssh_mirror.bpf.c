// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// Sends TCP segments from or to port 22 back where they came from: swaps MAC addresses, IP
// addresses and ports, XDP_TX. Everything else passes. No checksum changes, because every swapped
// pair stands in the same sum. IPv4 with options and IPv6 with extension headers, each plain or
// behind VLAN tags; of a fragmented segment only the first fragment has ports, the others pass.
#include "packet.h"

#define SSH_PORT 22

static __always_inline void swap_mac(struct ethhdr* eth) {
    __u8 address[ETH_ALEN];

    __builtin_memcpy(address, eth->h_source, ETH_ALEN);
    __builtin_memcpy(eth->h_source, eth->h_dest, ETH_ALEN);
    __builtin_memcpy(eth->h_dest, address, ETH_ALEN);
}

// True when the ports were those of SSH; they are swapped then.
static __always_inline int swap_ssh_ports(const struct transport* transport, void* data_end) {
    struct tcphdr* tcp = transport->header;
    __be16 port;

    if (transport->protocol != IPPROTO_TCP || transport->is_later_fragment)
        return 0;
    if ((void*)(tcp + 1) > data_end)
        return 0;
    if (tcp->source != bpf_htons(SSH_PORT) && tcp->dest != bpf_htons(SSH_PORT))
        return 0;
    port = tcp->source;
    tcp->source = tcp->dest;
    tcp->dest = port;
    return 1;
}

SEC("xdp")
int ssh_mirror(struct xdp_md* ctx) {
    void* data = (void*)(long)ctx->data;
    void* data_end = (void*)(long)ctx->data_end;
    struct transport transport;
    __be16 protocol;
    void* next;

    next = network_header(data, data_end, &protocol);
    if (!next)
        return XDP_PASS;

    if (protocol == bpf_htons(ETH_P_IP)) {
        struct iphdr* ip = ipv4_header(next, data_end, &transport);
        __be32 address;

        if (!ip || !swap_ssh_ports(&transport, data_end))
            return XDP_PASS;
        address = ip->saddr;
        ip->saddr = ip->daddr;
        ip->daddr = address;
    } else if (protocol == bpf_htons(ETH_P_IPV6)) {
        struct ipv6hdr* ip = ipv6_header(next, data_end, &transport);
        struct in6_addr address;

        if (!ip || !swap_ssh_ports(&transport, data_end))
            return XDP_PASS;
        address = ip->saddr;
        ip->saddr = ip->daddr;
        ip->daddr = address;
    } else {
        return XDP_PASS;
    }
    swap_mac(data);
    return XDP_TX;
}

char _license[] SEC("license") = "Dual BSD/GPL";
