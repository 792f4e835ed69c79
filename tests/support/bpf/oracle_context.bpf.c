// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// Test program: writes down what the context shows of the frame: ingress interface, queue, length,
// absence of metadata; and writes to the frame in every access width, through the stack and from a
// map value.
#include <linux/bpf.h>
#include <linux/if_ether.h>

#include <bpf/bpf_helpers.h>

struct seen {
    __u32 ingress_ifindex;
    __u32 rx_queue_index;
    __u32 bytes;
    __s32 meta_bytes;
    __u64 runs;
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 2);
    __type(key, __u32);
    __type(value, struct seen);
} seen SEC(".maps");

SEC("xdp")

int oracle_context(struct xdp_md* ctx) {
    void* data = (void*)(long)ctx->data;
    void* data_end = (void*)(long)ctx->data_end;
    void* data_meta = (void*)(long)ctx->data_meta;
    __u32 key = 1;
    struct seen* out = bpf_map_lookup_elem(&seen, &key);
    struct seen copy = {};

    if (!out)
        return XDP_ABORTED;
    copy.ingress_ifindex = ctx->ingress_ifindex;
    copy.rx_queue_index = ctx->rx_queue_index;
    copy.bytes = data_end - data;
    copy.meta_bytes = data - data_meta;
    copy.runs = out->runs + 1;
    *out = copy;

    if (data + 32 > data_end)
        return XDP_DROP;
    *(__u8*)(data + 1) = copy.runs;
    *(__u16*)(data + 3) = copy.bytes;
    *(__u32*)(data + 7) = ~*(__u32*)(data + 7);
    *(__u64*)(data + 15) += 0x0102030405060708;
    *(__u32*)(data + 28) = copy.ingress_ifindex;
    return XDP_TX;
}

char _license[] SEC("license") = "Dual BSD/GPL";
