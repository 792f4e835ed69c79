// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// l2fwd that drops ping: ICMP and ICMPv6 echo requests and replies end here and are counted in
// `dropped_echoes`, all other frames are forwarded as l2fwd does. Neighbour discovery and path MTU
// messages are no echoes, so connections stay alive. Later fragments of an echo are forwarded;
// without the first one they are harmless.
#include "l2fwd.h"
#include "packet.h"

// One value, one slot per CPU.
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u64);
} dropped_echoes SEC(".maps");

static __always_inline int is_echo(void* data, void* data_end) {
    struct transport transport;
    __be16 protocol;
    void* next = network_header(data, data_end, &protocol);
    __u8* type;

    if (!next)
        return 0;
    if (protocol == bpf_htons(ETH_P_IP)) {
        if (!ipv4_header(next, data_end, &transport) || transport.protocol != IPPROTO_ICMP)
            return 0;
    } else if (protocol == bpf_htons(ETH_P_IPV6)) {
        if (!ipv6_header(next, data_end, &transport) || transport.protocol != IPPROTO_ICMPV6)
            return 0;
    } else {
        return 0;
    }
    type = transport.header;
    if (transport.is_later_fragment || (void*)(type + 1) > data_end)
        return 0;
    if (protocol == bpf_htons(ETH_P_IP))
        return *type == ICMP4_ECHO_REQUEST || *type == ICMP4_ECHO_REPLY;
    return *type == ICMP6_ECHO_REQUEST || *type == ICMP6_ECHO_REPLY;
}

SEC("xdp")
int l2fwd_drop_icmp(struct xdp_md* ctx) {
    void* data = (void*)(long)ctx->data;
    void* data_end = (void*)(long)ctx->data_end;

    count_received(ctx);
    if (is_echo(data, data_end)) {
        __u32 key = 0;
        __u64* dropped = bpf_map_lookup_elem(&dropped_echoes, &key);

        if (dropped)
            (*dropped)++;
        return XDP_DROP;
    }
    return forward(ctx);
}

char _license[] SEC("license") = "Dual BSD/GPL";
