// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// Hash maps of every kind: lookup, update with each flag, delete, counting in place.
#include "face.h"

#define HASH(name_, type_, flags_) \
    struct {                       \
        __uint(type, type_);       \
        __uint(max_entries, 64);   \
        __uint(map_flags, flags_); \
        __type(key, __u32);        \
        __type(value, __u64);      \
    } name_ SEC(".maps")

HASH(plain, BPF_MAP_TYPE_HASH, 0);
HASH(allocated, BPF_MAP_TYPE_HASH, BPF_F_NO_PREALLOC);
HASH(per_cpu, BPF_MAP_TYPE_PERCPU_HASH, 0);
HASH(recent, BPF_MAP_TYPE_LRU_HASH, 0);
HASH(recent_per_cpu, BPF_MAP_TYPE_LRU_PERCPU_HASH, 0);

struct wide_key {
    __u8 bytes[20];
};

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 16);
    __type(key, struct wide_key);
    __type(value, struct five_words);
} wide SEC(".maps");

static __always_inline int count_in(void* map, __u32 key) {
    __u64 one = 1;
    __u64* seen = bpf_map_lookup_elem(map, &key);

    if (seen) {
        *seen += 1;
        return XDP_PASS;
    }
    return bpf_map_update_elem(map, &key, &one, BPF_NOEXIST) ? XDP_DROP : XDP_TX;
}

SEC("xdp")

int hash_count(struct xdp_md* ctx) {
    return count_in(&plain, byte_at(ctx, KEY_OFFSET));
}

SEC("xdp")

int hash_allocated(struct xdp_md* ctx) {
    return count_in(&allocated, byte_at(ctx, KEY_OFFSET) << 8);
}

SEC("xdp")

int hash_per_cpu(struct xdp_md* ctx) {
    return count_in(&per_cpu, byte_at(ctx, KEY_OFFSET));
}

SEC("xdp")

int hash_lru(struct xdp_md* ctx) {
    return count_in(&recent, byte_at(ctx, KEY_OFFSET));
}

SEC("xdp")

int hash_lru_per_cpu(struct xdp_md* ctx) {
    return count_in(&recent_per_cpu, byte_at(ctx, KEY_OFFSET));
}

// The verdict is the error of the call.
SEC("xdp")

int hash_flags(struct xdp_md* ctx) {
    __u32 key = byte_at(ctx, KEY_OFFSET);
    __u64 value = key * 3;

    return -bpf_map_update_elem(&plain, &key, &value, byte_at(ctx, KEY_OFFSET + 1) & 3);
}

SEC("xdp")

int hash_delete(struct xdp_md* ctx) {
    __u32 key = byte_at(ctx, KEY_OFFSET);

    return -bpf_map_delete_elem(&plain, &key);
}

SEC("xdp")

int hash_wide(struct xdp_md* ctx) {
    struct wide_key key = {};
    struct five_words value = {};

    for (int i = 0; i < 20; i++) key.bytes[i] = byte_at(ctx, KEY_OFFSET + i % 4);
    for (int i = 0; i < 5; i++) value.word[i] = byte_at(ctx, KEY_OFFSET + i) * 0x01010101;
    return -bpf_map_update_elem(&wide, &key, &value, BPF_ANY);
}

char _license[] SEC("license") = "GPL";
