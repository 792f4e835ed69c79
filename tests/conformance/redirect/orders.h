// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// What a frame of the redirect tests asks the programs for, and where they leave their marks: the
// one layout of orders.bpf.c and of the C++ that makes and reads frames. It lies behind the
// Ethernet header. All in the byte order of the machine.
#pragma once

#include <linux/types.h>

#define ORDER_ETHERTYPE 0x88b5

// what
#define ORDER_VERDICT 0      // return key
#define ORDER_IFINDEX 1      // bpf_redirect(key, flags)
#define ORDER_DEVMAP 2       // bpf_redirect_map(devices, key, flags)
#define ORDER_DEVMAP_HASH 3  // bpf_redirect_map(hashed_devices, key, flags)
#define ORDER_CPUMAP 4       // bpf_redirect_map(cpus, key, flags)
#define ORDER_TWICE 5        // first bpf_redirect(second, 0), then ORDER_DEVMAP
#define ORDER_INSIST 6       // ORDER_DEVMAP, whatever it says: return XDP_REDIRECT
#define ORDER_STALE 7        // first bpf_redirect(second, 0), then ORDER_INSIST
#define ORDER_REFUSED 8      // ORDER_DEVMAP, then bpf_redirect(second, 1), then XDP_REDIRECT

// slot (program of a devmap's entry) and on_cpu (of a cpumap's): a verdict, or one of these
#define ORDER_ON_IFINDEX 100    // bpf_redirect(second, 0)
#define ORDER_ON_DEVMAP 101     // bpf_redirect_map(devices, second, 0)
#define ORDER_ON_CPUMAP 102     // bpf_redirect_map(cpus, second, 0)
#define ORDER_ON_BROADCAST 103  // bpf_redirect_map(hashed_devices, 0, BROADCAST | EXCLUDE_INGRESS)
#define ORDER_HOPS_MAX 4  // so often at most: then XDP_PASS, or frames could go round for ever
#define ORDER_RESIZE 104  // the frame gets `second` more bytes (may be fewer), then XDP_PASS

struct Order {
    __u32 number;
    __u8 what;
    __u8 slot;
    __u8 on_cpu;
    __u8 hops;  // runs of programs of cpumaps so far
    __u32 key;
    __u32 flags;
    __u32 second;
    // Marks.
    __u32 main_ingress;
    __u32 main_queue;
    __u32 slot_ingress;
    __u32 slot_egress;
    __u32 cpu_ingress;
    __u16 slot_queue;  // and 1 more: 0 says that the program did not run
    __u16 cpu_queue;   // likewise
};
