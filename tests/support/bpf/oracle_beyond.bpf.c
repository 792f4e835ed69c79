// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// Programs that the kernel runs and this version of Crema does not serve, one per BEYOND_*. They
// must be refused when they are loaded, with a reason, and not fail later.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

#if defined(BEYOND_HASH_MAP)
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 4);
    __type(key, __u32);
    __type(value, __u64);
} table SEC(".maps");

SEC("xdp")

int beyond(struct xdp_md* ctx) {
    __u32 key = ctx->ingress_ifindex;

    return bpf_map_lookup_elem(&table, &key) ? XDP_DROP : XDP_PASS;
}
#elif defined(BEYOND_MERGED_MAPS)
struct {
    __uint(type, BPF_MAP_TYPE_DEVMAP);
    __uint(max_entries, 4);
    __type(key, __u32);
    __type(value, __u32);
} left SEC(".maps"), right SEC(".maps");

SEC("xdp")

int beyond(struct xdp_md* ctx) {
    void* map = ctx->rx_queue_index ? (void*)&left : (void*)&right;

    return bpf_redirect_map(map, ctx->ingress_ifindex, 0);
}
#elif defined(BEYOND_HELPER)
SEC("xdp")

int beyond(struct xdp_md* ctx) {
    (void)ctx;
    return bpf_get_current_task_btf() ? XDP_DROP : XDP_PASS;
}
#elif defined(BEYOND_SUBPROGRAM)
static __attribute__((noinline)) int longer_than(struct xdp_md* ctx, __u32 bytes) {
    return ctx->data_end - ctx->data > bytes;
}

SEC("xdp")

int beyond(struct xdp_md* ctx) {
    return longer_than(ctx, ctx->ingress_ifindex) ? XDP_DROP : XDP_PASS;
}
#elif defined(BEYOND_XDP)
SEC("tc")

int beyond(struct __sk_buff* skb) {
    (void)skb;
    return TC_ACT_OK;
}
#else
#error "name one BEYOND_* case"
#endif

char _license[] SEC("license") = "Dual BSD/GPL";
