// SPDX-License-Identifier: BSD-3-Clause
#include "lib/xdp/capture_filter.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <pcap/bpf.h>

namespace crema::xdp {

static_assert(sizeof(FilterInsn) == sizeof(bpf_insn) &&
              offsetof(FilterInsn, jump_false) == offsetof(bpf_insn, jf) &&
              offsetof(FilterInsn, k) == offsetof(bpf_insn, k));

namespace {

// What libpcap's interpreter knows; anything else ends the process there.
constexpr std::array<std::uint16_t, 49> kKnown = {
    BPF_RET | BPF_K,
    BPF_RET | BPF_A,
    BPF_LD | BPF_W | BPF_ABS,
    BPF_LD | BPF_H | BPF_ABS,
    BPF_LD | BPF_B | BPF_ABS,
    BPF_LD | BPF_W | BPF_LEN,
    BPF_LDX | BPF_W | BPF_LEN,
    BPF_LD | BPF_W | BPF_IND,
    BPF_LD | BPF_H | BPF_IND,
    BPF_LD | BPF_B | BPF_IND,
    BPF_LDX | BPF_MSH | BPF_B,
    BPF_LD | BPF_IMM,
    BPF_LDX | BPF_IMM,
    BPF_LD | BPF_MEM,
    BPF_LDX | BPF_MEM,
    BPF_ST,
    BPF_STX,
    BPF_JMP | BPF_JA,
    BPF_JMP | BPF_JGT | BPF_K,
    BPF_JMP | BPF_JGE | BPF_K,
    BPF_JMP | BPF_JEQ | BPF_K,
    BPF_JMP | BPF_JSET | BPF_K,
    BPF_JMP | BPF_JGT | BPF_X,
    BPF_JMP | BPF_JGE | BPF_X,
    BPF_JMP | BPF_JEQ | BPF_X,
    BPF_JMP | BPF_JSET | BPF_X,
    BPF_ALU | BPF_ADD | BPF_X,
    BPF_ALU | BPF_SUB | BPF_X,
    BPF_ALU | BPF_MUL | BPF_X,
    BPF_ALU | BPF_DIV | BPF_X,
    BPF_ALU | BPF_MOD | BPF_X,
    BPF_ALU | BPF_AND | BPF_X,
    BPF_ALU | BPF_OR | BPF_X,
    BPF_ALU | BPF_XOR | BPF_X,
    BPF_ALU | BPF_LSH | BPF_X,
    BPF_ALU | BPF_RSH | BPF_X,
    BPF_ALU | BPF_ADD | BPF_K,
    BPF_ALU | BPF_SUB | BPF_K,
    BPF_ALU | BPF_MUL | BPF_K,
    BPF_ALU | BPF_DIV | BPF_K,
    BPF_ALU | BPF_MOD | BPF_K,
    BPF_ALU | BPF_AND | BPF_K,
    BPF_ALU | BPF_OR | BPF_K,
    BPF_ALU | BPF_XOR | BPF_K,
    BPF_ALU | BPF_LSH | BPF_K,
    BPF_ALU | BPF_RSH | BPF_K,
    BPF_ALU | BPF_NEG,
    BPF_MISC | BPF_TAX,
    BPF_MISC | BPF_TXA,
};

/// Jumps go forward, as offsets have no sign.
bool stays_inside(const FilterInsn& insn, std::size_t left) {
    if (BPF_CLASS(insn.code) != BPF_JMP) {
        return true;
    }
    return BPF_OP(insn.code) == BPF_JA ? insn.k < left
                                       : insn.jump_true < left && insn.jump_false < left;
}

bool is_sound(const FilterInsn& insn) {
    constexpr std::uint32_t kBits = 32;
    switch (BPF_CLASS(insn.code)) {
        case BPF_LD:
        case BPF_LDX:
            return BPF_MODE(insn.code) != BPF_MEM || insn.k < BPF_MEMWORDS;
        case BPF_ST:
        case BPF_STX:
            return insn.k < BPF_MEMWORDS;
        case BPF_ALU:
            switch (BPF_SRC(insn.code) | BPF_OP(insn.code)) {
                case BPF_K | BPF_DIV:
                case BPF_K | BPF_MOD:
                    return insn.k != 0;
                case BPF_K | BPF_LSH:
                case BPF_K | BPF_RSH:
                    return insn.k < kBits;
                default:
                    return true;
            }
        default:
            return true;
    }
}

}  // namespace

// Not libpcap's bpf_validate(): of that name there is DPDK's, too, which this library replaces.
bool is_filter(std::span<const FilterInsn> insns) {
    constexpr std::size_t kInsnsMax = 4096;  // as the kernel's
    if (insns.empty() || insns.size() > kInsnsMax || BPF_CLASS(insns.back().code) != BPF_RET) {
        return false;
    }
    for (std::size_t i = 0; i < insns.size(); ++i) {
        if (std::ranges::find(kKnown, insns[i].code) == kKnown.end() || !is_sound(insns[i]) ||
            !stays_inside(insns[i], insns.size() - i - 1)) {
            return false;
        }
    }
    return true;
}

bool filter_takes(std::span<const FilterInsn> insns,
                  const std::uint8_t* frame,
                  std::uint32_t bytes,
                  std::uint32_t frame_bytes) {
    return ::bpf_filter(reinterpret_cast<const bpf_insn*>(insns.data()), frame, frame_bytes,
                        bytes) != 0;
}

}  // namespace crema::xdp
