// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// Programs that do what the frame asks for (orders.h): one for ports, one for entries of devmaps,
// one for entries of cpumaps. Each leaves in the frame what it saw, and counts its runs.
#include "tests/conformance/redirect/orders.h"

#include <bpf/bpf_helpers.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>

struct {
    __uint(type, BPF_MAP_TYPE_DEVMAP);
    __uint(max_entries, 8);
    __type(key, __u32);
    __type(value, struct bpf_devmap_val);
} devices SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
    __uint(max_entries, 8);
    __type(key, __u32);
    __type(value, struct bpf_devmap_val);
} hashed_devices SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_CPUMAP);
    __uint(max_entries, 2);
    __type(key, __u32);
    __type(value, struct bpf_cpumap_val);
} cpus SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 3);
    __type(key, __u32);
    __type(value, __u64);
} runs SEC(".maps");

static __always_inline void count(__u32 program) {
    __u64* value = bpf_map_lookup_elem(&runs, &program);
    if (value)
        __sync_fetch_and_add(value, 1);
}

static __always_inline struct Order* order_of(struct xdp_md* ctx) {
    void* data = (void*)(long)ctx->data;
    void* data_end = (void*)(long)ctx->data_end;
    struct Order* order = data + sizeof(struct ethhdr);

    return (void*)(order + 1) > data_end ? 0 : order;
}

SEC("xdp")

int on_port(struct xdp_md* ctx) {
    struct Order* order = order_of(ctx);

    count(0);
    if (!order)
        return XDP_PASS;
    order->main_ingress = ctx->ingress_ifindex;
    order->main_queue = ctx->rx_queue_index;
    switch (order->what) {
        case ORDER_VERDICT:
            return order->key;
        case ORDER_IFINDEX:
            return bpf_redirect(order->key, order->flags);
        case ORDER_DEVMAP:
            return bpf_redirect_map(&devices, order->key, order->flags);
        case ORDER_DEVMAP_HASH:
            return bpf_redirect_map(&hashed_devices, order->key, order->flags);
        case ORDER_CPUMAP:
            return bpf_redirect_map(&cpus, order->key, order->flags);
        case ORDER_TWICE:
            bpf_redirect(order->second, 0);
            return bpf_redirect_map(&devices, order->key, order->flags);
        case ORDER_INSIST:
            bpf_redirect_map(&devices, order->key, order->flags);
            return XDP_REDIRECT;
        case ORDER_STALE:
            bpf_redirect(order->second, 0);
            bpf_redirect_map(&devices, order->key, order->flags);
            return XDP_REDIRECT;
        case ORDER_REFUSED:
            bpf_redirect_map(&devices, order->key, order->flags);
            bpf_redirect(order->second, 1);
            return XDP_REDIRECT;
    }
    return XDP_ABORTED;
}

static __always_inline int act(struct xdp_md* ctx, __u32 what, __u32 second) {
    switch (what) {
        case ORDER_ON_IFINDEX:
            return bpf_redirect(second, 0);
        case ORDER_ON_DEVMAP:
            return bpf_redirect_map(&devices, second, 0);
        case ORDER_ON_CPUMAP:
            return bpf_redirect_map(&cpus, second, 0);
        case ORDER_ON_BROADCAST:
            return bpf_redirect_map(&hashed_devices, 0, BPF_F_BROADCAST | BPF_F_EXCLUDE_INGRESS);
        case ORDER_RESIZE:
            return bpf_xdp_adjust_tail(ctx, second) ? XDP_DROP : XDP_PASS;
    }
    return what;
}

SEC("xdp/devmap")

int in_slot(struct xdp_md* ctx) {
    struct Order* order = order_of(ctx);

    count(1);
    if (!order)
        return XDP_PASS;
    order->slot_ingress = ctx->ingress_ifindex;
    order->slot_egress = ctx->egress_ifindex;
    order->slot_queue = ctx->rx_queue_index + 1;
    return act(ctx, order->slot, order->second);
}

SEC("xdp/cpumap")

int on_cpu(struct xdp_md* ctx) {
    struct Order* order = order_of(ctx);

    count(2);
    if (!order)
        return XDP_PASS;
    order->cpu_ingress = ctx->ingress_ifindex;
    order->cpu_queue = ctx->rx_queue_index + 1;
    if (order->hops >= ORDER_HOPS_MAX)
        return XDP_PASS;
    order->hops++;
    return act(ctx, order->on_cpu, order->second);
}

/// For the far ends of the kernel's veth pairs, which take redirected frames only with a program.
SEC("xdp")

int far_end(struct xdp_md* ctx) {
    return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
