// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// Spreads frames over CPUs by flow: hashes the five-tuple (addresses, ports, protocol) and
// redirects into `cpu_map`. The hash is symmetric, so both directions of a connection meet on one
// CPU, and looks through up to two VLAN tags. All fragments of a datagram go one way: they hash
// without ports. Frames that are not IP, or are cut short, go to the first CPU of the list.
//
// Configuration, filled by whoever attaches it: cpus_available[i] = CPU number for 0 <= i <
// cpus_count[0], and the same keys in cpu_map (value: queue size, optionally the file descriptor
// of `on_cpu`, which counts what arrives there and passes it on). cpus_count[0] = 0: all pass.
#include "packet.h"

#define CPUS_MAX 64

struct {
    __uint(type, BPF_MAP_TYPE_CPUMAP);
    __uint(max_entries, CPUS_MAX);
    __type(key, __u32);
    __type(value, struct bpf_cpumap_val);
} cpu_map SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, CPUS_MAX);
    __type(key, __u32);
    __type(value, __u32);
} cpus_available SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u32);
} cpus_count SEC(".maps");

// Frames sent to entry i of cpus_available.
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, CPUS_MAX);
    __type(key, __u32);
    __type(value, __u64);
} steered SEC(".maps");

// [0]: frames that arrived on the CPU of the slot.
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u64);
} arrived SEC(".maps");

// Changes which flows share a CPU; set before load.
const volatile __u32 hash_seed = 0x5bd1e995;

// Every input bit moves every output bit.
static __always_inline __u32 mix(__u32 value) {
    value ^= value >> 16;
    value *= 0x7feb352d;
    value ^= value >> 15;
    value *= 0x846ca68b;
    value ^= value >> 16;
    return value;
}

// The same for (a, b) and (b, a). The sum alone would send neighbours such as (1, 4) and (2, 3) to
// one CPU.
static __always_inline __u32 symmetric(__u32 a, __u32 b) {
    return (a + b) ^ ((a ^ b) * 0x9e3779b1);
}

static __always_inline __u32 fold_ipv6(const struct in6_addr* address) {
    __u32 hash = 0;

#pragma unroll
    for (int i = 0; i < 4; i++) hash = (hash ^ address->in6_u.u6_addr32[i]) * 0x01000193;
    return hash;
}

static __always_inline __u32 hash_ports(const struct transport* transport, void* data_end) {
    struct ports* ports = transport->header;

    if (transport->is_fragment)
        return 0;
    if (transport->protocol != IPPROTO_TCP && transport->protocol != IPPROTO_UDP &&
        transport->protocol != IPPROTO_SCTP && transport->protocol != IPPROTO_UDPLITE)
        return 0;
    if ((void*)(ports + 1) > data_end)
        return 0;
    return symmetric(ports->source, ports->dest);
}

// True when the frame has a flow; its hash is in *hash.
static __always_inline int hash_flow(void* data, void* data_end, __u32* hash) {
    struct transport transport;
    __be16 protocol;
    void* next = network_header(data, data_end, &protocol);

    if (!next)
        return 0;
    if (protocol == bpf_htons(ETH_P_IP)) {
        struct iphdr* ip = ipv4_header(next, data_end, &transport);

        if (!ip)
            return 0;
        *hash = symmetric(ip->saddr, ip->daddr);
    } else if (protocol == bpf_htons(ETH_P_IPV6)) {
        struct ipv6hdr* ip = ipv6_header(next, data_end, &transport);

        if (!ip)
            return 0;
        *hash = symmetric(fold_ipv6(&ip->saddr), fold_ipv6(&ip->daddr));
    } else {
        return 0;
    }
    *hash = mix(*hash ^ hash_seed) ^ hash_ports(&transport, data_end);
    *hash = mix(*hash ^ transport.protocol);
    return 1;
}

SEC("xdp")
int cpumap_5tuple(struct xdp_md* ctx) {
    void* data = (void*)(long)ctx->data;
    void* data_end = (void*)(long)ctx->data_end;
    __u32 first = 0;
    __u32 hash = 0;
    __u32 entry;
    __u32* count;
    __u32* cpu;
    __u64* frames;

    count = bpf_map_lookup_elem(&cpus_count, &first);
    if (!count || *count == 0)
        return XDP_PASS;
    // The high half of hash * count is uniform in [0, count): no division.
    entry = hash_flow(data, data_end, &hash) ? ((__u64)hash * *count) >> 32 : 0;
    cpu = bpf_map_lookup_elem(&cpus_available, &entry);
    if (!cpu)
        return XDP_ABORTED;
    frames = bpf_map_lookup_elem(&steered, &entry);
    if (frames)
        (*frames)++;
    return bpf_redirect_map(&cpu_map, *cpu, XDP_ABORTED);
}

SEC("xdp/cpumap")
int on_cpu(struct xdp_md* ctx) {
    __u32 key = 0;
    __u64* frames = bpf_map_lookup_elem(&arrived, &key);

    (void)ctx;
    if (frames)
        (*frames)++;
    return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
