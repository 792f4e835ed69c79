// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// Extensions for replaceable.bpf.c whose arguments have the names of the function's, but not what
// they promise: a structure that is larger than what comes, a pointer that may be null.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct pair {
    int a[64];
};

SEC("freplace")
int reads_too_much(struct pair* pair) {
    return pair ? pair->a[63] : 0;
}

SEC("freplace")
int takes_for_granted(struct pair* pair __attribute__((btf_decl_tag("arg:nonnull")))) {
    return pair->a[0];
}

char _license[] SEC("license") = "Dual BSD/GPL";
