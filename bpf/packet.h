// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// Header parsing shared by the XDP programs of this folder: Ethernet with up to two VLAN tags,
// IPv4 with options, IPv6 with up to four extension headers. Every step checks its bounds against
// data_end before it reads, and says NULL when the frame ends early or contradicts itself. What it
// does not do: checksums, tunnels, reassembly, IPv6 authentication headers.
//
// Everything is inlined and unrolled: the programs are one function without backward jumps.
// Sources: IEEE 802.3, 802.1Q, 802.1ad; RFC 791, RFC 8200.
#ifndef CREMA_BPF_PACKET_H
#define CREMA_BPF_PACKET_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

// ICMP message types, RFC 792 and RFC 4443; <linux/icmp.h> drags in the C library.
#define ICMP4_ECHO_REPLY 0
#define ICMP4_ECHO_REQUEST 8
#define ICMP6_ECHO_REQUEST 128
#define ICMP6_ECHO_REPLY 129

#define VLAN_TAGS_MAX 2
#define IPV6_EXTENSIONS_MAX 4
#define IPV4_OFFSET_MASK 0x1fff
#define IPV4_MORE_FRAGMENTS 0x2000
#define IPV6_OFFSET_MASK 0xfff8
#define IPV6_MORE_FRAGMENTS 0x0001

struct vlan_tag {
    __be16 tci;
    __be16 protocol;  // EtherType of what follows
};

// First four bytes of both TCP and UDP headers.
struct ports {
    __be16 source;
    __be16 dest;
};

// What the IP header says about the header behind it.
struct transport {
    void* header;  // first byte behind the IP header and its options or extensions
    __u8 protocol;
    __u8 is_fragment;        // any fragment, the first one too
    __u8 is_later_fragment;  // offset > 0: no transport header in it
};

// Returns the network header and its EtherType (network order), or NULL when the frame is too
// short. A third VLAN tag is left in place: its EtherType is returned.
static __always_inline void* network_header(void* data, void* data_end, __be16* protocol) {
    struct ethhdr* eth = data;
    void* next = eth + 1;

    if (next > data_end)
        return NULL;
    *protocol = eth->h_proto;
#pragma unroll
    for (int i = 0; i < VLAN_TAGS_MAX; i++) {
        struct vlan_tag* tag = next;

        if (*protocol != bpf_htons(ETH_P_8021Q) && *protocol != bpf_htons(ETH_P_8021AD))
            break;
        if ((void*)(tag + 1) > data_end)
            return NULL;
        *protocol = tag->protocol;
        next = tag + 1;
    }
    return next;
}

// Returns the IPv4 header, or NULL when it is truncated or malformed. Fills `transport`.
static __always_inline struct iphdr* ipv4_header(void* next,
                                                 void* data_end,
                                                 struct transport* transport) {
    struct iphdr* ip = next;
    __u16 fragment;

    if ((void*)(ip + 1) > data_end)
        return NULL;
    if (ip->version != 4 || ip->ihl < 5)
        return NULL;
    fragment = bpf_ntohs(ip->frag_off);
    transport->protocol = ip->protocol;
    transport->is_later_fragment = (fragment & IPV4_OFFSET_MASK) != 0;
    transport->is_fragment = (fragment & (IPV4_OFFSET_MASK | IPV4_MORE_FRAGMENTS)) != 0;
    transport->header = next + ip->ihl * 4;
    return ip;
}

// Returns the IPv6 header, or NULL when it or an extension header is truncated or malformed. Fills
// `transport`; with more extension headers than we follow, its protocol is that of the next one.
static __always_inline struct ipv6hdr* ipv6_header(void* next,
                                                   void* data_end,
                                                   struct transport* transport) {
    struct ipv6hdr* ip = next;
    __u8 protocol;

    if ((void*)(ip + 1) > data_end)
        return NULL;
    if (ip->version != 6)
        return NULL;
    transport->is_later_fragment = 0;
    transport->is_fragment = 0;
    protocol = ip->nexthdr;
    next = ip + 1;
#pragma unroll
    for (int i = 0; i < IPV6_EXTENSIONS_MAX; i++) {
        // All four begin with: next header, length, two bytes of their own.
        struct {
            __u8 next_header;
            __u8 length;
            __be16 fragment;
        }* extension = next;

        if (protocol != IPPROTO_HOPOPTS && protocol != IPPROTO_ROUTING &&
            protocol != IPPROTO_DSTOPTS && protocol != IPPROTO_FRAGMENT)
            break;
        if ((void*)(extension + 1) > data_end)
            return NULL;
        if (protocol == IPPROTO_FRAGMENT) {
            __u16 fragment = bpf_ntohs(extension->fragment);

            transport->is_fragment |= (fragment & (IPV6_OFFSET_MASK | IPV6_MORE_FRAGMENTS)) != 0;
            transport->is_later_fragment |= (fragment & IPV6_OFFSET_MASK) != 0;
            protocol = extension->next_header;
            next += 8;
            if (transport->is_later_fragment)
                break;
        } else {
            protocol = extension->next_header;
            next += (extension->length + 1) * 8;
        }
    }
    transport->protocol = protocol;
    transport->header = next;
    return ip;
}

// Adds to a counter that several CPUs share.
#define shared_add(counter, value) ((void)__sync_fetch_and_add(&(counter), (value)))

#endif
