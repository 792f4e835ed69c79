// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// A map of every type and a program for each that does all it may to it, on keys by dice: what runs
// beside bpf(2) in the test of concurrency. Every word that is written carries a tag, so that one
// that is not whole is seen. Map and program have one name but for "use_".
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#define TAG 0xc4e3a000ULL
#define KEYS 24
#define ENTRIES 16
#define TURNS 16

struct value {
    __u64 words[4];
};

struct timed {
    __u64 words[2];
    struct bpf_timer timer;
};

struct locked {
    struct bpf_spin_lock lock;
    __u32 count;
    __u64 words[2];
};

struct prefix {
    __u32 length;
    __u8 address[4];
};

#define MAP(NAME, TYPE, FLAGS, KEY, VALUE) \
    struct {                               \
        __uint(type, TYPE);                \
        __uint(max_entries, ENTRIES);      \
        __uint(map_flags, FLAGS);          \
        __type(key, KEY);                  \
        __type(value, VALUE);              \
    } NAME SEC(".maps")

MAP(array, BPF_MAP_TYPE_ARRAY, 0, __u32, struct value);
MAP(array_locked, BPF_MAP_TYPE_ARRAY, 0, __u32, struct locked);
MAP(array_timed, BPF_MAP_TYPE_ARRAY, 0, __u32, struct timed);
MAP(percpu_array, BPF_MAP_TYPE_PERCPU_ARRAY, 0, __u32, struct value);
MAP(hash, BPF_MAP_TYPE_HASH, 0, __u32, struct value);
MAP(hash_lazy, BPF_MAP_TYPE_HASH, BPF_F_NO_PREALLOC, __u32, struct value);
MAP(hash_locked, BPF_MAP_TYPE_HASH, 0, __u32, struct locked);
MAP(hash_timed, BPF_MAP_TYPE_HASH, 0, __u32, struct timed);
MAP(percpu_hash, BPF_MAP_TYPE_PERCPU_HASH, 0, __u32, struct value);
MAP(lru_hash, BPF_MAP_TYPE_LRU_HASH, 0, __u32, struct value);
MAP(lru_timed, BPF_MAP_TYPE_LRU_HASH, 0, __u32, struct timed);
MAP(lru_percpu_hash, BPF_MAP_TYPE_LRU_PERCPU_HASH, 0, __u32, struct value);
MAP(lru_own, BPF_MAP_TYPE_LRU_HASH, BPF_F_NO_COMMON_LRU, __u32, struct value);
MAP(lpm_trie, BPF_MAP_TYPE_LPM_TRIE, BPF_F_NO_PREALLOC, struct prefix, struct value);
MAP(devmap, BPF_MAP_TYPE_DEVMAP, 0, __u32, __u32);
MAP(devmap_hash, BPF_MAP_TYPE_DEVMAP_HASH, 0, __u32, __u32);
MAP(cpumap, BPF_MAP_TYPE_CPUMAP, 0, __u32, __u32);
MAP(xskmap, BPF_MAP_TYPE_XSKMAP, 0, __u32, __u32);
MAP(prog_array, BPF_MAP_TYPE_PROG_ARRAY, 0, __u32, __u32);
MAP(perf_event_array, BPF_MAP_TYPE_PERF_EVENT_ARRAY, 0, __u32, __u32);

#define KEYLESS(NAME, TYPE, VALUE)    \
    struct {                          \
        __uint(type, TYPE);           \
        __uint(max_entries, ENTRIES); \
        __type(value, VALUE);         \
    } NAME SEC(".maps")

KEYLESS(queue, BPF_MAP_TYPE_QUEUE, struct value);
KEYLESS(stack, BPF_MAP_TYPE_STACK, struct value);
KEYLESS(bloom_filter, BPF_MAP_TYPE_BLOOM_FILTER, __u64);

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 4096);
} ringbuf SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_USER_RINGBUF);
    __uint(max_entries, 4096);
} user_ringbuf SEC(".maps");

struct inner {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 8);
    __type(key, __u32);
    __type(value, struct value);
} inner SEC(".maps"), other SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
    __uint(max_entries, ENTRIES);
    __type(key, __u32);
    __array(values, struct inner);
} array_of_maps SEC(".maps") = {.values = {&inner, &other}};

struct {
    __uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
    __uint(max_entries, ENTRIES);
    __type(key, __u32);
    __array(values, struct inner);
} hash_of_maps SEC(".maps") = {.values = {&inner, &other}};

// Words that were not whole, of all programs.
__u64 torn;

static __always_inline __u64 word(void) {
    return TAG << 32 | bpf_get_prandom_u32();
}

static __always_inline void check(__u64 seen) {
    if (seen != 0 && seen >> 32 != TAG)
        __sync_fetch_and_add(&torn, 1);
}

static __always_inline void fill(struct value* value) {
    for (int i = 0; i < 4; i++) value->words[i] = word();
}

static __always_inline __u32 dice(__u32 sides) {
    return bpf_get_prandom_u32() % sides;
}

static long visit(void* map, __u32* key, struct value* value, void* context) {
    check(*(volatile __u64*)&value->words[3]);
    return dice(8) == 0;
}

#define USE_VALUES(NAME, DELETES)                                   \
    SEC("xdp") int use_##NAME(struct xdp_md* ctx) {                 \
        for (int i = 0; i < TURNS; i++) {                           \
            __u32 key = dice(KEYS);                                 \
            struct value* found = bpf_map_lookup_elem(&NAME, &key); \
            struct value fresh;                                     \
                                                                    \
            if (found) {                                            \
                check(*(volatile __u64*)&found->words[0]);          \
                *(volatile __u64*)&found->words[1] = word();        \
            }                                                       \
            fill(&fresh);                                           \
            bpf_map_update_elem(&NAME, &key, &fresh, dice(3));      \
            if (DELETES && dice(3) == 0)                            \
                bpf_map_delete_elem(&NAME, &key);                   \
        }                                                           \
        bpf_for_each_map_elem(&NAME, visit, 0, 0);                  \
        return XDP_PASS;                                            \
    }

USE_VALUES(array, 0)
USE_VALUES(percpu_array, 0)
USE_VALUES(hash, 1)
USE_VALUES(hash_lazy, 1)
USE_VALUES(percpu_hash, 1)
USE_VALUES(lru_hash, 1)
USE_VALUES(lru_percpu_hash, 1)
USE_VALUES(lru_own, 1)

#define USE_LOCKED(NAME)                                             \
    SEC("xdp") int use_##NAME(struct xdp_md* ctx) {                  \
        for (int i = 0; i < TURNS; i++) {                            \
            __u32 key = dice(KEYS);                                  \
            struct locked* found = bpf_map_lookup_elem(&NAME, &key); \
            struct locked fresh = {};                                \
            __u64 first = word(), one, two;                          \
                                                                     \
            if (found) {                                             \
                bpf_spin_lock(&found->lock);                         \
                found->count++;                                      \
                one = found->words[0];                               \
                two = found->words[1];                               \
                found->words[0] = first;                             \
                found->words[1] = first;                             \
                bpf_spin_unlock(&found->lock);                       \
                check(one);                                          \
                check(two);                                          \
            }                                                        \
            fresh.words[0] = first;                                  \
            fresh.words[1] = first;                                  \
            bpf_map_update_elem(&NAME, &key, &fresh, BPF_F_LOCK);    \
        }                                                            \
        return XDP_PASS;                                             \
    }

USE_LOCKED(array_locked)
USE_LOCKED(hash_locked)

static int expire(void* map, __u32* key, struct timed* value) {
    check(*(volatile __u64*)&value->words[0]);
    *(volatile __u64*)&value->words[1] = word();
    if (dice(4) == 0)
        bpf_timer_start(&value->timer, dice(200000), 0);
    return 0;
}

#define USE_TIMED(NAME, DELETES)                                    \
    SEC("xdp") int use_##NAME(struct xdp_md* ctx) {                 \
        for (int i = 0; i < TURNS; i++) {                           \
            __u32 key = dice(KEYS);                                 \
            struct timed* found = bpf_map_lookup_elem(&NAME, &key); \
            struct timed fresh = {};                                \
                                                                    \
            fresh.words[0] = word();                                \
            fresh.words[1] = word();                                \
            if (!found) {                                           \
                bpf_map_update_elem(&NAME, &key, &fresh, 0);        \
                continue;                                           \
            }                                                       \
            bpf_timer_init(&found->timer, &NAME, 1);                \
            bpf_timer_set_callback(&found->timer, expire);          \
            bpf_timer_start(&found->timer, dice(200000), 0);        \
            if (dice(8) == 0)                                       \
                bpf_timer_cancel(&found->timer);                    \
            if (dice(4) == 0)                                       \
                bpf_map_update_elem(&NAME, &key, &fresh, 0);        \
            if (DELETES && dice(4) == 0)                            \
                bpf_map_delete_elem(&NAME, &key);                   \
        }                                                           \
        return XDP_PASS;                                            \
    }

USE_TIMED(array_timed, 0)
USE_TIMED(hash_timed, 1)
USE_TIMED(lru_timed, 1)

SEC("xdp") int use_lpm_trie(struct xdp_md* ctx) {
    for (int i = 0; i < TURNS; i++) {
        struct prefix key = {.length = 8 + dice(25), .address = {10, dice(2), dice(2), dice(4)}};
        struct value* found = bpf_map_lookup_elem(&lpm_trie, &key);
        struct value fresh;

        if (found)
            check(*(volatile __u64*)&found->words[2]);
        fill(&fresh);
        bpf_map_update_elem(&lpm_trie, &key, &fresh, dice(3));
        if (dice(2))
            bpf_map_delete_elem(&lpm_trie, &key);
    }
    return XDP_PASS;
}

#define USE_TARGETS(NAME, LOOKUP)                   \
    SEC("xdp") int use_##NAME(struct xdp_md* ctx) { \
        for (int i = 0; i < TURNS; i++) {           \
            __u32 key = dice(KEYS);                 \
                                                    \
            bpf_redirect_map(&NAME, key, dice(5));  \
            LOOKUP;                                 \
        }                                           \
        return XDP_PASS;                            \
    }

USE_TARGETS(devmap, bpf_map_lookup_elem(&devmap, &key))
USE_TARGETS(devmap_hash, bpf_map_lookup_elem(&devmap_hash, &key))
USE_TARGETS(cpumap, )
USE_TARGETS(xskmap, )

SEC("xdp") int leaf(struct xdp_md* ctx) {
    return XDP_DROP;
}

SEC("xdp") int use_prog_array(struct xdp_md* ctx) {
    bpf_tail_call(ctx, &prog_array, dice(KEYS));
    return XDP_PASS;
}

SEC("xdp") int use_perf_event_array(struct xdp_md* ctx) {
    struct bpf_perf_event_value time;

    for (int i = 0; i < TURNS; i++) {
        __u64 words[3] = {word(), word(), word()};

        bpf_perf_event_output(ctx, &perf_event_array, dice(4) | (__u64)dice(20) << 32, words,
                              8 * (1 + dice(2)));
        bpf_perf_event_read_value(&perf_event_array, dice(4), &time, sizeof(time));
    }
    return XDP_PASS;
}

#define USE_KEYLESS(NAME)                                              \
    SEC("xdp") int use_##NAME(struct xdp_md* ctx) {                    \
        for (int i = 0; i < TURNS; i++) {                              \
            struct value value;                                        \
                                                                       \
            fill(&value);                                              \
            bpf_map_push_elem(&NAME, &value, dice(2) ? BPF_EXIST : 0); \
            if (!bpf_map_peek_elem(&NAME, &value))                     \
                check(value.words[3]);                                 \
            if (dice(2) && !bpf_map_pop_elem(&NAME, &value))           \
                check(value.words[0]);                                 \
        }                                                              \
        return XDP_PASS;                                               \
    }

USE_KEYLESS(queue)
USE_KEYLESS(stack)

SEC("xdp") int use_bloom_filter(struct xdp_md* ctx) {
    for (int i = 0; i < TURNS; i++) {
        __u64 value = word();

        bpf_map_push_elem(&bloom_filter, &value, 0);
        if (bpf_map_peek_elem(&bloom_filter, &value))
            __sync_fetch_and_add(&torn, 1);
    }
    return XDP_PASS;
}

SEC("xdp") int use_ringbuf(struct xdp_md* ctx) {
    for (int i = 0; i < TURNS; i++) {
        __u64 words[2] = {word(), word()};
        __u64* record = bpf_ringbuf_reserve(&ringbuf, 16, 0);

        if (record) {
            record[0] = words[0];
            record[1] = words[1];
            if (dice(4))
                bpf_ringbuf_submit(record, dice(3));
            else
                bpf_ringbuf_discard(record, dice(3));
        }
        bpf_ringbuf_output(&ringbuf, words, sizeof(words), dice(3));
        bpf_ringbuf_query(&ringbuf, dice(4));
    }
    return XDP_PASS;
}

static long take(struct bpf_dynptr* sample, void* context) {
    __u64 words[2] = {};

    if (!bpf_dynptr_read(words, sizeof(words), sample, 0, 0)) {
        check(words[0]);
        check(words[1]);
    }
    return dice(8) == 0;
}

SEC("xdp") int use_user_ringbuf(struct xdp_md* ctx) {
    bpf_user_ringbuf_drain(&user_ringbuf, take, 0, dice(3));
    return XDP_PASS;
}

#define USE_INNER(NAME)                                     \
    SEC("xdp") int use_##NAME(struct xdp_md* ctx) {         \
        for (int i = 0; i < TURNS; i++) {                   \
            __u32 outer = dice(KEYS), key = dice(12);       \
            void* map = bpf_map_lookup_elem(&NAME, &outer); \
            struct value fresh, *found;                     \
                                                            \
            if (!map)                                       \
                continue;                                   \
            fill(&fresh);                                   \
            bpf_map_update_elem(map, &key, &fresh, 0);      \
            found = bpf_map_lookup_elem(map, &key);         \
            if (found)                                      \
                check(*(volatile __u64*)&found->words[0]);  \
            if (dice(2))                                    \
                bpf_map_delete_elem(map, &key);             \
        }                                                   \
        return XDP_PASS;                                    \
    }

USE_INNER(array_of_maps)
USE_INNER(hash_of_maps)

char _license[] SEC("license") = "GPL";
