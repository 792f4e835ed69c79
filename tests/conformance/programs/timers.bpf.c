// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// Timers in the values of all map types that may have them. Each program does one thing to the
// timer of one element and returns what the helper said; callbacks leave traces in `marks`, which
// stays when the map of the timer goes. Bytes of the packet: key, flags or clock, milliseconds.
#include "face.h"

struct element {
    __u64 plain;
    struct bpf_timer timer;
    __u64 turns;
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 4);
    __type(key, __u32);
    __type(value, struct element);
} in_array SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 4);
    __type(key, __u32);
    __type(value, struct element);
} in_hash SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 4);
    __type(key, __u32);
    __type(value, struct element);
} in_lru SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 16);
    __type(key, __u32);
    __type(value, __s64);
} marks SEC(".maps");

enum { FIRED, KEY, TURNS, SELF_CANCEL, SELF_DELETE, SELF_INIT, VALUE };

static __always_inline void mark(__u32 what, __s64 value) {
    bpf_map_update_elem(&marks, &what, &value, BPF_ANY);
}

static __always_inline void count(__u32 what) {
    __s64* value = bpf_map_lookup_elem(&marks, &what);

    if (value)
        __sync_fetch_and_add(value, 1);
}

static int once(void* map, __u32* key, struct element* value) {
    mark(KEY, *key);
    mark(VALUE, value->plain);
    count(FIRED);
    return 0;
}

static int again(void* map, __u32* key, struct element* value) {
    value->turns++;
    mark(TURNS, value->turns);
    if (value->turns < 5)
        bpf_timer_start(&value->timer, 1000000, 0);
    return 0;
}

static int touch_itself(void* map, __u32* key, struct element* value) {
    mark(SELF_CANCEL, bpf_timer_cancel(&value->timer));
    count(FIRED);
    return 0;
}

static int delete_itself(void* map, __u32* key, struct element* value) {
    __u32 mine = *key;

    mark(SELF_DELETE, bpf_map_delete_elem(&in_hash, &mine));
    count(FIRED);
    return 0;
}

#define PROGRAMS(MAP)                                                                            \
    SEC("xdp") int MAP##_init(struct xdp_md* ctx) {                                              \
        __u32 key = byte_at(ctx, KEY_OFFSET);                                                    \
        struct element* value = bpf_map_lookup_elem(&MAP, &key);                                 \
                                                                                                 \
        return value ? -bpf_timer_init(&value->timer, &MAP, byte_at(ctx, KEY_OFFSET + 1)) : 200; \
    }                                                                                            \
                                                                                                 \
    SEC("xdp") int MAP##_start(struct xdp_md* ctx) {                                             \
        __u32 key = byte_at(ctx, KEY_OFFSET);                                                    \
        __u64 flags = byte_at(ctx, KEY_OFFSET + 1);                                              \
        __u64 ns = byte_at(ctx, KEY_OFFSET + 2) * 10000000ULL;                                   \
        struct element* value = bpf_map_lookup_elem(&MAP, &key);                                 \
                                                                                                 \
        if (flags & 1)                                                                           \
            ns += bpf_ktime_get_ns();                                                            \
        return value ? -bpf_timer_start(&value->timer, ns, flags) : 200;                         \
    }                                                                                            \
                                                                                                 \
    SEC("xdp") int MAP##_cancel(struct xdp_md* ctx) {                                            \
        __u32 key = byte_at(ctx, KEY_OFFSET);                                                    \
        struct element* value = bpf_map_lookup_elem(&MAP, &key);                                 \
        int code = value ? bpf_timer_cancel(&value->timer) : 200;                                \
                                                                                                 \
        return code < 0 ? -code : code + 100;                                                    \
    }                                                                                            \
                                                                                                 \
    SEC("xdp") int MAP##_set(struct xdp_md* ctx) {                                               \
        __u32 key = byte_at(ctx, KEY_OFFSET);                                                    \
        struct element* value = bpf_map_lookup_elem(&MAP, &key);                                 \
                                                                                                 \
        return value ? -bpf_timer_set_callback(&value->timer, once) : 200;                       \
    }                                                                                            \
                                                                                                 \
    SEC("xdp") int MAP##_set_again(struct xdp_md* ctx) {                                         \
        __u32 key = byte_at(ctx, KEY_OFFSET);                                                    \
        struct element* value = bpf_map_lookup_elem(&MAP, &key);                                 \
                                                                                                 \
        return value ? -bpf_timer_set_callback(&value->timer, again) : 200;                      \
    }                                                                                            \
                                                                                                 \
    SEC("xdp") int MAP##_set_self(struct xdp_md* ctx) {                                          \
        __u32 key = byte_at(ctx, KEY_OFFSET);                                                    \
        struct element* value = bpf_map_lookup_elem(&MAP, &key);                                 \
                                                                                                 \
        return value ? -bpf_timer_set_callback(&value->timer, touch_itself) : 200;               \
    }

PROGRAMS(in_array)
PROGRAMS(in_hash)
PROGRAMS(in_lru)

SEC("xdp")

int in_hash_set_delete(struct xdp_md* ctx) {
    __u32 key = byte_at(ctx, KEY_OFFSET);
    struct element* value = bpf_map_lookup_elem(&in_hash, &key);

    return value ? -bpf_timer_set_callback(&value->timer, delete_itself) : 200;
}

SEC("xdp")

int in_hash_delete(struct xdp_md* ctx) {
    __u32 key = byte_at(ctx, KEY_OFFSET);

    return -bpf_map_delete_elem(&in_hash, &key);
}

char _license[] SEC("license") = "GPL";
