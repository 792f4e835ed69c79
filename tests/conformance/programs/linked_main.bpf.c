// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// One half of an object that `bpftool gen object` links: has the program and calls the other half,
// linked_other.bpf.c. The linked object is made a skeleton, whose user is skeleton_tool.c.
#include "linked.h"

const volatile __u32 only_port = 0;
__u64 seen = 0;
__u32 last_length = 7;
char note[8] = "main";

extern __u64 others;

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __type(key, __u32);
    __type(value, __u64);
    __uint(max_entries, 8);
} lengths SEC(".maps");

SEC("xdp")

int counts(struct xdp_md* ctx) {
    const __u32 length = (__u32)(ctx->data_end - ctx->data);
    if (only_port != 0 && ctx->ingress_ifindex != only_port) {
        ++others;
        return XDP_PASS;
    }
    ++seen;
    last_length = length;
    remember(&lengths, length);
    return verdict_of(length);
}

SEC("xdp")

int drops(struct xdp_md* ctx) {
    (void)ctx;
    note[0] = 'D';
    return XDP_DROP;
}

char _license[] SEC("license") = "Dual BSD/GPL";
