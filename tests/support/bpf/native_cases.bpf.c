// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// Test program: what a driver must be able to do with frames of one and of several pages. An UDP
// datagram to port 9000 says it itself in the first bytes of its payload: a verdict, and first a
// new length, at the tail or behind the headers. Lengths and the IP checksum are made right, the
// UDP checksum is left out, and what was added is filled with the tag. All other frames pass.
//
// As xdp.frags and as xdp, which takes frames of one page only.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define PORT 9000
#define ADDED_MAX 4096

enum { KEEP_LENGTH = 0, MOVE_TAIL = 1, MOVE_HEAD = 2 };

struct order {
    __u8 verdict;
    __u8 deed;
    __s16 by;  // bytes, of the processor's order: the frame grows
    __u8 tag;
} __attribute__((packed));

struct headers {
    struct ethhdr eth;
    struct iphdr ip;
    struct udphdr udp;
} __attribute__((packed));

static __always_inline __u16 checksum_of(struct iphdr ip) {
    __u32 sum;

    ip.check = 0;
    sum = bpf_csum_diff(0, 0, (__be32*)&ip, sizeof(ip), 0);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return ~sum;
}

static __always_inline void set_lengths(struct headers* at, __u32 frame_bytes) {
    at->ip.tot_len = bpf_htons(frame_bytes - sizeof(at->eth));
    at->udp.len = bpf_htons(frame_bytes - sizeof(at->eth) - sizeof(at->ip));
    at->udp.check = 0;
    at->ip.check = checksum_of(at->ip);
}

struct filling {
    struct xdp_md* ctx;
    __u32 from;
    __u8 tag;
    int error;
};

static long fill_one(__u32 index, void* with) {
    struct filling* filling = with;

    filling->error = bpf_xdp_store_bytes(filling->ctx, filling->from + index, &filling->tag, 1);
    return filling->error != 0;
}

static __always_inline int fill(struct xdp_md* ctx, __u32 from, __u32 bytes, __u8 tag) {
    struct filling filling = {.ctx = ctx, .from = from, .tag = tag, .error = 0};

    if (bytes > ADDED_MAX)
        return -1;
    bpf_loop(bytes, fill_one, &filling, 0);
    return filling.error;
}

static __always_inline int move_tail(struct xdp_md* ctx, struct headers* with, int by, __u8 tag) {
    __u32 before = bpf_xdp_get_buff_len(ctx);

    if (bpf_xdp_adjust_tail(ctx, by))
        return -1;
    set_lengths(with, bpf_xdp_get_buff_len(ctx));
    if (bpf_xdp_store_bytes(ctx, 0, with, sizeof(*with)))
        return -1;
    return by > 0 ? fill(ctx, before, by, tag) : 0;
}

static __always_inline int move_head(struct xdp_md* ctx, struct headers* with, int by, __u8 tag) {
    if (bpf_xdp_adjust_head(ctx, -by))
        return -1;
    set_lengths(with, bpf_xdp_get_buff_len(ctx));
    if (bpf_xdp_store_bytes(ctx, 0, with, sizeof(*with)))
        return -1;
    return by > 0 ? fill(ctx, sizeof(*with), by, tag) : 0;
}

static __always_inline int serve(struct xdp_md* ctx) {
    struct headers headers;
    struct order order;
    __u8 address[ETH_ALEN];

    if (bpf_xdp_load_bytes(ctx, 0, &headers, sizeof(headers)) ||
        headers.eth.h_proto != bpf_htons(ETH_P_IP) || headers.ip.protocol != IPPROTO_UDP ||
        headers.udp.dest != bpf_htons(PORT))
        return XDP_PASS;
    if (bpf_xdp_load_bytes(ctx, sizeof(headers), &order, sizeof(order)))
        return XDP_ABORTED;
    if (order.verdict == XDP_TX) {
        __builtin_memcpy(address, headers.eth.h_dest, ETH_ALEN);
        __builtin_memcpy(headers.eth.h_dest, headers.eth.h_source, ETH_ALEN);
        __builtin_memcpy(headers.eth.h_source, address, ETH_ALEN);
        if (bpf_xdp_store_bytes(ctx, 0, &headers.eth, sizeof(headers.eth)))
            return XDP_ABORTED;
    }
    if (order.deed == MOVE_TAIL && move_tail(ctx, &headers, order.by, order.tag))
        return XDP_ABORTED;
    if (order.deed == MOVE_HEAD && move_head(ctx, &headers, order.by, order.tag))
        return XDP_ABORTED;
    return order.verdict;
}

SEC("xdp.frags")
int in_pieces(struct xdp_md* ctx) {
    return serve(ctx);
}

SEC("xdp")
int in_one_page(struct xdp_md* ctx) {
    return serve(ctx);
}

char _license[] SEC("license") = "Dual BSD/GPL";
