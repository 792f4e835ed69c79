// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// A packet filter by source prefix (LPM trie): the longest match says pass or drop.
#include "packet.h"

struct prefix {
    __u32 bits;
    __be32 address;
};

struct {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(max_entries, 1024);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct prefix);
    __type(value, __u32);
} rules SEC(".maps");

SEC("xdp")

int firewall(struct xdp_md* ctx) {
    void* data = (void*)(long)ctx->data;
    void* data_end = (void*)(long)ctx->data_end;
    struct ethhdr* eth = data;
    struct iphdr* ip = data + sizeof(*eth);
    struct prefix key = {.bits = 32};
    const __u32* verdict;

    if ((void*)(ip + 1) > data_end || eth->h_proto != bpf_htons(ETH_P_IP))
        return XDP_PASS;
    key.address = ip->saddr;
    verdict = bpf_map_lookup_elem(&rules, &key);
    return verdict ? (int)*verdict : XDP_DROP;
}

char _license[] SEC("license") = "Dual BSD/GPL";
