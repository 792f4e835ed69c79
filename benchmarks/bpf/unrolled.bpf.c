// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// A large straight-line program: both header checksums of a 64-byte frame and a hash over its
// words, all unrolled, for how code of some thousand bytes runs.
#include "packet.h"

#define FRAME_BYTES 60
#define WORDS ((FRAME_BYTES - 14) / 2)

static __always_inline __u32 rotated(__u32 word, int by) {
    return word << by | word >> (32 - by);
}

SEC("xdp")

int unrolled(struct xdp_md* ctx) {
    void* data = (void*)(long)ctx->data;
    void* data_end = (void*)(long)ctx->data_end;
    const __u16* words = data + sizeof(struct ethhdr);
    __u32 sum = 0;
    __u32 a = 0xdeadbeef, b = 0x9e3779b9, c = FRAME_BYTES;

    if (data + FRAME_BYTES > data_end)
        return XDP_PASS;
#pragma clang loop unroll(full)
    for (int i = 0; i < 10; ++i) sum += words[i];
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
#pragma clang loop unroll(full)
    for (int i = 0; i < WORDS; ++i) {
        a += words[i];
        c ^= b;
        c -= rotated(b, 14);
        a ^= c;
        a -= rotated(c, 11);
        b ^= a;
        b -= rotated(a, 25);
        if ((a & 0xfff) == 0xabc)
            b += i;
    }
    if (sum != 0xffff)
        return XDP_DROP;
    return (a ^ b ^ c) == 0 ? XDP_ABORTED : XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
