// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// Test program: calls the redirect helper that the packet asks for, with the arguments that stand
// there, and returns what the helper returned. Wanted layout behind the Ethernet header:
// u16 operation, u64 first argument, u64 flags.
#include <linux/bpf.h>
#include <linux/if_ether.h>

#include <bpf/bpf_helpers.h>

// Keeps clang from merging two calls into one that is reached with either map: this version of
// Crema refuses that (oracle_beyond_merged_maps).
#define SEPARATE(number) asm volatile("%0 += 0" : "+r"(number))

struct request {
    __u16 operation;  // 0 redirect, 1 redirect_map devmap, 2 cpumap, 3 devmap then cpumap
    __u64 target;
    __u64 flags;
} __attribute__((packed));

struct {
    __uint(type, BPF_MAP_TYPE_DEVMAP);
    __uint(max_entries, 8);
    __type(key, __u32);
    __type(value, struct bpf_devmap_val);
} devices SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_CPUMAP);
    __uint(max_entries, 4);
    __type(key, __u32);
    __type(value, __u32);
} cpus SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 4);
    __type(key, __u32);
    __type(value, __s64);
} answers SEC(".maps");

SEC("xdp")

int oracle_redirect(struct xdp_md* ctx) {
    void* data = (void*)(long)ctx->data;
    void* data_end = (void*)(long)ctx->data_end;
    struct request* request = data + sizeof(struct ethhdr);
    __s64* answer;
    __s64 result;
    __u32 key;

    if ((void*)(request + 1) > data_end)
        return XDP_DROP;
    key = request->operation & 3;
    answer = bpf_map_lookup_elem(&answers, &key);
    if (!answer)
        return XDP_ABORTED;
    if (key == 0) {
        result = bpf_redirect(request->target, request->flags);
    } else if (key == 1) {
        result = bpf_redirect_map(&devices, request->target, request->flags);
        SEPARATE(result);
    } else if (key == 2) {
        result = bpf_redirect_map(&cpus, request->target, request->flags);
        SEPARATE(key);
    } else {
        bpf_redirect_map(&devices, request->target, request->flags);
        result = bpf_redirect_map(&cpus, request->target >> 8, request->flags);
    }
    *answer = result;
    return result;
}

char _license[] SEC("license") = "Dual BSD/GPL";
