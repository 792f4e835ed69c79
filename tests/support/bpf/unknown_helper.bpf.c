// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// Calls a helper number that no kernel has.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

static long (*no_such_helper)(void) = (void*)4711;

SEC("xdp")
int calls_it(struct xdp_md* ctx) {
    return no_such_helper() == 0 ? XDP_DROP : XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
