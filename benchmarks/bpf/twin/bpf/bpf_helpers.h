/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stands in for libbpf's header when a BPF program is compiled to native code, as the twin that
 * shows how fast the same C with the same maps and helpers can be. Helpers are the native functions
 * that compiled BPF programs call; lookups in arrays are inlined, as lowering inlines them. A map's
 * variable, which only describes it to libbpf, holds here what the program needs of the map:
 *
 *   type         the Map object
 *   max_entries  arrays: first value
 *   key          per-CPU arrays: bytes from one CPU's values to the next; program arrays: entries
 *
 * benchmarks/programs/native_twin.cpp fills it in. Not a general libbpf: what the programs measured
 * here use. Maps must be named where they are used, not passed as void *.
 */
#ifndef CREMA_TWIN_BPF_HELPERS_H
#define CREMA_TWIN_BPF_HELPERS_H

#include <linux/bpf.h>
#include <linux/types.h>

#define __uint(name, val) int(*name)[val]
#define __type(name, val) typeof(val)* name
#define SEC(name) __attribute__((section(name), used))
#undef __always_inline
#define __always_inline inline __attribute__((always_inline))
#define __noinline __attribute__((noinline))
#ifndef NULL
#define NULL ((void*)0)
#endif
#ifndef barrier_var
#define barrier_var(var) asm volatile("" : "+r"(var))
#endif

/* The head of Crema's XdpBuff (lib/ebpf/abi/xdp_buff.h); BPF programs see xdp_md instead. */
struct crema_twin_md {
    unsigned long data;
    unsigned long data_end;
    unsigned long data_meta;
    unsigned long hard_start;
    __u32 frame_sz;
    __u32 ingress_ifindex;
    __u32 rx_queue_index;
    __u32 egress_ifindex;
    __u32 cpu;
    __u32 tail_calls;
};

#define xdp_md crema_twin_md

#define CREMA_TWIN_HELPERS 256
#define CREMA_TWIN_MAP_TYPES 40

typedef __u64 (*crema_twin_native)(__u64, __u64, __u64, __u64, __u64);

/* by helper and map type; type 0: helpers without a map */
static struct {
    void* context; /* XdpBuff of the runs */
    crema_twin_native native[CREMA_TWIN_HELPERS][CREMA_TWIN_MAP_TYPES];
} crema_twin;

__attribute__((visibility("default"), used)) void* crema_twin_address(void) {
    return &crema_twin;
}

#define CREMA_MAP_TYPE(map) (sizeof(*(map)->type) / sizeof(int))
#define CREMA_ENTRIES(map) (sizeof(*(map)->max_entries) / sizeof(int))
#define CREMA_STRIDE(map) ((sizeof(*(map)->value) + 7) / 8 * 8)
#define CREMA_WORD(x) ((__u64)(unsigned long)(x))
#define CREMA_CALL(helper, type, a, b, c, d)                                                    \
    crema_twin.native[helper][type](CREMA_WORD(a), CREMA_WORD(b), CREMA_WORD(c), CREMA_WORD(d), \
                                    CREMA_WORD(crema_twin.context))

static __always_inline void* crema_lookup(unsigned long type,
                                          void* map,
                                          char* base,
                                          unsigned long cpu_stride,
                                          __u32 entries,
                                          unsigned long stride,
                                          const void* key) {
    if (type == BPF_MAP_TYPE_ARRAY || type == BPF_MAP_TYPE_PERCPU_ARRAY) {
        __u32 index = *(const __u32*)key;

        if (index >= entries)
            return NULL;
        if (!base)
            __builtin_unreachable();
        base += index * stride;
        if (type == BPF_MAP_TYPE_PERCPU_ARRAY)
            base += ((struct crema_twin_md*)crema_twin.context)->cpu * cpu_stride;
        return base;
    }
    return (void*)(unsigned long)CREMA_CALL(BPF_FUNC_map_lookup_elem, type, map, key, 0, 0);
}

#define bpf_map_lookup_elem(map, k)                                           \
    crema_lookup(CREMA_MAP_TYPE(map), (map)->type, (char*)(map)->max_entries, \
                 CREMA_WORD((map)->key), CREMA_ENTRIES(map), CREMA_STRIDE(map), (k))
#define bpf_map_update_elem(map, k, v, flags) \
    ((long)CREMA_CALL(BPF_FUNC_map_update_elem, CREMA_MAP_TYPE(map), (map)->type, k, v, flags))
#define bpf_map_delete_elem(map, k) \
    ((long)CREMA_CALL(BPF_FUNC_map_delete_elem, CREMA_MAP_TYPE(map), (map)->type, k, 0, 0))
#define bpf_redirect_map(map, k, flags) \
    ((long)CREMA_CALL(BPF_FUNC_redirect_map, CREMA_MAP_TYPE(map), (map)->type, k, flags, 0))
#define bpf_ringbuf_output(map, data, size, flags) \
    ((long)CREMA_CALL(BPF_FUNC_ringbuf_output, CREMA_MAP_TYPE(map), (map)->type, data, size, flags))
#define bpf_ktime_get_ns() CREMA_CALL(BPF_FUNC_ktime_get_ns, 0, 0, 0, 0, 0)
#define bpf_xdp_adjust_head(ctx, delta) \
    ((int)CREMA_CALL(BPF_FUNC_xdp_adjust_head, 0, ctx, (long)(int)(delta), 0, 0))
#define bpf_get_prandom_u32() ((__u32)CREMA_CALL(BPF_FUNC_get_prandom_u32, 0, 0, 0, 0, 0))
#define bpf_get_smp_processor_id() (((struct crema_twin_md*)crema_twin.context)->cpu)

/* A tail call is what the C library calls one: the program of the slot takes over. */
#define bpf_tail_call(ctx, map, index)                                            \
    do {                                                                          \
        typedef int (*crema_program)(struct crema_twin_md*);                      \
        __u32 crema_index = (index);                                              \
                                                                                  \
        if (crema_index < CREMA_ENTRIES(map)) {                                   \
            crema_program crema_next = ((crema_program*)(map)->key)[crema_index]; \
                                                                                  \
            if (crema_next && (ctx)->tail_calls++ < 33)                           \
                __attribute__((musttail)) return crema_next(ctx);                 \
        }                                                                         \
    } while (0)

#endif
