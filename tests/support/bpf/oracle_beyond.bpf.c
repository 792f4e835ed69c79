// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// Programs that the kernel runs and this version of Crema does not serve, one per BEYOND_*. They
// must be refused when they are loaded, with a reason, and not fail later.
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

#if defined(BEYOND_HELPER)
SEC("xdp")

int beyond(struct xdp_md* ctx) {
    (void)ctx;
    return bpf_get_current_task_btf() ? XDP_DROP : XDP_PASS;
}
#elif defined(BEYOND_XDP)
SEC("tc")

int beyond(struct __sk_buff* skb) {
    (void)skb;
    return TC_ACT_OK;
}
#else
#error "name one BEYOND_* case"
#endif

char _license[] SEC("license") = "Dual BSD/GPL";
