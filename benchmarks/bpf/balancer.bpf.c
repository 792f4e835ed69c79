// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// A load balancer of layer 4: service by address, port and protocol (hash map), flow to a server by
// a ring of slots (array), the server's MAC address (array). Sends the frame back out.
#include "packet.h"

#define RING_SLOTS 1024
#define SERVERS_MAX 16

struct service_key {
    __be32 address;
    __be16 port;
    __u16 protocol;
};

struct service {
    __u32 seed;
};

struct server {
    __u8 mac[ETH_ALEN];
    __u16 weight;
};

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 512);
    __type(key, struct service_key);
    __type(value, struct service);
} services SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, RING_SLOTS);
    __type(key, __u32);
    __type(value, __u32);
} ring SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, SERVERS_MAX);
    __type(key, __u32);
    __type(value, struct server);
} servers SEC(".maps");

static __always_inline __u32 mixed(__u32 hash, __u32 word) {
    hash = (hash ^ word) * 0x9e3779b1;
    return hash ^ (hash >> 15);
}

SEC("xdp")

int balancer(struct xdp_md* ctx) {
    void* data = (void*)(long)ctx->data;
    void* data_end = (void*)(long)ctx->data_end;
    struct ethhdr* eth = data;
    struct iphdr* ip = data + sizeof(*eth);
    struct ports* ports = (void*)(ip + 1);
    struct service_key key = {};
    const struct service* service;
    const struct server* server;
    const __u32* entry;
    __u32 hash;

    if ((void*)(ports + 1) > data_end)
        return XDP_PASS;
    if (eth->h_proto != bpf_htons(ETH_P_IP) || ip->ihl != 5)
        return XDP_PASS;
    key.address = ip->daddr;
    key.port = ports->dest;
    key.protocol = ip->protocol;
    service = bpf_map_lookup_elem(&services, &key);
    if (!service)
        return XDP_PASS;
    hash = mixed(service->seed, ip->saddr);
    hash = mixed(hash, (__u32)ports->source << 16 | ports->dest);
    hash %= RING_SLOTS;
    entry = bpf_map_lookup_elem(&ring, &hash);
    if (!entry)
        return XDP_DROP;
    server = bpf_map_lookup_elem(&servers, entry);
    if (!server)
        return XDP_DROP;
    __builtin_memcpy(eth->h_dest, server->mac, ETH_ALEN);
    return XDP_TX;
}

char _license[] SEC("license") = "Dual BSD/GPL";
