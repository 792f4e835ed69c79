// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// Walks the options of a TCP header in a bounded loop and drops segments without a time stamp.
#include "packet.h"

#include <linux/tcp.h>

#define OPTIONS_MAX 10
#define OPTION_BYTES_MAX 40
#define OPTION_END 0
#define OPTION_NONE 1
#define OPTION_TIME_STAMP 8

SEC("xdp")

int tcp_options(struct xdp_md* ctx) {
    void* data = (void*)(long)ctx->data;
    void* data_end = (void*)(long)ctx->data_end;
    struct ethhdr* eth = data;
    struct iphdr* ip = data + sizeof(*eth);
    struct tcphdr* tcp = (void*)(ip + 1);
    __u8* option = (void*)(tcp + 1);
    __u32 bytes;
    __u32 at = 0;

    if ((void*)(tcp + 1) > data_end || eth->h_proto != bpf_htons(ETH_P_IP) || ip->ihl != 5 ||
        ip->protocol != IPPROTO_TCP || tcp->doff < 5)
        return XDP_PASS;
    bytes = tcp->doff * 4 - sizeof(*tcp);
#pragma clang loop unroll(disable)
    for (int i = 0; i < OPTIONS_MAX; ++i) {
        __u8* here;

        if (at >= bytes || at >= OPTION_BYTES_MAX)
            break;
        here = option + at;
        if ((void*)(here + 2) > data_end || *here == OPTION_END)
            break;
        if (*here == OPTION_NONE) {
            ++at;
            continue;
        }
        if (*here == OPTION_TIME_STAMP)
            return XDP_PASS;
        if (here[1] < 2)
            break;
        at += here[1];
    }
    return XDP_DROP;
}

char _license[] SEC("license") = "Dual BSD/GPL";
