// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// Defines its maps as objects did before BTF; libbpf 1.0 and later refuse that. Counts frames in an
// array and remembers their first bytes in a hash. Built with and without BTF.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct legacy_map {
    __u32 type, key_size, value_size, max_entries, map_flags;
};

struct legacy_map totals SEC("maps") = {BPF_MAP_TYPE_ARRAY, 4, 8, 2, 0};

struct legacy_map seen SEC("maps") = {BPF_MAP_TYPE_HASH, 4, 8, 16, BPF_F_NO_PREALLOC};

// How objects of that time told their types: BPF_ANNOTATE_KV_PAIR.
struct ____btf_map_seen {
    __u32 key;
    __u64 value;
};

__attribute__((section(".maps.seen"), used)) struct ____btf_map_seen ____btf_map_seen = {};

SEC("xdp")

int looks_up(struct xdp_md* ctx) {
    void* data = (void*)(long)ctx->data;
    void* data_end = (void*)(long)ctx->data_end;
    if (data + 4 > data_end) {
        return XDP_ABORTED;
    }
    __u32 first = *(__u32*)data;
    __u32 key = 1;
    __u64* total = bpf_map_lookup_elem(&totals, &key);
    __u64* times = bpf_map_lookup_elem(&seen, &first);
    if (!total) {
        return XDP_ABORTED;
    }
    ++*total;
    if (!times) {
        bpf_map_update_elem(&seen, &first, total, BPF_NOEXIST);
        return XDP_DROP;
    }
    return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
