// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// A well-behaved object with everything that the loader has to find again: global data of three
// kinds, two kinds of maps, programs for a port, a devmap and a cpumap, a name longer than bpf(2)
// keeps, one program that the object itself leaves out, and one of another type.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

const volatile __u32 step = 3;
__u32 start = 40;
__u64 seen;

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 4);
    __type(key, __u32);
    __type(value, __u64);
} totals SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u64);
} per_cpu SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_CPUMAP);
    __uint(max_entries, 2);
    __type(key, __u32);
    __type(value, struct bpf_cpumap_val);
} cpus SEC(".maps");

SEC("xdp")
int count_with_a_long_name(struct xdp_md* ctx) {
    __u32 key = 1;
    __u64* total = bpf_map_lookup_elem(&totals, &key);
    if (!total)
        return XDP_ABORTED;
    seen += step;
    *total = start + seen;
    return XDP_PASS;
}

SEC("xdp")
int redirect_to_cpu(struct xdp_md* ctx) {
    return bpf_redirect_map(&cpus, 1, XDP_PASS);
}

SEC("xdp/devmap")
int on_egress(struct xdp_md* ctx) {
    return XDP_PASS;
}

SEC("xdp/cpumap")
int on_cpu(struct xdp_md* ctx) {
    __u32 key = 0;
    __u64* count = bpf_map_lookup_elem(&per_cpu, &key);
    if (count)
        *count += 1;
    return XDP_DROP;
}

SEC("?xdp")
int left_out(struct xdp_md* ctx) {
    return XDP_TX;
}

SEC("tc")
int for_tc(struct __sk_buff* skb) {
    return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
