// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// Arrays: plain, per CPU, mappable; global data of each kind; a spin lock in the value.
#include "face.h"

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 16);
    __type(key, __u32);
    __type(value, struct five_words);
} plain SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 16);
    __uint(map_flags, BPF_F_MMAPABLE);
    __type(key, __u32);
    __type(value, __u64);
} mappable SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 8);
    __type(key, __u32);
    __type(value, __u64);
} per_cpu SEC(".maps");

struct locked {
    struct bpf_spin_lock lock;
    __u32 count;
    __u64 bytes;
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 4);
    __type(key, __u32);
    __type(value, struct locked);
} locks SEC(".maps");

const volatile __u32 factor = 7;
__u64 total = 100;
__u64 packets;
static __u8 last[32];

SEC("xdp")

int array_write(struct xdp_md* ctx) {
    __u32 key = byte_at(ctx, KEY_OFFSET) & 31;
    struct five_words* value = bpf_map_lookup_elem(&plain, &key);

    if (!value)
        return XDP_DROP;
    for (int i = 0; i < 5; i++) value->word[i] += byte_at(ctx, KEY_OFFSET + i);
    return XDP_PASS;
}

SEC("xdp")

int array_update(struct xdp_md* ctx) {
    __u32 key = byte_at(ctx, KEY_OFFSET) & 31;
    struct five_words value = {{1, 2, 3, 4, key}};

    return -bpf_map_update_elem(&plain, &key, &value, byte_at(ctx, KEY_OFFSET + 1) & 3);
}

SEC("xdp")

int array_mappable(struct xdp_md* ctx) {
    __u32 key = byte_at(ctx, KEY_OFFSET) & 15;
    __u64* value = bpf_map_lookup_elem(&mappable, &key);

    if (value)
        __sync_fetch_and_add(value, factor);
    return XDP_PASS;
}

SEC("xdp")

int array_per_cpu(struct xdp_md* ctx) {
    __u32 key = byte_at(ctx, KEY_OFFSET) & 7;
    __u64* value = bpf_map_lookup_elem(&per_cpu, &key);

    if (value)
        *value += byte_at(ctx, KEY_OFFSET + 1);
    return XDP_TX;
}

SEC("xdp")

int array_locked(struct xdp_md* ctx) {
    __u32 key = byte_at(ctx, KEY_OFFSET) & 3;
    struct locked* value = bpf_map_lookup_elem(&locks, &key);

    if (!value)
        return XDP_ABORTED;
    bpf_spin_lock(&value->lock);
    value->count++;
    value->bytes += ctx->data_end - ctx->data;
    bpf_spin_unlock(&value->lock);
    return XDP_PASS;
}

SEC("xdp")

int global_data(struct xdp_md* ctx) {
    __u32 at = byte_at(ctx, KEY_OFFSET) & 31;

    packets++;
    total += factor * (ctx->data_end - ctx->data);
    last[at] = byte_at(ctx, KEY_OFFSET + 1);
    return last[(at + 1) & 31] & 3;
}

char _license[] SEC("license") = "GPL";
