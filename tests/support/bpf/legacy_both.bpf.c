// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// Defines one map as objects did before BTF and others as of today, as Cilium's objects do: a
// program array by iproute2's struct, whose slots programs fill by their sections' names. The maps
// of today lie in front of and behind each other in another order than their names.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct legacy_map {
    __u32 type, size_key, size_value, max_elem, flags, id, pinning, inner_id, inner_idx;
};

struct legacy_map jumps SEC("maps") = {BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 4, 0, 7, 0, 0, 0};

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __type(key, __u32);
    __type(value, __u64);
    __uint(max_entries, 16);
} seen SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __type(key, __u32);
    __type(value, __u64);
    __uint(max_entries, 2);
} counts SEC(".maps");

static __always_inline void count(__u32 key) {
    __u64* value = bpf_map_lookup_elem(&counts, &key);
    if (value) {
        ++*value;
    }
}

SEC("7/2")

int target(struct xdp_md* ctx) {
    __u32 key = 5;
    __u64 value = 6;
    count(1);
    bpf_map_update_elem(&seen, &key, &value, BPF_ANY);
    return XDP_TX;
}

SEC("xdp")

int enters(struct xdp_md* ctx) {
    count(0);
    bpf_tail_call(ctx, &jumps, 2);
    return XDP_ABORTED;
}

char _license[] SEC("license") = "Dual BSD/GPL";
