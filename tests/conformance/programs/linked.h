// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// What the two halves of the linked object share.
#pragma once

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

extern int verdict_of(__u32 length);

/// Counts `key` in a hash of numbers.
static __always_inline void remember(void* map, __u32 key) {
    __u64* times = bpf_map_lookup_elem(map, &key);
    if (times) {
        ++*times;
        return;
    }
    const __u64 once = 1;
    bpf_map_update_elem(map, &key, &once, BPF_NOEXIST);
}
