// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// A legacy map by a struct that nobody knows.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct {
    __u32 type, key_size, value_size, max_entries, map_flags, secret;
} strange SEC("maps") = {BPF_MAP_TYPE_ARRAY, 4, 8, 1, 0, 4711};

SEC("xdp")

int looks_up(struct xdp_md* ctx) {
    __u32 key = 0;
    return bpf_map_lookup_elem(&strange, &key) ? XDP_PASS : XDP_DROP;
}

char _license[] SEC("license") = "Dual BSD/GPL";
