// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// Test program: reads the bytes behind the Ethernet header as text: as a number, compared with a
// word, formatted, printed, copied through an address. Writes down what every helper answered.
#include <linux/bpf.h>
#include <linux/if_ether.h>

#include <bpf/bpf_helpers.h>

struct record {
    __s64 consumed;
    __s64 number;
    __s64 unsigned_consumed;
    __s64 unsigned_number;
    __s64 order;
    __s64 formatted;
    __s64 printed;
    __s64 probed;
    __s64 probed_text;
    __s64 probed_nothing;
    __s64 probed_value;
    __s64 formatted_value;
    char value[16];
    char value_text[32];
    __u8 probe[16];
    __u8 probe_text[16];
    char text[64];
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct record);
} records SEC(".maps");

static const char word[] = "steady";
static const char format[] = "<%s> %d %08x %c%% %pI4";
static const char value_format[] = "|%s|";
static const char line[] = "oracle %d %u %x";

SEC("xdp")

int oracle_text(struct xdp_md* ctx) {
    void* data = (void*)(long)ctx->data;
    void* data_end = (void*)(long)ctx->data_end;
    __u8* in = data + sizeof(struct ethhdr);
    char text[16] = {};
    __s64 number = 0;
    __u64 unsigned_number = 0;
    __u64 args[5];
    struct record* out;
    __u32 key = 0;

    if ((void*)(in + 16) > data_end)
        return XDP_DROP;
    __builtin_memcpy(text, in, 15);
    out = bpf_map_lookup_elem(&records, &key);
    if (!out)
        return XDP_ABORTED;
    __builtin_memset(out, 0, sizeof *out);

    out->consumed = bpf_strtol(text, sizeof text, 0, (long*)&number);
    out->number = number;
    out->unsigned_consumed = bpf_strtoul(text, sizeof text, 16, (unsigned long*)&unsigned_number);
    out->unsigned_number = unsigned_number;
    out->order = bpf_strncmp(text, sizeof text, word);

    args[0] = (__u64)text;
    args[1] = (__u32)number;
    args[2] = (__u32)unsigned_number;
    args[3] = 'A';
    args[4] = (__u64)in;
    out->formatted = bpf_snprintf(out->text, sizeof out->text, format, args, sizeof args);
    out->printed = bpf_trace_printk(line, sizeof line, (__u32)number, 7, 0xabc);

    out->probed = bpf_probe_read_kernel(out->probe, sizeof out->probe, in);
    out->probed_text = bpf_probe_read_kernel_str(out->probe_text, sizeof out->probe_text, text);
    out->probed_value = bpf_probe_read_kernel_str(out->value, sizeof out->value, out->text);
    args[0] = (__u64)out->text;
    out->formatted_value =
        bpf_snprintf(out->value_text, sizeof out->value_text, value_format, args, 8);
    out->probed_nothing = bpf_probe_read_kernel(text, 8, (void*)16);
    return XDP_TX;
}

char _license[] SEC("license") = "GPL";
