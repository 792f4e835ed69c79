// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// Test program: kernel functions. Sums frame bytes in loops over an open-coded iterator, reads and
// writes the frame through dynptrs, their slices, cuts and copies, and asks for a function that no
// kernel has. Everything it sees goes to a map.
#include <linux/bpf.h>
#include <linux/if_ether.h>

#include <bpf/bpf_helpers.h>

struct bpf_iter_num {
    __u64 opaque[1];
} __attribute__((aligned(8)));

extern int bpf_iter_num_new(struct bpf_iter_num* it, int start, int end) __ksym;
extern int* bpf_iter_num_next(struct bpf_iter_num* it) __ksym;
extern void bpf_iter_num_destroy(struct bpf_iter_num* it) __ksym;
extern int bpf_dynptr_from_xdp(struct xdp_md* x, __u64 flags, struct bpf_dynptr* ptr) __ksym;
extern void* bpf_dynptr_slice(const struct bpf_dynptr* p,
                              __u32 offset,
                              void* buffer,
                              __u32 buffer__szk) __ksym;
extern void* bpf_dynptr_slice_rdwr(const struct bpf_dynptr* p,
                                   __u32 offset,
                                   void* buffer,
                                   __u32 buffer__szk) __ksym;
extern int bpf_dynptr_adjust(const struct bpf_dynptr* p, __u32 start, __u32 end) __ksym;
extern int bpf_dynptr_clone(const struct bpf_dynptr* p, struct bpf_dynptr* clone) __ksym;
extern __u32 bpf_dynptr_size(const struct bpf_dynptr* p) __ksym;
extern _Bool bpf_dynptr_is_null(const struct bpf_dynptr* p) __ksym;
extern void bpf_rcu_read_lock(void) __ksym;
extern void bpf_rcu_read_unlock(void) __ksym;
extern void bpf_preempt_disable(void) __ksym __weak;
extern int no_kernel_has_this(int number) __ksym __weak;

struct seen {
    __u64 sum;
    __u64 products;
    __u32 size;
    __u32 clone_size;
    __s32 adjusted;
    __s32 cut_beyond;
    __u32 flags;
    __u16 protocol;
    __u16 turns;
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct seen);
} seen SEC(".maps");

static __u64 sum_of_frame(struct bpf_dynptr* frame, struct seen* out) {
    struct bpf_iter_num outer;
    __u64 sum = 0;
    int* number;

    bpf_iter_num_new(&outer, 0, 64);
    while ((number = bpf_iter_num_next(&outer))) {
        __u8 buffer[1];
        __u8* byte = bpf_dynptr_slice(frame, *number, buffer, sizeof(buffer));

        if (!byte)
            break;
        sum += *byte;
        out->turns++;
    }
    bpf_iter_num_destroy(&outer);
    return sum;
}

static __u64 products(int rows, int columns) {
    struct bpf_iter_num outer;
    struct bpf_iter_num inner;
    __u64 all = 0;
    int* row;
    int* column;

    bpf_iter_num_new(&outer, -2, rows);
    while ((row = bpf_iter_num_next(&outer))) {
        __s64 at = *row;

        bpf_iter_num_new(&inner, 1, columns);
        while ((column = bpf_iter_num_next(&inner))) all += at * *column;
        bpf_iter_num_destroy(&inner);
    }
    bpf_iter_num_destroy(&outer);
    return all;
}

SEC("xdp")

int oracle_kfuncs(struct xdp_md* ctx) {
    struct bpf_dynptr frame;
    struct bpf_dynptr clone;
    struct ethhdr buffer;
    struct ethhdr* eth;
    __u32 key = 0;
    struct seen* out = bpf_map_lookup_elem(&seen, &key);

    if (!out)
        return XDP_ABORTED;
    if (bpf_dynptr_from_xdp(ctx, 0, &frame))
        return XDP_ABORTED;
    bpf_rcu_read_lock();
    out->turns = 0;
    out->size = bpf_dynptr_size(&frame);
    out->sum = sum_of_frame(&frame, out);
    out->products = products(3, 1 + (out->size & 7));
    bpf_rcu_read_unlock();
    eth = bpf_dynptr_slice_rdwr(&frame, 0, &buffer, sizeof(buffer));
    if (!eth)
        return XDP_DROP;
    out->protocol = eth->h_proto;
    eth->h_source[5] = out->turns;
    if (eth == &buffer)
        bpf_dynptr_write(&frame, 0, &buffer, sizeof(buffer), 0);
    out->flags = bpf_dynptr_clone(&frame, &clone) == 0;
    out->flags |= bpf_dynptr_is_null(&clone) << 1;
    out->adjusted = bpf_dynptr_adjust(&clone, 14, out->size);
    out->clone_size = bpf_dynptr_size(&clone);
    out->cut_beyond = bpf_dynptr_adjust(&clone, 0, 1 << 20);
    if (no_kernel_has_this)
        out->flags |= no_kernel_has_this(1) << 2;
    if (bpf_preempt_disable)
        out->flags |= 16;
    return out->turns > 40 ? XDP_TX : XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
