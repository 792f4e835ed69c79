// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// Helpers on the packet, on numbers and strings; functions, callbacks and loops.
#include "face.h"

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 4);
    __type(key, __u32);
    __type(value, __s64);
} results SEC(".maps");

static __always_inline void keep(__u32 key, __s64 value) {
    bpf_map_update_elem(&results, &key, &value, BPF_ANY);
}

SEC("xdp")

int head_grow(struct xdp_md* ctx) {
    keep(0, bpf_xdp_adjust_head(ctx, -(int)byte_at(ctx, KEY_OFFSET)));
    return XDP_TX;
}

SEC("xdp")

int head_shrink(struct xdp_md* ctx) {
    keep(0, bpf_xdp_adjust_head(ctx, byte_at(ctx, KEY_OFFSET)));
    return XDP_PASS;
}

SEC("xdp")

int tail_move(struct xdp_md* ctx) {
    keep(1, bpf_xdp_adjust_tail(ctx, (int)byte_at(ctx, KEY_OFFSET) - 64));
    return XDP_PASS;
}

SEC("xdp")

int meta_store(struct xdp_md* ctx) {
    long error = bpf_xdp_adjust_meta(ctx, -(int)(byte_at(ctx, KEY_OFFSET) & 0x7f));
    __u32* meta = (void*)(long)ctx->data_meta;
    void* data = (void*)(long)ctx->data;

    keep(2, error);
    if ((void*)(meta + 1) <= data)
        *meta = 0x11223344;
    return XDP_PASS;
}

SEC("xdp")

int bytes_load_store(struct xdp_md* ctx) {
    __u64 word = 0;
    __u32 offset = byte_at(ctx, KEY_OFFSET);

    keep(0, bpf_xdp_load_bytes(ctx, offset, &word, sizeof(word)));
    word = ~word;
    keep(1, bpf_xdp_store_bytes(ctx, offset, &word, sizeof(word)));
    keep(2, bpf_xdp_get_buff_len(ctx));
    keep(3, word);
    return XDP_PASS;
}

SEC("xdp")

int checksum(struct xdp_md* ctx) {
    __u32 before[3] = {byte_at(ctx, 14), byte_at(ctx, 15), 77};
    __u32 after[2] = {byte_at(ctx, 16), 0xffff0000};

    keep(0, bpf_csum_diff(before, sizeof(before), after, sizeof(after), 5));
    keep(1, bpf_csum_diff(0, 0, after, sizeof(after), 0));
    return XDP_PASS;
}

static const char wanted[] = "abc";

SEC("xdp")

int compare_text(struct xdp_md* ctx) {
    char text[4] = {byte_at(ctx, 14), byte_at(ctx, 15), byte_at(ctx, 16), 0};
    long order = bpf_strncmp(text, sizeof(text), wanted);

    return order < 0 ? XDP_DROP : order > 0 ? XDP_TX : XDP_PASS;
}

struct walk {
    struct xdp_md* ctx;
    __u64 sum;
};

static int add_byte(__u32 index, void* state) {
    struct walk* walk = state;

    walk->sum += index * 3;
    return index == 40;
}

SEC("xdp")

int loop_callback(struct xdp_md* ctx) {
    struct walk walk = {.ctx = ctx};

    keep(0, bpf_loop(byte_at(ctx, KEY_OFFSET), add_byte, &walk, 0));
    keep(1, walk.sum);
    return XDP_PASS;
}

__noinline int global_sum(__u32 a, __u32 b) {
    return a * 31 + b;
}

static __noinline __u32 static_sum(struct xdp_md* ctx, __u32 offset) {
    return global_sum(byte_at(ctx, offset), byte_at(ctx, offset + 1));
}

SEC("xdp")

int functions(struct xdp_md* ctx) {
    keep(3, static_sum(ctx, 14) + global_sum(static_sum(ctx, 15), 5));
    return XDP_PASS;
}

SEC("xdp")

int bounded_loop(struct xdp_md* ctx) {
    __u8* data = (void*)(long)ctx->data;
    __u8* end = (void*)(long)ctx->data_end;
    __u32 sum = 0;

    for (int i = 0; i < 64 && data + i + 1 <= end; i++) sum = sum * 33 + data[i];
    keep(0, sum);
    return sum & 3;
}

SEC("xdp")

int swap_addresses(struct xdp_md* ctx) {
    struct ethhdr* eth = (void*)(long)ctx->data;
    struct ethhdr copy;

    if ((void*)(eth + 1) > (void*)(long)ctx->data_end)
        return XDP_ABORTED;
    copy = *eth;
    __builtin_memcpy(eth->h_dest, copy.h_source, ETH_ALEN);
    __builtin_memcpy(eth->h_source, copy.h_dest, ETH_ALEN);
    eth->h_proto = bpf_htons(bpf_ntohs(copy.h_proto) + 1);
    return XDP_TX;
}

SEC("xdp")

int clock_runs(struct xdp_md* ctx) {
    __u64 before = bpf_ktime_get_ns();
    __u32 chance = bpf_get_prandom_u32();
    __u32 cpu = bpf_get_smp_processor_id();

    bpf_trace_printk("face %u", 8, byte_at(ctx, KEY_OFFSET));
    keep(0, bpf_ktime_get_ns() >= before && cpu < 4096 && (chance | 1) != 0);
    return XDP_PASS;
}

SEC("xdp")

int context_fields(struct xdp_md* ctx) {
    keep(0, ctx->ingress_ifindex);
    keep(1, ctx->rx_queue_index);
    keep(2, ctx->data_end - ctx->data);
    keep(3, ctx->data - ctx->data_meta);
    return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
