// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// Defines its map as objects did before BTF; libbpf 1.0 and later refuse that.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct {
    __u32 type, key_size, value_size, max_entries, map_flags;
} totals SEC("maps") = {BPF_MAP_TYPE_ARRAY, 4, 8, 1, 0};

SEC("xdp")
int looks_up(struct xdp_md* ctx) {
    __u32 key = 0;
    return bpf_map_lookup_elem(&totals, &key) ? XDP_PASS : XDP_DROP;
}

char _license[] SEC("license") = "Dual BSD/GPL";
