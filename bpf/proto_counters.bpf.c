// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// Counts frames and bytes per protocol and passes them on. Per-CPU slots, so counting needs no
// atomics; readers add the slots up. Shows the three kinds of global data as well: configuration
// that is fixed at load (.rodata), configuration that may change while the program runs (.data),
// and results (.bss). Looks through up to two VLAN tags, IPv4 options and IPv6 extension headers.
#include "packet.h"

// Index into `counters`. One frame counts once, under the innermost name that fits.
enum protocol {
    PROTOCOL_OTHER,      // EtherTypes that have no line of their own
    PROTOCOL_MALFORMED,  // header truncated or contradicting itself
    PROTOCOL_ARP,
    PROTOCOL_IPV4_OTHER,
    PROTOCOL_IPV6_OTHER,
    PROTOCOL_FRAGMENT,  // later fragment: transport unknown
    PROTOCOL_ICMP,
    PROTOCOL_ICMPV6,
    PROTOCOL_TCP,
    PROTOCOL_UDP,
    PROTOCOL_SCTP,
    PROTOCOL_COUNT
};

struct counter {
    __u64 packets;
    __u64 bytes;
};

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, PROTOCOL_COUNT);
    __type(key, __u32);
    __type(value, struct counter);
} counters SEC(".maps");

// TCP or UDP port, host order, whose frames are counted in watched_packets; 0: none.
const volatile __u16 watched_port = 53;
// What the program returns.
__u32 verdict = XDP_PASS;
// Frames from or to watched_port, all CPUs.
__u64 watched_packets;
// Longest frame seen, bytes. A lost update between CPUs costs at most one frame's claim.
__u32 longest_frame;

static __always_inline enum protocol classify_transport(const struct transport* transport,
                                                        void* data_end,
                                                        enum protocol other) {
    struct ports* ports = transport->header;
    enum protocol protocol = other;

    if (transport->is_later_fragment)
        return PROTOCOL_FRAGMENT;
    switch (transport->protocol) {
        case IPPROTO_ICMP:
            return other == PROTOCOL_IPV4_OTHER ? PROTOCOL_ICMP : other;
        case IPPROTO_ICMPV6:
            return other == PROTOCOL_IPV6_OTHER ? PROTOCOL_ICMPV6 : other;
        case IPPROTO_SCTP:
            return PROTOCOL_SCTP;
        case IPPROTO_TCP:
            protocol = PROTOCOL_TCP;
            break;
        case IPPROTO_UDP:
            protocol = PROTOCOL_UDP;
            break;
        default:
            return other;
    }
    if ((void*)(ports + 1) > data_end)
        return PROTOCOL_MALFORMED;
    if (watched_port != 0 &&
        (bpf_ntohs(ports->source) == watched_port || bpf_ntohs(ports->dest) == watched_port))
        shared_add(watched_packets, 1);
    return protocol;
}

static __always_inline enum protocol classify(void* data, void* data_end) {
    struct transport transport;
    __be16 protocol;
    void* next = network_header(data, data_end, &protocol);

    if (!next)
        return PROTOCOL_MALFORMED;
    if (protocol == bpf_htons(ETH_P_ARP))
        return PROTOCOL_ARP;
    if (protocol == bpf_htons(ETH_P_IP)) {
        if (!ipv4_header(next, data_end, &transport))
            return PROTOCOL_MALFORMED;
        return classify_transport(&transport, data_end, PROTOCOL_IPV4_OTHER);
    }
    if (protocol == bpf_htons(ETH_P_IPV6)) {
        if (!ipv6_header(next, data_end, &transport))
            return PROTOCOL_MALFORMED;
        return classify_transport(&transport, data_end, PROTOCOL_IPV6_OTHER);
    }
    return PROTOCOL_OTHER;
}

SEC("xdp")
int proto_counters(struct xdp_md* ctx) {
    void* data = (void*)(long)ctx->data;
    void* data_end = (void*)(long)ctx->data_end;
    __u32 bytes = data_end - data;
    __u32 key = classify(data, data_end);
    struct counter* counter = bpf_map_lookup_elem(&counters, &key);

    if (counter) {
        counter->packets++;
        counter->bytes += bytes;
    }
    if (bytes > longest_frame)
        longest_frame = bytes;
    return verdict;
}

char _license[] SEC("license") = "Dual BSD/GPL";
