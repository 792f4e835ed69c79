// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// Has a program, but none for XDP.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("tc")
int classify(struct __sk_buff* skb) {
    return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
