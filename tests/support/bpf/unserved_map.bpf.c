// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// Defines a map of a type that no room here implements (groups of processes: a frame has none).
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct {
    __uint(type, BPF_MAP_TYPE_CGROUP_ARRAY);
    __uint(max_entries, 4);
    __uint(key_size, 4);
    __uint(value_size, 4);
} groups SEC(".maps");

SEC("xdp")
int passes(struct xdp_md* ctx) {
    return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
