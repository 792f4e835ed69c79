// SPDX-License-Identifier: BSD-3-Clause
//
// The admission of instructions, class by class. Each check returns a reason or null.
#include "lib/ebpf/lowering/check.h"

#include <algorithm>
#include <cerrno>

#include "lib/ebpf/helpers/prototypes.h"
#include "lib/ebpf/kfuncs/kfuncs.h"
#include "lib/ebpf/lowering/emit.h"
#include "lib/ebpf/lowering/intrinsics.h"
#include "lib/ebpf/maps/map.h"

namespace crema::ebpf::lowering {

namespace {

constexpr std::uint8_t kFrameReg = 10;

const char* check_immediate_operand(const Insn& insn, std::uint8_t operation, bool is64) {
    const std::int32_t width = is64 ? 64 : 32;
    switch (operation) {
        case op::kDiv:
        case op::kMod:
            return insn.imm != 0 ? nullptr : "division by the constant zero";
        case op::kLsh:
        case op::kRsh:
        case op::kArsh:
            return insn.imm >= 0 && insn.imm < width ? nullptr : "shift count out of range";
        default:
            return nullptr;
    }
}

// off of arithmetic: 1 makes a division signed, 8, 16 and 32 are the bits that a move sign-extends.
const char* check_signed_form(const Insn& insn, bool is64) {
    const std::uint8_t operation = op::operation(insn.code);
    if (operation == op::kDiv || operation == op::kMod) {
        return insn.off == 1 ? nullptr : "division of unknown kind";
    }
    const bool extends = insn.off == 8 || insn.off == 16 || (insn.off == 32 && is64);
    if (operation == op::kMov && op::is_reg_source(insn.code) && extends) {
        return nullptr;
    }
    return operation == op::kMov && insn.off == 1 ? "address-space cast is not served"
                                                  : "reserved field is set";
}

const char* check_alu(const Insn& insn) {
    const bool is64 = op::insn_class(insn.code) == op::kAlu64;
    const std::uint8_t operation = op::operation(insn.code);
    if (insn.dst >= kFrameReg) {
        return "write to the frame pointer or an unknown register";
    }
    if (insn.off != 0) {
        const char* reason = check_signed_form(insn, is64);
        if (reason != nullptr) {
            return reason;
        }
    }
    if (operation == op::kEnd) {
        if (is64 && op::is_reg_source(insn.code)) {
            return "unknown byte order operation";
        }
        return insn.src == 0 && (insn.imm == 16 || insn.imm == 32 || insn.imm == 64)
                   ? nullptr
                   : "byte order operation of unknown width";
    }
    if (operation > op::kEnd) {
        return "unknown arithmetic operation";
    }
    if (operation == op::kNeg) {
        return !op::is_reg_source(insn.code) && insn.src == 0 && insn.imm == 0
                   ? nullptr
                   : "negation with an operand";
    }
    if (op::is_reg_source(insn.code)) {
        return insn.imm == 0 && insn.src <= kFrameReg ? nullptr : "reserved field is set";
    }
    return insn.src == 0 ? check_immediate_operand(insn, operation, is64) : "reserved field is set";
}

const char* check_helper_call(const Insn& insn) {
    if (op::is_reg_source(insn.code) || insn.dst != 0 || insn.off != 0) {
        return "reserved field is set";
    }
    if (insn.src == op::kPseudoKfunc) {
        return kfuncs::find(insn.imm) != nullptr ? nullptr : "kernel function that is not there";
    }
    if (insn.src != op::kHelperCall && insn.src != op::kPseudoCall) {
        return "call of unknown kind";
    }
    return nullptr;  // whether it has a native function: check_native()
}

const char* check_jump(const Insn& insn) {
    const bool is32 = op::insn_class(insn.code) == op::kJmp32;
    const std::uint8_t operation = op::operation(insn.code);
    switch (operation) {
        case op::kJa:
            return !op::is_reg_source(insn.code) && insn.dst == 0 && insn.src == 0 &&
                           (is32 ? insn.off == 0 : insn.imm == 0)
                       ? nullptr
                       : "reserved field is set";
        case op::kCall:
            return is32 ? "unknown jump" : check_helper_call(insn);
        case op::kExit:
            return !is32 && !op::is_reg_source(insn.code) && insn.dst == 0 && insn.src == 0 &&
                           insn.off == 0 && insn.imm == 0
                       ? nullptr
                       : "reserved field is set";
        default:
            break;
    }
    if (insn.code == op::kMayGoto) {
        return insn.dst == 0 && insn.src == 0 && insn.imm == 0 ? nullptr : "reserved field is set";
    }
    if (operation > op::kJsle || insn.dst > kFrameReg) {
        return "unknown jump";
    }
    if (op::is_reg_source(insn.code)) {
        return insn.imm == 0 && insn.src <= kFrameReg ? nullptr : "reserved field is set";
    }
    return insn.src == 0 ? nullptr : "reserved field is set";
}

const char* check_load(const Insn& insn, verifier::Access access) {
    const bool is_signed =
        op::mode(insn.code) == op::kMemSx && op::size_field(insn.code) != op::kDw;
    if (op::mode(insn.code) != op::kMem && !is_signed) {
        return "load of this mode is not served";
    }
    if (insn.imm != 0 || insn.dst >= kFrameReg || insn.src > kFrameReg) {
        return "reserved field is set";
    }
    if (access == verifier::Access::ctx) {
        const bool is_field = op::size_field(insn.code) == op::kW && insn.off >= 0 &&
                              insn.off <= 20 && insn.off % 4 == 0;
        constexpr std::int16_t kFirstNumber = 12;  // pointers are in front of it
        return is_field && (!is_signed || insn.off >= kFirstNumber)
                   ? nullptr
                   : "context is read in 32-bit fields only";
    }
    return nullptr;
}

const char* check_store(const Insn& insn, verifier::Access access) {
    const std::uint8_t mode = op::mode(insn.code);
    const bool is_register_store = op::insn_class(insn.code) == op::kStx;
    if (access == verifier::Access::ctx) {
        return "store to the context is not served";
    }
    if (insn.dst > kFrameReg || insn.src > kFrameReg) {
        return "unknown register";
    }
    if (mode == op::kMem) {
        return (is_register_store ? insn.imm == 0 : insn.src == 0) ? nullptr
                                                                   : "reserved field is set";
    }
    if (mode != op::kAtomic || !is_register_store) {
        return "store of this mode is not served";
    }
    if (is_load_acquire(insn)) {
        return insn.dst < kFrameReg ? nullptr : "write to the frame pointer";
    }
    if (is_store_release(insn)) {
        return nullptr;
    }
    const std::uint8_t size = op::size_field(insn.code);
    if (size != op::kW && size != op::kDw) {
        return "atomic operation of this width";
    }
    if (atomic_result(insn) == kFrameReg) {
        return "write to the frame pointer";
    }
    return atomic_native(insn.imm, size == op::kDw) != nullptr ? nullptr
                                                               : "unknown atomic operation";
}

const char* check_constant(const Program& program, std::size_t at, std::int32_t function) {
    const Insn& first = program.insns[at];
    if (first.code != op::kLdImm64) {
        return "load of this mode is not served";
    }
    if (at + 1 >= program.insns.size()) {
        return "second half of a 64-bit constant is missing";
    }
    const Insn& second = program.insns[at + 1];
    if (second.code != 0 || second.dst != 0 || second.src != 0 || second.off != 0 ||
        first.off != 0 || first.dst >= kFrameReg) {
        return "reserved field is set";
    }
    if (first.src == 0) {
        return nullptr;
    }
    if (first.src == op::kPseudoFunc) {
        return function >= 0 ? nullptr : "address of no function";
    }
    if (first.src == op::kPseudoBtfId) {
        return kfuncs::find(first.imm) != nullptr && second.imm == 0
                   ? nullptr
                   : "address of nothing that is here";
    }
    if (first.src != op::kPseudoMap && first.src != op::kPseudoMapValue) {
        return "constant of this kind is not served";
    }
    if (first.imm < 0 || static_cast<std::size_t>(first.imm) >= program.maps.size()) {
        return "map reference out of range";
    }
    if (first.src == op::kPseudoMap) {
        return second.imm == 0 ? nullptr : "reserved field is set";
    }
    const maps::Map& map = *program.maps[static_cast<std::size_t>(first.imm)];
    const bool direct = map.layout().base != nullptr && map.layout().percpu_stride == 0;
    return direct && static_cast<std::uint32_t>(second.imm) < map.spec().value_size
               ? nullptr
               : "map has no value at this address";
}

const char* check_insn(const Program& program, std::size_t at, const verifier::InsnFacts& facts) {
    const Insn& insn = program.insns[at];
    switch (op::insn_class(insn.code)) {
        case op::kLd:
            return check_constant(program, at, facts.function);
        case op::kLdx:
            return check_load(insn, facts.access);
        case op::kSt:
        case op::kStx:
            return check_store(insn, facts.access);
        case op::kJmp:
        case op::kJmp32:
            return check_jump(insn);
        default:
            return check_alu(insn);
    }
}

/// A helper that verifies may have no native function yet, or none for the type of its map.
Status check_native(const Program& program, std::size_t at, std::int32_t map) {
    const Insn& insn = program.insns[at];
    const auto id = static_cast<std::uint32_t>(insn.imm);
    if (insn.code != (op::kJmp | op::kCall) || insn.src != op::kHelperCall ||
        insn.imm == kTailCall) {
        return {};
    }
    const helpers::Prototype* prototype = helpers::find(id);
    const maps::Map* known = map >= 0 ? program.maps[static_cast<std::size_t>(map)].get() : nullptr;
    if (prototype != nullptr &&
        (prototype->native != nullptr ||
         (known != nullptr && helpers::native_for(id, known->spec().type) != nullptr))) {
        return {};
    }
    const std::string on_map = known != nullptr
                                   ? fmt::format(" on map {} (type {})", known->spec().name,
                                                 static_cast<unsigned>(known->spec().type))
                                   : std::string();
    return fail(ENOTSUP, "program {}: instruction {}: helper bpf_{}#{}{} is not served yet",
                program.name, at, helpers::name_of(id), id, on_map);
}

bool is_frame_size(std::uint32_t bytes) {
    constexpr std::uint32_t kStackMax = 512;
    return bytes <= kStackMax && bytes % 8 == 0;
}

}  // namespace

Status check_program(const Program& program, const verifier::Proof& proof) {
    if (proof.insns.size() != program.insns.size() || !is_frame_size(proof.stack_bytes) ||
        !std::all_of(proof.functions.begin(), proof.functions.end(),
                     [](const verifier::FunctionFacts& facts) {
                         return is_frame_size(facts.stack_bytes);
                     })) {
        return fail(EINVAL, "program {}: the proof is of another program", program.name);
    }
    for (std::size_t at = 0; at < program.insns.size(); at++) {
        const Insn& insn = program.insns[at];
        if (proof.insns[at].reachable) {
            const char* reason = check_insn(program, at, proof.insns[at]);
            if (reason != nullptr) {
                return fail(ENOTSUP,
                            "program {}: instruction {} (opcode {:#04x}, src {}, off {}, imm {}): "
                            "{}",
                            program.name, at, insn.code, unsigned{insn.src}, insn.off, insn.imm,
                            reason);
            }
            if (auto served = check_native(program, at, proof.insns[at].map); !served) {
                return served;
            }
        }
        at += insn.code == op::kLdImm64 ? 1 : 0;
    }
    return {};
}

}  // namespace crema::ebpf::lowering
