// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// Test program: needs a kernel function that kernels have and Crema does not serve.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

extern int bpf_strlen(const char* text) __ksym;

SEC("xdp")

int missing_kfunc(struct xdp_md* ctx) {
    return bpf_strlen("") == 0 ? XDP_PASS : XDP_DROP;
}

char _license[] SEC("license") = "Dual BSD/GPL";
