// SPDX-License-Identifier: BSD-3-Clause
//
// Uses the skeleton that bpftool makes of linked.o as its users do: sets constants and variables,
// loads, runs both programs, reads variables and maps. Prints nothing that the kernel and Crema may
// choose. Compiled by skeleton_test.py, once for both.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>

#include "linked.skel.h"

static void run(const char* name, const struct bpf_program* program, __u32 bytes, __u32 port) {
    unsigned char packet[128] = {0};
    struct xdp_md context = {.data_end = bytes, .ingress_ifindex = port};
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet, .data_size_in = bytes,
                .ctx_in = &context, .ctx_size_in = sizeof(context));
    const int err = bpf_prog_test_run_opts(bpf_program__fd(program), &options);
    printf("%s %u on %u: %d %u\n", name, bytes, port, err, err == 0 ? options.retval : 0);
}

static void show(const char* name, const struct bpf_map* map, __u32 key) {
    __u64 value = 0;
    const int err = bpf_map__lookup_elem(map, &key, sizeof(key), &value, sizeof(value), 0);
    printf("%s[%u]: %d %llu\n", name, key, err, (unsigned long long)value);
}

static int use(struct linked* skeleton) {
    skeleton->rodata->only_port = 1;
    skeleton->rodata->long_from = 100;
    skeleton->data->others = 1000;
    bpf_map__set_max_entries(skeleton->maps.lengths, 3);
    const int err = linked__load(skeleton);
    printf("load %d\n", err);
    if (err != 0) {
        return 1;
    }
    const __u32 sizes[] = {60, 60, 99, 100, 128};
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(*sizes); ++i) {
        run("counts", skeleton->progs.counts, sizes[i], 1);
    }
    // Memory of a loaded skeleton is the program's.
    skeleton->bss->seen += 50;
    run("counts", skeleton->progs.counts, 64, 1);
    run("counts", skeleton->progs.counts, 64, 2);
    run("drops", skeleton->progs.drops, 64, 1);
    run("drops", skeleton->progs.drops, 13, 1);
    printf("seen %llu, others %llu, last %u, note %s\n", (unsigned long long)skeleton->bss->seen,
           (unsigned long long)skeleton->data->others, skeleton->data->last_length,
           skeleton->data->note);
    printf("only_port %u, long_from %u\n", skeleton->rodata->only_port,
           skeleton->rodata->long_from);
    const __u32 keys[] = {60, 64, 99, 100, 128, 1000, 1001};
    for (unsigned i = 0; i < sizeof(keys) / sizeof(*keys); ++i) {
        show("lengths", skeleton->maps.lengths, keys[i]);
    }
    show("totals", skeleton->maps.totals, 0);
    show("totals", skeleton->maps.totals, 1);
    const int attached = linked__attach(skeleton);
    printf("attach %d %s\n", attached, skeleton->links.counts == NULL ? "none" : "some");
    linked__detach(skeleton);
    return 0;
}

int main(void) {
    struct linked* skeleton = linked__open();
    if (skeleton == NULL) {
        printf("open: %s\n", strerror(errno));
        return 1;
    }
    const int code = use(skeleton);
    linked__destroy(skeleton);
    skeleton = linked__open_and_load();
    printf("again %s\n", skeleton != NULL ? "loaded" : "refused");
    linked__destroy(skeleton);
    return code;
}
