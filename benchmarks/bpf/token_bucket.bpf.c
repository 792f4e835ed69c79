// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// A rate limiter: tokens fill up with time (bpf_ktime_get_ns), each frame takes one. The rate is so
// high that no measurement meets it: the path that passes is what is timed.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#define TOKENS_MAX (1ULL << 40)
#define TOKENS_PER_NS 1024

struct bucket {
    __u64 tokens;
    __u64 filled_at;
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct bucket);
} buckets SEC(".maps");

SEC("xdp")

int token_bucket(struct xdp_md* ctx) {
    const __u32 key = 0;
    struct bucket* bucket = bpf_map_lookup_elem(&buckets, &key);
    __u64 now;
    __u64 tokens;

    if (!bucket)
        return XDP_ABORTED;
    now = bpf_ktime_get_ns();
    tokens = bucket->tokens + (now - bucket->filled_at) * TOKENS_PER_NS;
    if (tokens > TOKENS_MAX)
        tokens = TOKENS_MAX;
    bucket->filled_at = now;
    if (tokens == 0) {
        bucket->tokens = 0;
        return XDP_DROP;
    }
    bucket->tokens = tokens - 1;
    return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
