// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// The other half of the linked object: a global function, a variable, and a map that both use.
#include "linked.h"

__u64 others = 100;
const volatile __u32 long_from = 64;

/// Defined by the main half.
extern struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __type(key, __u32);
    __type(value, __u64);
    __uint(max_entries, 8);
} lengths SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __type(key, __u32);
    __type(value, __u64);
    __uint(max_entries, 2);
} totals SEC(".maps");

__noinline int verdict_of(__u32 length) {
    __u32 key = length >= long_from;
    __u64* total = bpf_map_lookup_elem(&totals, &key);
    if (total) {
        *total += length;
    }
    remember(&lengths, 1000 + key);
    return key ? XDP_TX : XDP_DROP;
}

char _license[] SEC("license") = "Dual BSD/GPL";
