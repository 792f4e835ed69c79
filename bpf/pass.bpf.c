// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// Passes every frame on and reads nothing: the empty program. Benchmarks subtract it, and a port
// with it behaves as one without a program.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("xdp")
int pass(struct xdp_md* ctx) {
    (void)ctx;
    return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
