// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// Test program: global data of every kind and width. Reads a constant table at an index from the
// packet (.rodata), adds to initialised variables (.data) and counts in zeroed ones (.bss), plainly
// and atomically, and writes a run-time-indexed array, also at its last element.
#include <linux/bpf.h>
#include <linux/if_ether.h>

#include <bpf/bpf_helpers.h>

const volatile __u32 table[16] = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3};
const volatile __u8 is_enabled = 1;
const volatile __u8 is_disabled = 0;

__u64 start_64 = 0x1122334455667788;
__u32 start_32 = 0x99aabbcc;
__u16 start_16 = 0xddee;
__u8 start_8 = 0xff;
__s32 decreasing = -3;

__u64 total;
__u64 atomic_total;
__u32 atomic_total_32;
__u16 histogram[16];
__u8 last_frame[14];

SEC("xdp")

int oracle_globals(struct xdp_md* ctx) {
    void* data = (void*)(long)ctx->data;
    void* data_end = (void*)(long)ctx->data_end;
    __u8* selector = data + sizeof(struct ethhdr);
    __u32 index;

    if (data + sizeof(struct ethhdr) > data_end)
        return XDP_ABORTED;
    __builtin_memcpy(last_frame, data, sizeof(last_frame));
    if ((void*)(selector + 1) > data_end)
        return XDP_DROP;
    index = *selector & 15;
    // A branch that the constant closes: neither verified nor compiled.
    if (is_disabled)
        return *(__u32*)(data + 4000);
    if (is_enabled)
        total += table[index];
    __sync_fetch_and_add(&atomic_total, table[index]);
    __sync_fetch_and_add(&atomic_total_32, 0x80000000 + index);
    start_64 += index;
    start_32 += index;
    start_16 += index;
    start_8 += index;
    decreasing -= index;
    histogram[index]++;
    return decreasing < -100 ? XDP_TX : XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
