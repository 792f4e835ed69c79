// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// Test program: loops with backward jumps. Sums the first bytes of the frame one at a time, as far
// as it reaches, then runs a second, shorter loop with a conditional in it and a read through a
// variable offset. Unrolling is off: the backward jump itself is what is tested.
#include <linux/bpf.h>
#include <linux/if_ether.h>

#include <bpf/bpf_helpers.h>

#define BYTES_MAX 96

struct sums {
    __u64 all;
    __u64 odd;
    __u32 visited;
    __u32 last;
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct sums);
} sums SEC(".maps");

SEC("xdp")

int oracle_loop(struct xdp_md* ctx) {
    void* data = (void*)(long)ctx->data;
    void* data_end = (void*)(long)ctx->data_end;
    __u8* byte = data;
    __u32 key = 0;
    struct sums* out = bpf_map_lookup_elem(&sums, &key);
    __u64 all = 0;
    __u64 odd = 0;
    __u32 visited = 0;
    __u32 offset;

    if (!out)
        return XDP_ABORTED;
#pragma clang loop unroll(disable)
    for (int i = 0; i < BYTES_MAX; i++) {
        if ((void*)(byte + 1) > data_end)
            break;
        all += *byte;
        byte++;
        visited++;
    }
#pragma clang loop unroll(disable)
    for (int i = 0; i < 12; i++) {
        if (all >> i & 1)
            odd += i * 3 + 1;
        else
            odd ^= all;
    }
    offset = all & 0x3f;
    if (data + offset + 4 <= data_end)
        out->last = *(__u32*)(data + offset);
    out->all = all;
    out->odd = odd;
    out->visited = visited;
    return visited > 40 ? XDP_TX : XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
