// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// An object as iproute2 loads it: maps with ids, a program put into a slot by its section's name, a
// map put into a slot of another, entry programs that are static, a section that says nothing.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct bpf_elf_map {
    __u32 type, size_key, size_value, max_elem, flags, id, pinning, inner_id, inner_idx;
};

enum { JUMPS = 7, COUNTS = 42 };

struct bpf_elf_map outer SEC("maps") = {
    .type = BPF_MAP_TYPE_ARRAY_OF_MAPS,
    .size_key = 4,
    .size_value = 4,
    .max_elem = 4,
    .inner_id = COUNTS,
};

struct bpf_elf_map counts SEC("maps") = {
    .type = BPF_MAP_TYPE_ARRAY,
    .size_key = 4,
    .size_value = 8,
    .max_elem = 1,
    .id = COUNTS,
    .pinning = 2,
    .inner_idx = 2,
};

struct bpf_elf_map jumps SEC("maps") = {
    .type = BPF_MAP_TYPE_PROG_ARRAY,
    .size_key = 4,
    .size_value = 4,
    .max_elem = 4,
    .id = JUMPS,
};

__attribute__((used)) SEC("prog") static int enters(struct xdp_md* ctx) {
    bpf_tail_call(ctx, &jumps, 3);
    return XDP_ABORTED;
}

__attribute__((used)) SEC("7/3") static int counts_by_the_outer_map(struct xdp_md* ctx) {
    __u32 slot = 2;
    __u32 key = 0;
    void* inner = bpf_map_lookup_elem(&outer, &slot);
    __u64* count = inner ? bpf_map_lookup_elem(inner, &key) : 0;
    if (!count) {
        return XDP_DROP;
    }
    ++*count;
    return XDP_TX;
}

char _license[] SEC("license") = "Dual BSD/GPL";
