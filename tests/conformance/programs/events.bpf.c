// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// Perf event arrays: records with bytes of the packet behind them, and every way in which a program
// may ask for what is not there.
#include "face.h"

struct {
    __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
    __uint(key_size, sizeof(__u32));
    __uint(value_size, sizeof(__u32));
} events SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 8);
    __type(key, __u32);
    __type(value, __s64);
} answers SEC(".maps");

static __always_inline void answer(__u32 key, __s64 value) {
    bpf_map_update_elem(&answers, &key, &value, BPF_ANY);
}

SEC("xdp")

int output_words(struct xdp_md* ctx) {
    struct five_words record = {{1, 2, 3, 4, byte_at(ctx, KEY_OFFSET)}};

    return -bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, &record, sizeof(record));
}

SEC("xdp")

int output_with_packet(struct xdp_md* ctx) {
    __u64 bytes = byte_at(ctx, KEY_OFFSET);
    // With the one byte of most packets a record without padding: what lies there is nobody's.
    __u8 record[3] = {0x11, 0x22, 0x33};

    return -bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU | bytes << 32, record,
                                  sizeof(record));
}

SEC("xdp")

int output_packet_alone(struct xdp_md* ctx) {
    __u32 none = 0;

    return -bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU | 20ULL << 32, &none, 0);
}

SEC("xdp")

int output_refused(struct xdp_md* ctx) {
    __u8 record = 1;

    answer(0, bpf_perf_event_output(ctx, &events, 1ULL << 63 | BPF_F_CURRENT_CPU, &record, 1));
    answer(1,
           bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU | 0xfffffULL << 32, &record, 1));
    answer(2, bpf_perf_event_output(ctx, &events, 0xfffffffeULL, &record, 1));
    // Of another CPU, where there is one: the test runs on the first.
    answer(3, bpf_perf_event_output(ctx, &events, 1, &record, 1));
    return XDP_PASS;
}

SEC("xdp")

int read_refused(struct xdp_md* ctx) {
    struct bpf_perf_event_value value = {7, 7, 7};

    answer(4, bpf_perf_event_read(&events, 1ULL << 40));
    answer(5, bpf_perf_event_read(&events, BPF_F_CURRENT_CPU));
    answer(6, bpf_perf_event_read(&events, 1));
    answer(7, bpf_perf_event_read_value(&events, 0xfffffffeULL, &value, sizeof(value)));
    return value.counter | value.enabled | value.running ? XDP_DROP : XDP_PASS;
}

SEC("xdp")

int read_value(struct xdp_md* ctx) {
    struct bpf_perf_event_value value = {7, 7, 7};
    int code = bpf_perf_event_read_value(&events, BPF_F_CURRENT_CPU, &value, sizeof(value));

    if (code)
        return -code;
    return value.counter == 0 && value.enabled == value.running && value.enabled > 0 ? 100 : 101;
}

SEC("xdp")

int read_wrong_size(struct xdp_md* ctx) {
    struct bpf_perf_event_value value = {7, 7, 7};

    return -bpf_perf_event_read_value(&events, BPF_F_CURRENT_CPU, &value, sizeof(value) - 8) |
           (value.counter ? 64 : 0) | (value.running == 7 ? 128 : 0);
}

char _license[] SEC("license") = "GPL";
