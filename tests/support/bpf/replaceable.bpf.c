// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// A program whose functions extensions stand for (extensions.bpf.c): global ones with and without
// the context, one that moves the packet, one that nobody calls, and a static one.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct pair {
    int a;
    int b;
};

int calls;

// volatile: what an extension returns must not be known when the callers are compiled.
__attribute__((noinline)) int first(struct xdp_md* ctx) {
    volatile int verdict = XDP_PASS;

    return ctx ? verdict : XDP_ABORTED;
}

__attribute__((noinline)) int number(int a, long b) {
    volatile int sum = a;

    return sum + (int)b;
}

__attribute__((noinline)) int memory(struct pair* pair) {
    return pair ? pair->a + pair->b : 0;
}

__attribute__((noinline)) int moves(struct xdp_md* ctx) {
    return bpf_xdp_adjust_head(ctx, 0);
}

__attribute__((noinline)) int uncalled(struct xdp_md* ctx) {
    volatile int verdict = XDP_PASS;

    return verdict;
}

static __attribute__((noinline)) int local(struct xdp_md* ctx) {
    volatile int verdict = XDP_TX;

    return ctx ? verdict : XDP_ABORTED;
}

SEC("xdp")
int target(struct xdp_md* ctx) {
    struct pair pair = {1, 2};
    int verdict = first(ctx);
    int sum = number(3, 4);

    calls++;
    if (verdict != XDP_PASS) {
        return verdict;
    }
    if (sum != 7) {
        return sum;
    }
    if (memory(&pair) != 3 || moves(ctx)) {
        return XDP_DROP;
    }
    return local(ctx);
}

char _license[] SEC("license") = "Dual BSD/GPL";
