// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// Programs that say where they stand among others on a port, in the way of libxdp's XDP_RUN_CONFIG;
// and one without, which is built twice with different code under one name.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#ifndef BYTE
#define BYTE 0
#endif

#define RUN_CONFIG(program) _##program SEC(".xdp_run_config")

struct {
    __uint(priority, 10);
    __uint(XDP_TX, 1);
} RUN_CONFIG(sends_but_goes_on_to_the_next);

SEC("xdp")
int sends_but_goes_on_to_the_next(struct xdp_md* ctx) {
    return XDP_TX;
}

struct {
    __uint(priority, 70);
    __uint(XDP_PASS, 0);
    __uint(XDP_DROP, 1);
} RUN_CONFIG(drops_on);

SEC("xdp")
int drops_on(struct xdp_md* ctx) {
    return XDP_DROP;
}

SEC("xdp")
int same(struct xdp_md* ctx) {
    const unsigned char* data = (void*)(long)ctx->data;

    if (data + 34 > (const unsigned char*)(long)ctx->data_end) {
        return XDP_ABORTED;
    }
    return data[BYTE] == 0xff && data[BYTE + 1] == 0xff && data[BYTE + 2] == 0xfe ? XDP_TX
                                                                                  : XDP_PASS;
}

struct {
    __uint(prio, 3);
} RUN_CONFIG(says_nothing_known);

SEC("xdp")
int says_nothing_known(struct xdp_md* ctx) {
    return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
