// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// Redirects, tail calls and perf events. What the redirect helper answers is all that is asked:
// nothing is sent.
#include "face.h"

#define TARGETS(name_, type_, value_) \
    struct {                          \
        __uint(type, type_);          \
        __uint(max_entries, 4);       \
        __type(key, __u32);           \
        __type(value, value_);        \
    } name_ SEC(".maps")

TARGETS(ports, BPF_MAP_TYPE_DEVMAP, __u32);
TARGETS(ports_by_key, BPF_MAP_TYPE_DEVMAP_HASH, struct bpf_devmap_val);
TARGETS(cpus, BPF_MAP_TYPE_CPUMAP, struct bpf_cpumap_val);
TARGETS(sockets, BPF_MAP_TYPE_XSKMAP, __u32);
TARGETS(events, BPF_MAP_TYPE_PERF_EVENT_ARRAY, __u32);

int tail_pass(struct xdp_md* ctx);
int tail_again(struct xdp_md* ctx);

struct {
    __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
    __uint(max_entries, 4);
    __uint(key_size, sizeof(__u32));
    __array(values, int(void*));
} programs SEC(".maps") = {.values = {[0] = (void*)&tail_pass, [2] = (void*)&tail_again}};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u64);
} steps SEC(".maps");

static __always_inline void count_step(void) {
    __u32 key = 0;
    __u64* value = bpf_map_lookup_elem(&steps, &key);

    if (value)
        *value += 1;
}

SEC("xdp")

int tail_pass(struct xdp_md* ctx) {
    count_step();
    return XDP_PASS;
}

SEC("xdp")

int tail_again(struct xdp_md* ctx) {
    count_step();
    bpf_tail_call(ctx, &programs, 2);
    return XDP_TX;
}

SEC("xdp")

int tail_call(struct xdp_md* ctx) {
    count_step();
    bpf_tail_call(ctx, &programs, byte_at(ctx, KEY_OFFSET) & 7);
    return XDP_DROP;
}

SEC("xdp")

int redirect_ifindex(struct xdp_md* ctx) {
    return bpf_redirect(byte_at(ctx, KEY_OFFSET), byte_at(ctx, KEY_OFFSET + 1) & 1);
}

SEC("xdp")

int redirect_devmap(struct xdp_md* ctx) {
    return bpf_redirect_map(&ports, byte_at(ctx, KEY_OFFSET) & 7, XDP_PASS);
}

SEC("xdp")

int redirect_devmap_hash(struct xdp_md* ctx) {
    return bpf_redirect_map(&ports_by_key, byte_at(ctx, KEY_OFFSET) & 7, XDP_TX);
}

SEC("xdp")

int redirect_broadcast(struct xdp_md* ctx) {
    return bpf_redirect_map(&ports, 0, BPF_F_BROADCAST | BPF_F_EXCLUDE_INGRESS);
}

SEC("xdp")

int redirect_cpumap(struct xdp_md* ctx) {
    return bpf_redirect_map(&cpus, byte_at(ctx, KEY_OFFSET) & 3, XDP_DROP);
}

SEC("xdp")

int redirect_xskmap(struct xdp_md* ctx) {
    return bpf_redirect_map(&sockets, ctx->rx_queue_index, XDP_PASS);
}

SEC("xdp")

int perf_event(struct xdp_md* ctx) {
    __u32 word = byte_at(ctx, KEY_OFFSET);

    return -bpf_perf_event_output(ctx, &events, word & 7, &word, sizeof(word));
}

char _license[] SEC("license") = "GPL";
