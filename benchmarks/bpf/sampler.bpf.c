// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// Samples one frame of 64 into a ring buffer that nobody empties: once it is full the sample is
// refused, which is what a monitor that falls behind sees.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#define EVERY 64
#define SAMPLE_BYTES 32

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 1 << 16);
} samples SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u64);
} seen SEC(".maps");

SEC("xdp")

int sampler(struct xdp_md* ctx) {
    void* data = (void*)(long)ctx->data;
    void* data_end = (void*)(long)ctx->data_end;
    const __u32 key = 0;
    __u64* count = bpf_map_lookup_elem(&seen, &key);

    if (!count)
        return XDP_ABORTED;
    if (++*count % EVERY == 0 && data + SAMPLE_BYTES <= data_end) {
        __u64 sample[SAMPLE_BYTES / sizeof(__u64)];  // the helper takes no packet pointer

        __builtin_memcpy(sample, data, sizeof(sample));
        bpf_ringbuf_output(&samples, sample, sizeof(sample), BPF_RB_NO_WAKEUP);
    }
    return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
