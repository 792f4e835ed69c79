// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// Maps as the kernel's samples defined them: the inner map by its place in the section. One section
// per map, as some Go loaders want it, has one map more.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct bpf_map_def {
    __u32 type, key_size, value_size, max_entries, map_flags, inner_map_idx, numa_node;
};

struct bpf_map_def inner SEC("maps") = {BPF_MAP_TYPE_HASH, 4, 4, 8, 0, 0, 0};
struct bpf_map_def outer SEC("maps") = {BPF_MAP_TYPE_HASH_OF_MAPS, 4, 4, 8, 0, 0, 0};
struct bpf_map_def flag SEC("maps/flag") = {BPF_MAP_TYPE_ARRAY, 4, 4, 1, 0, 0, 0};

SEC("xdp")

int asks_both(struct xdp_md* ctx) {
    __u32 key = 0;
    __u32* value = bpf_map_lookup_elem(&flag, &key);
    void* map = bpf_map_lookup_elem(&outer, &key);
    return value && !map ? (int)*value + 2 : XDP_ABORTED;
}

char _license[] SEC("license") = "Dual BSD/GPL";
