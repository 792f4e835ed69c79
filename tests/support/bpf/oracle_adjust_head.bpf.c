// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// Test program: moves the start of the frame by the signed 32-bit number behind the Ethernet
// header, then by the one behind that (0: no second move), and records what the helper answered
// and how long the frame is. The exposed headroom is left as it is, so the test sees its bytes.
#include <linux/bpf.h>
#include <linux/if_ether.h>

#include <bpf/bpf_helpers.h>

struct record {
    __s64 first;   // helper's result
    __s64 second;  // of the second move, 1 when there was none
    __u64 bytes;   // frame length afterwards
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct record);
} records SEC(".maps");

SEC("xdp")

int oracle_adjust_head(struct xdp_md* ctx) {
    void* data = (void*)(long)ctx->data;
    void* data_end = (void*)(long)ctx->data_end;
    __s32* offset = data + sizeof(struct ethhdr);
    struct record* record;
    __u32 key = 0;
    __s32 second;

    if ((void*)(offset + 2) > data_end)
        return XDP_DROP;
    second = offset[1];
    record = bpf_map_lookup_elem(&records, &key);
    if (!record)
        return XDP_ABORTED;
    record->first = bpf_xdp_adjust_head(ctx, offset[0]);
    record->second = second ? bpf_xdp_adjust_head(ctx, second) : 1;
    record->bytes = ctx->data_end - ctx->data;
    return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
