// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// Extensions for the functions of replaceable.bpf.c, and some that do not fit. A test loads one at
// a time and says which function it is for.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct pair {
    int a;
    int b;
};

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u64);
} seen SEC(".maps");

// Needs to know on which CPU it runs, wherever it is called from.
static __attribute__((noinline)) int count(int result) {
    __u32 key = 0;
    __u64* value = bpf_map_lookup_elem(&seen, &key);

    if (!value) {
        return XDP_ABORTED;
    }
    (*value)++;
    return result;
}

SEC("freplace")
int good(struct xdp_md* ctx) {
    return count(XDP_DROP);
}

SEC("freplace")
int good_number(int a, long b) {
    return count(1000 + a + (int)b);
}

SEC("freplace")
int reads(struct xdp_md* ctx) {
    unsigned char* data = (unsigned char*)(long)ctx->data;

    if (data + 14 > (unsigned char*)(long)ctx->data_end) {
        return XDP_ABORTED;
    }
    return 100 + data[0];
}

SEC("freplace")
int mover(struct xdp_md* ctx) {
    return bpf_xdp_adjust_head(ctx, 0) ? XDP_DROP : 7;
}

SEC("freplace")
int good_memory(struct pair* pair) {
    return pair ? pair->a : 0;
}

SEC("freplace")
int more_arguments(struct xdp_md* ctx, int more) {
    return more;
}

SEC("freplace")
int other_context(struct __sk_buff* ctx) {
    return XDP_DROP;
}

SEC("freplace")
struct pair* other_result(struct xdp_md* ctx) {
    return 0;
}

SEC("freplace")
int other_number(int a, int b) {
    return a;
}

SEC("freplace")
int number_for_pointer(long ctx) {
    return XDP_DROP;
}

SEC("freplace")
int reads_too_far(struct xdp_md* ctx) {
    return *(unsigned char*)(long)ctx->data;
}

char _license[] SEC("license") = "Dual BSD/GPL";
