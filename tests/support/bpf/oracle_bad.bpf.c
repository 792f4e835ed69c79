// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// Programs that no verifier may let through, one per value of BAD_* (the build makes one object of
// each). The kernel refuses them; so must Crema, before anything runs.
#include <linux/bpf.h>
#include <linux/if_ether.h>

#include <bpf/bpf_helpers.h>

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 4);
    __type(key, __u32);
    __type(value, __u64);
} values SEC(".maps");

const volatile __u32 constant = 7;

SEC("xdp")

int bad(struct xdp_md* ctx) {
    void* data = (void*)(long)ctx->data;
    void* data_end = (void*)(long)ctx->data_end;
    __u32 key = 0;
    __u64* value = bpf_map_lookup_elem(&values, &key);

    if (data + sizeof(struct ethhdr) > data_end)
        return XDP_DROP;
    key = *(__u32*)data;
#if defined(BAD_OOB_READ)
    // One byte behind what was checked.
    return *(__u8*)(data + sizeof(struct ethhdr));
#elif defined(BAD_OOB_WRITE)
    *(__u32*)(data + 12) = 1;
#elif defined(BAD_NEGATIVE_READ)
    return *(__u8*)(data - 1);
#elif defined(BAD_UNCHECKED_INDEX)
    return *(__u8*)(data + *(__u16*)data);
#elif defined(BAD_STALE_POINTER)
    if (bpf_xdp_adjust_head(ctx, 4))
        return XDP_DROP;
    return *(__u8*)data;
#elif defined(BAD_PACKET_END_READ)
    return *(__u8*)data_end;
#elif defined(BAD_NO_NULL_CHECK)
    value = bpf_map_lookup_elem(&values, &key);
    return *value;
#elif defined(BAD_MAP_VALUE_OVERRUN)
    if (value)
        return *(__u64*)((void*)value + 4);
#elif defined(BAD_MAP_VALUE_INDEX)
    if (value)
        return value[*(__u8*)data];
#elif defined(BAD_RODATA_WRITE)
    asm volatile("*(u32 *)(%0 + 0) = %1" ::"r"(&constant), "r"(key) : "memory");
#elif defined(BAD_CONTEXT_WRITE)
    asm volatile("*(u32 *)(%0 + 0) = %1" ::"r"(ctx), "r"(key) : "memory");
#elif defined(BAD_CONTEXT_WIDTH)
    asm volatile("%0 = *(u64 *)(%1 + 0)" : "=r"(value) : "r"(ctx));
    return value == 0;
#elif defined(BAD_CONTEXT_EGRESS)
    return ctx->egress_ifindex;
#elif defined(BAD_STACK_OVERRUN)
    asm volatile("*(u64 *)(r10 - 520) = %0" ::"r"(value) : "memory");
#elif defined(BAD_FRAME_POINTER_WRITE)
    asm volatile("r10 += 8");
#elif defined(BAD_UNINITIALISED_REGISTER)
    // A helper call leaves r1 to r5 without value.
    asm volatile("r1 = %1; r2 = 0; call 44; %0 = r4"
                 : "=r"(key)
                 : "r"(ctx)
                 : "r0", "r1", "r2", "r3", "r4", "r5");
    return key;
#elif defined(BAD_ENDLESS_LOOP)
    asm volatile("again_%=: r0 = 0; if r0 == 0 goto again_%=" ::: "r0");
#elif defined(BAD_UNKNOWN_HELPER)
    ((long (*)(void))9999)();
#elif defined(BAD_FOREIGN_HELPER)
    ((long (*)(void*, __u32, void*, __u32))26)(ctx, 0, &key, 4);
#elif defined(BAD_HELPER_ARGUMENT)
    return bpf_xdp_adjust_head(data, 4);
#elif defined(BAD_MAP_ARGUMENT)
    return bpf_redirect_map(&values, 0, 0);
#elif defined(BAD_KEY_ARGUMENT)
    return bpf_map_lookup_elem(&values, (void*)1234) != 0;
#elif defined(BAD_POINTER_MULTIPLY)
    asm volatile("%0 *= 2" : "+r"(data));
    return *(__u8*)data;
#elif defined(BAD_SCALAR_POINTER)
    return *(__u8*)(long)ctx->ingress_ifindex;
#else
#error "name one BAD_* case"
#endif
    return value && *value ? XDP_PASS : XDP_DROP;
}

char _license[] SEC("license") = "Dual BSD/GPL";
