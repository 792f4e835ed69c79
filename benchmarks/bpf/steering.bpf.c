// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// The least programs of each way a frame may go: what is measured is the way.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct {
    __uint(type, BPF_MAP_TYPE_DEVMAP);
    __uint(max_entries, 2);  // 0: without a program, 1: with one
    __type(key, __u32);
    __type(value, struct bpf_devmap_val);
} ports SEC(".maps");

SEC("xdp")
int drop(struct xdp_md* ctx) {
    return XDP_DROP;
}

SEC("xdp")
int tx(struct xdp_md* ctx) {
    return XDP_TX;
}

SEC("xdp")
int to_port(struct xdp_md* ctx) {
    return bpf_redirect_map(&ports, 0, 0);
}

SEC("xdp")
int to_port_with_program(struct xdp_md* ctx) {
    return bpf_redirect_map(&ports, 1, 0);
}

SEC("xdp/devmap")
int in_slot(struct xdp_md* ctx) {
    return XDP_PASS;
}

/// For the far end of the kernel's pair: what arrives ends there.
SEC("xdp")
int far_end(struct xdp_md* ctx) {
    return XDP_DROP;
}

char _license[] SEC("license") = "Dual BSD/GPL";
