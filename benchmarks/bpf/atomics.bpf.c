// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// Shared counters: plain and fetching additions, an exchange and a compare-and-exchange.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct shared {
    __u64 packets;
    __u64 bytes;
    __u64 ticket;
    __u64 last;
    __u64 largest;
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct shared);
} totals SEC(".maps");

SEC("xdp")

int atomics(struct xdp_md* ctx) {
    const __u32 key = 0;
    const __u64 bytes = ctx->data_end - ctx->data;
    struct shared* shared = bpf_map_lookup_elem(&totals, &key);
    __u64 ticket;
    __u64 seen;

    if (!shared)
        return XDP_ABORTED;
    (void)__sync_fetch_and_add(&shared->packets, 1);
    (void)__sync_fetch_and_add(&shared->bytes, bytes);
    ticket = __sync_fetch_and_add(&shared->ticket, 1);
    (void)__sync_lock_test_and_set(&shared->last, bytes);
    seen = shared->largest;
    if (bytes > seen)
        (void)__sync_val_compare_and_swap(&shared->largest, seen, bytes);
    return ticket == ~0ULL ? XDP_DROP : XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
