// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// Tries, maps of maps, queues, stacks, bloom filters and ring buffers.
#include "face.h"

struct prefix {
    __u32 length;
    __u8 address[4];
};

struct {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(max_entries, 32);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct prefix);
    __type(value, __u32);
} routes SEC(".maps");

struct inner {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 4);
    __type(key, __u32);
    __type(value, __u64);
};

struct inner first SEC(".maps");
struct inner second SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
    __uint(max_entries, 4);
    __type(key, __u32);
    __array(values, struct inner);
} by_index SEC(".maps") = {.values = {&first, 0, &second}};

struct {
    __uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
    __uint(max_entries, 4);
    __type(key, __u32);
    __array(values, struct inner);
} by_key SEC(".maps") = {.values = {&second, &first}};

struct {
    __uint(type, BPF_MAP_TYPE_QUEUE);
    __uint(max_entries, 4);
    __type(value, __u32);
} queue SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_STACK);
    __uint(max_entries, 4);
    __type(value, __u32);
} stack SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_BLOOM_FILTER);
    __uint(max_entries, 64);
    __type(value, __u32);
} seen SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 4096);
} records SEC(".maps");

SEC("xdp")

int trie_lookup(struct xdp_md* ctx) {
    struct prefix key = {.length = 32};

    for (int i = 0; i < 4; i++) key.address[i] = byte_at(ctx, KEY_OFFSET + i);

    __u32* found = bpf_map_lookup_elem(&routes, &key);

    return found ? *found : XDP_DROP;
}

SEC("xdp")

int trie_update(struct xdp_md* ctx) {
    struct prefix key = {.length = byte_at(ctx, KEY_OFFSET + 4) & 63};
    __u32 value = byte_at(ctx, KEY_OFFSET + 5);

    for (int i = 0; i < 4; i++) key.address[i] = byte_at(ctx, KEY_OFFSET + i);
    return -bpf_map_update_elem(&routes, &key, &value, BPF_ANY);
}

SEC("xdp")

int trie_delete(struct xdp_md* ctx) {
    struct prefix key = {.length = 8, .address = {byte_at(ctx, KEY_OFFSET)}};

    return -bpf_map_delete_elem(&routes, &key);
}

static __always_inline int count_in(void* inner, __u32 key) {
    __u64* value = inner ? bpf_map_lookup_elem(inner, &key) : 0;

    if (!value)
        return XDP_DROP;
    *value += 1;
    return XDP_PASS;
}

SEC("xdp")

int nested_array(struct xdp_md* ctx) {
    __u32 outer = byte_at(ctx, KEY_OFFSET) & 3;

    return count_in(bpf_map_lookup_elem(&by_index, &outer), byte_at(ctx, KEY_OFFSET + 1) & 7);
}

SEC("xdp")

int nested_hash(struct xdp_md* ctx) {
    __u32 outer = byte_at(ctx, KEY_OFFSET) & 3;

    return count_in(bpf_map_lookup_elem(&by_key, &outer), byte_at(ctx, KEY_OFFSET + 1) & 3);
}

SEC("xdp")

int queue_push(struct xdp_md* ctx) {
    __u32 value = byte_at(ctx, KEY_OFFSET);

    return -bpf_map_push_elem(&queue, &value, value & 1 ? BPF_EXIST : 0);
}

SEC("xdp")

int queue_pop(struct xdp_md* ctx) {
    __u32 value = 0;

    if (bpf_map_pop_elem(&queue, &value))
        return XDP_DROP;
    return value & 0xff;
}

SEC("xdp")

int stack_push_peek(struct xdp_md* ctx) {
    __u32 value = byte_at(ctx, KEY_OFFSET);
    __u32 top = 0;

    bpf_map_push_elem(&stack, &value, BPF_EXIST);
    bpf_map_peek_elem(&stack, &top);
    return top == value ? XDP_PASS : XDP_DROP;
}

SEC("xdp")

int bloom(struct xdp_md* ctx) {
    __u32 value = byte_at(ctx, KEY_OFFSET);

    if (!bpf_map_peek_elem(&seen, &value))
        return XDP_TX;
    return bpf_map_push_elem(&seen, &value, 0) ? XDP_DROP : XDP_PASS;
}

SEC("xdp")

int ring_output(struct xdp_md* ctx) {
    struct five_words record = {{1, 2, 3, 4, byte_at(ctx, KEY_OFFSET)}};

    return -bpf_ringbuf_output(&records, &record, sizeof(record), 0);
}

SEC("xdp")

int ring_reserve(struct xdp_md* ctx) {
    __u64* record = bpf_ringbuf_reserve(&records, 8, 0);

    if (!record)
        return XDP_DROP;
    *record = byte_at(ctx, KEY_OFFSET);
    if (byte_at(ctx, KEY_OFFSET) & 1)
        bpf_ringbuf_submit(record, 0);
    else
        bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
    return bpf_ringbuf_query(&records, BPF_RB_AVAIL_DATA) & 0xff;
}

char _license[] SEC("license") = "GPL";
