// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// A user ring buffer: samples from user space, drained by the program.
#include "face.h"

struct {
    __uint(type, BPF_MAP_TYPE_USER_RINGBUF);
    __uint(max_entries, 4096);
} samples SEC(".maps");

__s64 seen[8];

struct drained {
    __u32 samples;
    __u32 limit;
};

static __always_inline void add(__u32 key, __s64 value) {
    seen[key] = seen[key] * 31 + value;
}

static long take(struct bpf_dynptr* sample, void* context) {
    struct drained* drained = context;
    __u8 bytes[4] = {};
    __u64* first = bpf_dynptr_data(sample, 0, sizeof(*first));

    add(0, bpf_dynptr_read(bytes, sizeof(bytes), sample, 0, 0));
    add(1, bytes[0] | bytes[1] << 8 | bytes[2] << 16 | (__u32)bytes[3] << 24);
    add(2, bpf_dynptr_read(bytes, 1, sample, 99, 0));
    add(3, first ? *first : -1);
    // User space reads what programs write into the sample.
    if (first)
        *first = 0x5a5a5a5a;
    add(4, bpf_dynptr_write(sample, 0, bytes, 1, 1));
    return ++drained->samples >= drained->limit || bytes[0] == 0xff;
}

static __always_inline long drain(__u64 flags, __u32 limit) {
    struct drained drained = {.samples = 0, .limit = limit};
    long result = bpf_user_ringbuf_drain(&samples, take, &drained, flags);

    add(5, drained.samples);
    return result;
}

SEC("xdp")

int drain_all(struct xdp_md* ctx) {
    return drain(0, 1000);
}

SEC("xdp")

int drain_two(struct xdp_md* ctx) {
    return drain(BPF_RB_FORCE_WAKEUP, 2);
}

SEC("xdp")

int drain_quietly(struct xdp_md* ctx) {
    return drain(BPF_RB_NO_WAKEUP, 1);
}

SEC("xdp")

int drain_refused(struct xdp_md* ctx) {
    return drain(4, 1);
}

static long nested(struct bpf_dynptr* sample, void* context) {
    add(6, bpf_user_ringbuf_drain(&samples, take, context, 0));
    return 0;
}

SEC("xdp")

int drain_nested(struct xdp_md* ctx) {
    struct drained drained = {.samples = 0, .limit = 1};

    return bpf_user_ringbuf_drain(&samples, nested, &drained, 0);
}

char _license[] SEC("license") = "GPL";
