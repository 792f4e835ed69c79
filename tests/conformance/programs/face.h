// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// What the programs of this folder share. Each is small, asks one thing of its runtime, and gives
// an answer that depends on nothing but packets and maps: no time, no addresses, no chance.
#ifndef CREMA_FACE_H
#define CREMA_FACE_H

#include <linux/bpf.h>
#include <linux/if_ether.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct five_words {
    __u32 word[5];
};

/// A byte of the packet, 0 behind its end.
static __always_inline __u32 byte_at(struct xdp_md* ctx, __u32 offset) {
    __u8* data = (void*)(long)ctx->data;
    __u8* end = (void*)(long)ctx->data_end;

    return data + offset + 1 <= end ? data[offset] : 0;
}

/// Packets of the test carry what varies behind the Ethernet header.
#define KEY_OFFSET 14

#endif
