// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// Connection tracking in an LRU hash: a known flow is counted, a new one is entered.
#include "packet.h"

struct flow {
    __be32 source;
    __be32 destination;
    __be16 source_port;
    __be16 destination_port;
    __u32 protocol;
};

struct connection {
    __u64 packets;
    __u64 bytes;
};

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 4096);
    __type(key, struct flow);
    __type(value, struct connection);
} connections SEC(".maps");

SEC("xdp")

int conntrack(struct xdp_md* ctx) {
    void* data = (void*)(long)ctx->data;
    void* data_end = (void*)(long)ctx->data_end;
    struct ethhdr* eth = data;
    struct iphdr* ip = data + sizeof(*eth);
    struct ports* ports = (void*)(ip + 1);
    struct connection* known;
    struct flow flow = {};

    if ((void*)(ports + 1) > data_end || eth->h_proto != bpf_htons(ETH_P_IP) || ip->ihl != 5)
        return XDP_PASS;
    flow.source = ip->saddr;
    flow.destination = ip->daddr;
    flow.source_port = ports->source;
    flow.destination_port = ports->dest;
    flow.protocol = ip->protocol;
    known = bpf_map_lookup_elem(&connections, &flow);
    if (known) {
        known->packets += 1;
        known->bytes += data_end - data;
        return XDP_TX;
    }
    struct connection fresh = {.packets = 1, .bytes = data_end - data};

    return bpf_map_update_elem(&connections, &flow, &fresh, BPF_NOEXIST) ? XDP_DROP : XDP_TX;
}

char _license[] SEC("license") = "Dual BSD/GPL";
