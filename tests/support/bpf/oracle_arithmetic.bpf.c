// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
//
// Test program: takes two 64-bit numbers and an index from the packet, applies every arithmetic,
// shift, swap and comparison operator to them in 64 and 32 bits, and leaves the results in a
// per-CPU array. Division by zero, shift counts and 32-bit zero extension are where a code
// generator goes wrong; inline assembly keeps clang from deciding them.
#include <linux/bpf.h>
#include <linux/if_ether.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define RESULTS 48

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u64[RESULTS]);
} results SEC(".maps");

struct operands {
    __u16 padding;
    __u64 a;
    __u64 b;
} __attribute__((packed));

#define APPLY64(operation)                                          \
    ({                                                              \
        __u64 value = a;                                            \
        asm volatile("%0 " operation " %1" : "+r"(value) : "r"(b)); \
        value;                                                      \
    })

#define APPLY64_IMMEDIATE(operation, immediate)                     \
    ({                                                              \
        __u64 value = a;                                            \
        asm volatile("%0 " operation " " #immediate : "+r"(value)); \
        value;                                                      \
    })

#define COMPARE64(operation, type) ((type)a operation(type) b)

SEC("xdp")

int oracle_arithmetic(struct xdp_md* ctx) {
    void* data = (void*)(long)ctx->data;
    void* data_end = (void*)(long)ctx->data_end;
    struct operands* operands = data + sizeof(struct ethhdr);
    __u32 key = 0;
    __u64* out;
    __u64 a;
    __u64 b;
    __u32 a32;
    __u32 b32;
    __u64 flags = 0;

    if ((void*)(operands + 1) > data_end)
        return XDP_DROP;
    out = bpf_map_lookup_elem(&results, &key);
    if (!out)
        return XDP_ABORTED;
    a = operands->a;
    b = operands->b;
    a32 = a;
    b32 = b;

    out[0] = APPLY64("+=");
    out[1] = APPLY64("-=");
    out[2] = APPLY64("*=");
    out[3] = APPLY64("/=");
    out[4] = a % b;  // by zero: a; the assembler of clang 14 does not know %=
    out[5] = APPLY64("|=");
    out[6] = APPLY64("&=");
    out[7] = APPLY64("^=");
    out[8] = a << (b & 63);
    out[9] = a >> (b & 63);
    out[10] = (__s64)a >> (b & 63);
    out[11] = -a;
    out[12] = APPLY64_IMMEDIATE("*=", -7);
    out[13] = APPLY64_IMMEDIATE("/=", 10);
    out[14] = a % 1000003;
    out[15] = APPLY64_IMMEDIATE("+=", -2147483648);
    out[16] = APPLY64_IMMEDIATE("&=", -256);
    out[17] = APPLY64_IMMEDIATE("<<=", 63);
    out[18] = APPLY64_IMMEDIATE("s>>=", 17);
    out[19] = APPLY64_IMMEDIATE(">>=", 33);

    out[20] = (__u32)(a32 + b32);
    out[21] = (__u32)(a32 - b32);
    out[22] = (__u32)(a32 * b32);
    out[23] = a32 / b32;
    out[24] = a32 % b32;
    out[25] = (__u32)(a32 << (b32 & 31));
    out[26] = a32 >> (b32 & 31);
    out[27] = (__s64)((__s32)a32 >> (b32 & 31));
    out[28] = (__u32)-a32;
    out[29] = (__u32)~a32;
    out[30] = (__s64)(__s32)a32;
    out[31] = (__s64)(__s16)a32;
    out[32] = (__s64)(__s8)a32;

    out[33] = bpf_cpu_to_be64(a);
    out[34] = bpf_htonl(a32);
    out[35] = bpf_htons((__u16)a);
    out[36] = (__u16)a | (__u64)(__u8)b << 32;

#define FLAG(bit, condition)            \
    do {                                \
        if (condition)                  \
            flags |= 1ULL << (bit);     \
        asm volatile("" : "+r"(flags)); \
    } while (0)
    FLAG(0, COMPARE64(==, __u64));
    FLAG(1, COMPARE64(>, __u64));
    FLAG(2, COMPARE64(>=, __u64));
    FLAG(3, COMPARE64(<, __s64));
    FLAG(4, COMPARE64(<=, __s64));
    FLAG(5, a & b);
    FLAG(6, a32 == b32);
    FLAG(7, a32 > b32);
    FLAG(8, a32 <= b32);
    FLAG(9, (__s32)a32 > (__s32)b32);
    FLAG(10, (__s32)a32 <= (__s32)b32);
    FLAG(11, a32 & b32);
    FLAG(12, a & 0x40);
    FLAG(13, a & 0x80);
    FLAG(14, a32 & 0x80000000);
    FLAG(15, (__s64)a < -5);
    FLAG(16, (__s32)a32 > -5);
    FLAG(17, a > 0xfffffff0);
    FLAG(18, a32 != 0x7fffffff);
    FLAG(19, (__s64)b >= 0x7fffffff);
    out[37] = flags;
    return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
