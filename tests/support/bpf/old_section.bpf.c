// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// A section name that libbpf took for XDP before 1.0, a map that wants to be pinned.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u32);
    __uint(pinning, LIBBPF_PIN_BY_NAME);
} pinned SEC(".maps");

SEC("xdp_drop_all")
int drops(struct xdp_md* ctx) {
    __u32 key = 0;
    return bpf_map_lookup_elem(&pinned, &key) ? XDP_DROP : XDP_ABORTED;
}

char _license[] SEC("license") = "Dual BSD/GPL";
