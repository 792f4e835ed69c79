// SPDX-License-Identifier: BSD-3-Clause
//
// One BPF instruction as it stands in an object file and in bpf(2), and its opcode fields. Own
// names, because <linux/bpf.h> and DPDK's <bpf_def.h> define the same macros and cannot meet.
// Source: BPF instruction set architecture (RFC 9669), kernel extensions as noted.
#pragma once

#include <cstdint>

namespace crema::ebpf {

struct Insn {
    std::uint8_t code;
    std::uint8_t dst : 4;
    std::uint8_t src : 4;
    std::int16_t off;
    std::int32_t imm;

    friend bool operator==(const Insn&, const Insn&) = default;
};

static_assert(sizeof(Insn) == 8);

namespace op {

// class: bits 2:0
inline constexpr std::uint8_t kLd = 0x00, kLdx = 0x01, kSt = 0x02, kStx = 0x03, kAlu = 0x04,
                              kJmp = 0x05, kJmp32 = 0x06, kAlu64 = 0x07;
// source of ALU and JMP: bit 3
inline constexpr std::uint8_t kK = 0x00, kX = 0x08;
// size of LD/ST: bits 4:3
inline constexpr std::uint8_t kW = 0x00, kH = 0x08, kB = 0x10, kDw = 0x18;
// mode of LD/ST: bits 7:5
inline constexpr std::uint8_t kImm = 0x00, kAbs = 0x20, kInd = 0x40, kMem = 0x60, kMemSx = 0x80,
                              kAtomic = 0xc0;
// ALU operation: bits 7:4
inline constexpr std::uint8_t kAdd = 0x00, kSub = 0x10, kMul = 0x20, kDiv = 0x30, kOr = 0x40,
                              kAnd = 0x50, kLsh = 0x60, kRsh = 0x70, kNeg = 0x80, kMod = 0x90,
                              kXor = 0xa0, kMov = 0xb0, kArsh = 0xc0, kEnd = 0xd0;
// JMP operation: bits 7:4
inline constexpr std::uint8_t kJa = 0x00, kJeq = 0x10, kJgt = 0x20, kJge = 0x30, kJset = 0x40,
                              kJne = 0x50, kJsgt = 0x60, kJsge = 0x70, kCall = 0x80, kExit = 0x90,
                              kJlt = 0xa0, kJle = 0xb0, kJslt = 0xc0, kJsle = 0xd0;
// the two-slot load of a 64-bit constant
inline constexpr std::uint8_t kLdImm64 = kLd | kImm | kDw;
// src of kLdImm64 in a Program (program.h): after PROG_LOAD imm is an index into Program::maps
inline constexpr std::uint8_t kPseudoMap = 1, kPseudoMapValue = 2, kPseudoBtfId = 3,
                              kPseudoFunc = 4, kPseudoMapIdx = 5, kPseudoMapIdxValue = 6;
// src of kCall
inline constexpr std::uint8_t kHelperCall = 0, kPseudoCall = 1, kPseudoKfunc = 2;
// may_goto, an operation of kJmp alone: jumps when the run's bound on it is used up
inline constexpr std::uint8_t kJcond = 0xe0, kMayGoto = kJmp | kJcond;
// imm of kAtomic; the first four may carry kFetch
inline constexpr std::int32_t kFetch = 0x01;
inline constexpr std::int32_t kAtomicAdd = 0x00, kAtomicOr = 0x40, kAtomicAnd = 0x50,
                              kAtomicXor = 0xa0, kAtomicXchg = 0xe1, kAtomicCmpxchg = 0xf1,
                              kLoadAcquire = 0x100, kStoreRelease = 0x110;
// off of ALU kDiv and kMod: signed; off of kMov with a register: bits to sign-extend (8, 16, 32)
inline constexpr std::int16_t kSigned = 1;

[[nodiscard]] constexpr std::uint8_t insn_class(std::uint8_t code) {
    return code & 0x07;
}

[[nodiscard]] constexpr std::uint8_t operation(std::uint8_t code) {
    return code & 0xf0;
}

[[nodiscard]] constexpr std::uint8_t size_field(std::uint8_t code) {
    return code & 0x18;
}

[[nodiscard]] constexpr std::uint8_t mode(std::uint8_t code) {
    return code & 0xe0;
}

[[nodiscard]] constexpr bool is_reg_source(std::uint8_t code) {
    return (code & kX) != 0;
}

/// Bytes moved by a load or store: 1, 2, 4 or 8.
[[nodiscard]] constexpr std::uint32_t access_bytes(std::uint8_t code) {
    switch (size_field(code)) {
        case kB:
            return 1;
        case kH:
            return 2;
        case kW:
            return 4;
        default:
            return 8;
    }
}

}  // namespace op

[[nodiscard]] constexpr bool is_atomic(const Insn& insn) {
    return op::insn_class(insn.code) == op::kStx && op::mode(insn.code) == op::kAtomic;
}

/// dst = *(src + off), of the store class all the same.
[[nodiscard]] constexpr bool is_load_acquire(const Insn& insn) {
    return is_atomic(insn) && insn.imm == op::kLoadAcquire;
}

/// *(dst + off) = src.
[[nodiscard]] constexpr bool is_store_release(const Insn& insn) {
    return is_atomic(insn) && insn.imm == op::kStoreRelease;
}

/// The register that an atomic instruction writes (the old value, or what load_acquire loads), or
/// -1.
[[nodiscard]] constexpr int atomic_result(const Insn& insn) {
    switch (insn.imm) {
        case op::kLoadAcquire:
            return insn.dst;
        case op::kStoreRelease:
            return -1;
        case op::kAtomicCmpxchg:
            return 0;
        default:
            return (insn.imm & op::kFetch) != 0 ? insn.src : -1;
    }
}

/// gotol: an unconditional jump whose distance is in imm.
[[nodiscard]] constexpr bool is_long_jump(const Insn& insn) {
    return insn.code == (op::kJmp32 | op::kJa);
}

/// The distance of a jump, in slots from the instruction behind it.
[[nodiscard]] constexpr std::int64_t jump_offset(const Insn& insn) {
    return is_long_jump(insn) ? std::int64_t{insn.imm} : std::int64_t{insn.off};
}

/// Signed division or remainder, sign-extending move.
[[nodiscard]] constexpr bool is_signed_form(const Insn& insn) {
    const std::uint8_t cls = op::insn_class(insn.code);
    const std::uint8_t operation = op::operation(insn.code);
    return (cls == op::kAlu || cls == op::kAlu64) && insn.off != 0 &&
           (operation == op::kDiv || operation == op::kMod || operation == op::kMov);
}

}  // namespace crema::ebpf
