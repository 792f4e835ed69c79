// SPDX-License-Identifier: BSD-3-Clause
//
// The printer behind disassemble.h. One function per instruction class; operators come from small
// tables indexed by the operation field.
#include "lib/ebpf/program/disassemble.h"

#include <array>
#include <fmt/format.h>
#include <string_view>

namespace crema::ebpf {

namespace {

constexpr std::array<const char*, 16> kAluText = {"+=",   "-=",     "*=",  "/=", "|=", "&=",
                                                  "<<=",  ">>=",    "neg", "%=", "^=", "=",
                                                  "s>>=", "endian", "?",   "?"};
constexpr std::array<const char*, 16> kJmpText = {
    "ja",   "==",   ">", ">=", "&",  "!=",  "s>", "s>=",
    "call", "exit", "<", "<=", "s<", "s<=", "?",  "?"};

const char* size_text(std::uint8_t code) {
    switch (op::size_field(code)) {
        case op::kB:
            return "u8";
        case op::kH:
            return "u16";
        case op::kW:
            return "u32";
        default:
            return "u64";
    }
}

std::string by_fields(const Insn& insn) {
    return fmt::format("insn {:02x} dst={} src={} off={} imm={}", insn.code, unsigned{insn.dst},
                       unsigned{insn.src}, insn.off, insn.imm);
}

std::string alu_text(const Insn& insn) {
    const bool wide = op::insn_class(insn.code) == op::kAlu64;
    const char r = wide ? 'r' : 'w';
    const unsigned dst = insn.dst;
    const std::uint8_t operation = op::operation(insn.code);
    if (operation == op::kEnd) {
        const char* kind = wide ? "bswap" : (op::is_reg_source(insn.code) ? "be" : "le");
        return fmt::format("r{} = {}{} r{}", dst, kind, insn.imm, dst);
    }
    if (operation == op::kNeg) {
        return fmt::format("{}{} = -{}{}", r, dst, r, dst);
    }
    const bool is_signed = insn.off == 1 && (operation == op::kDiv || operation == op::kMod);
    if (!op::is_reg_source(insn.code)) {
        return fmt::format("{}{} {}{} {}", r, dst, is_signed ? "s" : "", alu_operator(insn.code),
                           insn.imm);
    }
    const bool extends = insn.off == 8 || insn.off == 16 || insn.off == 32;
    if (operation == op::kMov && extends) {
        return fmt::format("{}{} = (s{}){}{}", r, dst, insn.off, r, unsigned{insn.src});
    }
    return fmt::format("{}{} {}{} {}{}", r, dst, is_signed ? "s" : "", alu_operator(insn.code), r,
                       unsigned{insn.src});
}

std::string helper_text(std::int32_t id, HelperName helper_name) {
    const std::string_view name =
        helper_name != nullptr ? helper_name(static_cast<std::uint32_t>(id)) : "helper";
    return fmt::format("call {}{}#{}", name == "unknown" ? "" : "bpf_", name, id);
}

std::string jump_text(const Insn& insn, HelperName helper_name, KfuncName kfunc_name) {
    const bool wide = op::insn_class(insn.code) == op::kJmp;
    const std::uint8_t operation = op::operation(insn.code);
    if (insn.code == op::kMayGoto) {
        return fmt::format("may_goto pc{:+}", insn.off);
    }
    switch (operation) {
        case op::kJa:
            return wide ? fmt::format("goto pc{:+}", insn.off)
                        : fmt::format("gotol pc{:+}", insn.imm);
        case op::kExit:
            return "exit";
        case op::kCall:
            if (insn.src == op::kPseudoCall) {
                return fmt::format("call pc{:+}", insn.imm);
            }
            if (insn.src == op::kPseudoKfunc) {
                const char* name = kfunc_name != nullptr ? kfunc_name(insn.imm) : nullptr;
                if (name == nullptr) {
                    name = insn.imm != 0 ? "kernel-function" : "";
                }
                return fmt::format("call {}#{}", name, insn.imm);
            }
            return helper_text(insn.imm, helper_name);
        default:
            break;
    }
    const char r = wide ? 'r' : 'w';
    const char* compare = kJmpText[operation >> 4];
    if (op::is_reg_source(insn.code)) {
        return fmt::format("if {}{} {} {}{} goto pc{:+}", r, unsigned{insn.dst}, compare, r,
                           unsigned{insn.src}, insn.off);
    }
    return fmt::format("if {}{} {} {:#x} goto pc{:+}", r, unsigned{insn.dst}, compare,
                       static_cast<std::uint32_t>(insn.imm), insn.off);
}

std::string load_text(const Insn& insn, std::int32_t next_imm) {
    const unsigned dst = insn.dst;
    if (op::insn_class(insn.code) == op::kLdx) {
        const char* sign = op::mode(insn.code) == op::kMemSx ? "s" : "u";
        return fmt::format("r{} = *({}{} *)(r{} {:+})", dst, sign, size_text(insn.code) + 1,
                           unsigned{insn.src}, insn.off);
    }
    if (insn.code != op::kLdImm64) {
        return op::mode(insn.code) == op::kAbs || op::mode(insn.code) == op::kInd
                   ? fmt::format("r0 = *({} *)skb[{}{}]", size_text(insn.code),
                                 op::mode(insn.code) == op::kInd
                                     ? fmt::format("r{} + ", unsigned{insn.src})
                                     : std::string(),
                                 insn.imm)
                   : by_fields(insn);
    }
    switch (insn.src) {
        case op::kPseudoMap:
            return fmt::format("r{} = map[{}]", dst, insn.imm);
        case op::kPseudoMapValue:
            return fmt::format("r{} = map[{}][0]+{}", dst, insn.imm, next_imm);
        default:
            return fmt::format("r{} = {:#x}", dst,
                               (std::uint64_t{static_cast<std::uint32_t>(next_imm)} << 32) |
                                   static_cast<std::uint32_t>(insn.imm));
    }
}

// "r1 = atomic64_fetch_add((u64 *)(r10 -8), r1)": the register written is on the left.
std::string atomic_text(const Insn& insn) {
    const bool wide = op::size_field(insn.code) == op::kDw;
    const char* bits = wide ? "64" : "";
    const unsigned src = insn.src;
    const std::string place =
        fmt::format("({} *)(r{} {:+})", size_text(insn.code), unsigned{insn.dst}, insn.off);
    const auto fetch = [&](const char* name) {
        return fmt::format("r{} = atomic{}_fetch_{}({}, r{})", src, bits, name, place, src);
    };
    switch (insn.imm) {
        case op::kAdd:
        case op::kOr:
        case op::kAnd:
        case op::kXor:
            return fmt::format("lock *{} {} r{}", place,
                               kAluText[static_cast<std::size_t>(insn.imm) >> 4], src);
        case op::kAdd | op::kFetch:
            return fetch("add");
        case op::kOr | op::kFetch:
            return fetch("or");
        case op::kAnd | op::kFetch:
            return fetch("and");
        case op::kXor | op::kFetch:
            return fetch("xor");
        case op::kAtomicCmpxchg:
            return fmt::format("r0 = atomic{}_cmpxchg({}, r0, r{})", bits, place, src);
        case op::kAtomicXchg:
            return fmt::format("r{} = atomic{}_xchg({}, r{})", src, bits, place, src);
        case op::kLoadAcquire:
            return fmt::format("r{} = load_acquire(({} *)(r{} {:+}))", unsigned{insn.dst},
                               size_text(insn.code), src, insn.off);
        case op::kStoreRelease:
            return fmt::format("store_release({}, r{})", place, src);
        default:
            return fmt::format("BUG_{:02x}", insn.code);
    }
}

std::string store_text(const Insn& insn) {
    const unsigned dst = insn.dst;
    const unsigned src = insn.src;
    if (op::insn_class(insn.code) == op::kSt) {
        return fmt::format("*({} *)(r{} {:+}) = {}", size_text(insn.code), dst, insn.off, insn.imm);
    }
    if (op::mode(insn.code) == op::kAtomic) {
        return atomic_text(insn);
    }
    return fmt::format("*({} *)(r{} {:+}) = r{}", size_text(insn.code), dst, insn.off, src);
}

}  // namespace

const char* alu_operator(std::uint8_t code) {
    return kAluText[op::operation(code) >> 4];
}

std::string disassemble(const Insn& insn,
                        std::int32_t next_imm,
                        HelperName helper_name,
                        KfuncName kfunc_name) {
    switch (op::insn_class(insn.code)) {
        case op::kAlu:
        case op::kAlu64:
            return alu_text(insn);
        case op::kJmp:
        case op::kJmp32:
            return jump_text(insn, helper_name, kfunc_name);
        case op::kLd:
        case op::kLdx:
            return load_text(insn, next_imm);
        default:
            return store_text(insn);
    }
}

}  // namespace crema::ebpf
