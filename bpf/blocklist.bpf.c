// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// Drops IPv4 packets from blocked source networks, the longest prefix decides: `blocked` is a trie
// of networks with 1 (dropped) or 0 (an exception inside a larger network). Everything else passes.
// `hits` counts per CPU: 0 passed, 1 dropped.
#include "packet.h"

#define NETWORKS_MAX 4096

struct network {
    __u32 prefix;  // bits
    __be32 address;
};

struct {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(max_entries, NETWORKS_MAX);
    __type(key, struct network);
    __type(value, __u32);
    __uint(map_flags, BPF_F_NO_PREALLOC);
} blocked SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 2);
    __type(key, __u32);
    __type(value, __u64);
} hits SEC(".maps");

static __always_inline int count(__u32 dropped) {
    __u64* counter = bpf_map_lookup_elem(&hits, &dropped);

    if (counter)
        *counter += 1;
    return dropped ? XDP_DROP : XDP_PASS;
}

SEC("xdp")
int blocklist(struct xdp_md* ctx) {
    void* data = (void*)(long)ctx->data;
    void* data_end = (void*)(long)ctx->data_end;
    struct transport transport;
    struct network source;
    struct iphdr* ip;
    __be16 protocol;
    __u32* verdict;
    void* next;

    next = network_header(data, data_end, &protocol);
    if (!next || protocol != bpf_htons(ETH_P_IP))
        return count(0);
    ip = ipv4_header(next, data_end, &transport);
    if (!ip)
        return count(0);
    source.prefix = 32;
    source.address = ip->saddr;
    verdict = bpf_map_lookup_elem(&blocked, &source);
    return count(verdict && *verdict);
}

char _license[] SEC("license") = "Dual BSD/GPL";
