// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// Asks for an offset inside a kernel structure (CO-RE): without the kernel's BTF nobody knows it.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct net_device {
    int ifindex;
} __attribute__((preserve_access_index));

SEC("xdp")
int returns_an_offset(struct xdp_md* ctx) {
    return __builtin_preserve_field_info(((struct net_device*)0)->ifindex, 0 /* byte offset */);
}

char _license[] SEC("license") = "Dual BSD/GPL";
