// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// Test program: does to its frame what the request behind the Ethernet header asks for: moves head,
// metadata and tail, one after the other; then copies bytes out and in, and sums them up. Writes
// down what every helper answered.
#include <linux/bpf.h>
#include <linux/if_ether.h>

#include <bpf/bpf_helpers.h>

struct request {
    __s32 head;
    __s32 meta;
    __s32 tail;
    __u32 offset;  // of the bytes that are copied
    __u32 bytes;   // of them, minus 1; the lowest 6 bits count
} __attribute__((packed));

struct record {
    __s64 head;
    __s64 meta;
    __s64 tail;
    __u64 length;
    __s64 loaded;
    __s64 stored;
    __s64 sum;         // of the bytes
    __s64 difference;  // to the same bytes one place on
    __u32 meta_bytes;
    __u32 frame_bytes;
    __u8 copy[64];
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct record);
} records SEC(".maps");

SEC("xdp")

int oracle_packet(struct xdp_md* ctx) {
    void* data = (void*)(long)ctx->data;
    void* data_end = (void*)(long)ctx->data_end;
    struct request* in = data + sizeof(struct ethhdr);
    struct request request;
    __u8 bytes[72] = {};
    struct record* out;
    __u32 key = 0;
    __u32 size;

    if ((void*)(in + 1) > data_end)
        return XDP_DROP;
    request = *in;
    out = bpf_map_lookup_elem(&records, &key);
    if (!out)
        return XDP_ABORTED;
    __builtin_memset(out, 0, sizeof *out);
    out->head = bpf_xdp_adjust_head(ctx, request.head);
    out->meta = bpf_xdp_adjust_meta(ctx, request.meta);
    out->tail = bpf_xdp_adjust_tail(ctx, request.tail);
    out->length = bpf_xdp_get_buff_len(ctx);

    size = (request.bytes & 63) + 1;
    out->loaded = bpf_xdp_load_bytes(ctx, request.offset, bytes, size);
    out->sum = bpf_csum_diff(0, 0, (void*)bytes, size & ~3U, 0xffff);
    out->difference = bpf_csum_diff((void*)bytes, 64, (void*)(bytes + 4), 64, request.offset);
    __builtin_memcpy(out->copy, bytes, 64);
    bytes[0] ^= 0xff;
    out->stored = bpf_xdp_store_bytes(ctx, request.offset, bytes, size);

    data = (void*)(long)ctx->data;
    data_end = (void*)(long)ctx->data_end;
    out->frame_bytes = data_end - data;
    out->meta_bytes = data - (void*)(long)ctx->data_meta;
    if (data + 4 <= data_end)
        out->sum += bpf_csum_diff(data, 4, 0, 0, 0);
    return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
