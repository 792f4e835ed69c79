// SPDX-License-Identifier: BSD-3-Clause
//
// Sizes by class. Source: machine code that DPDK 22.11 makes (crema xdp disasm).
#include "lib/ebpf/lowering/native_size.h"

namespace crema::ebpf::lowering {

namespace {

bool fits_byte(std::int32_t imm) {
    return imm >= INT8_MIN && imm <= INT8_MAX;
}

NativeSize size_of_alu(const Insn& insn) {
    switch (op::operation(insn.code)) {
        case op::kMul:
        case op::kDiv:
        case op::kMod:
            return {6, 30};
        case op::kEnd:
            return {0, 9};
        case op::kLsh:
        case op::kRsh:
        case op::kArsh:
            return op::is_reg_source(insn.code) ? NativeSize{2, 12} : NativeSize{3, 4};
        case op::kMov:
            if (op::is_reg_source(insn.code)) {
                return {insn.dst == insn.src ? 0U : 2U, 3};
            }
            return {5, 7};
        default:
            break;
    }
    if (op::is_reg_source(insn.code)) {
        return {2, 3};
    }
    return fits_byte(insn.imm) ? NativeSize{3, 4} : NativeSize{5, 7};
}

NativeSize size_of_jump(const Insn& insn) {
    switch (op::operation(insn.code)) {
        case op::kJa:
            return {2, 5};
        case op::kCall:
            return {7, 12};
        case op::kExit:
            return {2, 50};
        default:
            break;
    }
    constexpr NativeSize kCondition = {2, 6};
    if (op::is_reg_source(insn.code)) {
        return {kCondition.least + 3, kCondition.most + 3};
    }
    const bool short_form = fits_byte(insn.imm) && op::operation(insn.code) != op::kJset;
    return {kCondition.least + (short_form ? 4U : 7U), kCondition.most + (short_form ? 4U : 7U)};
}

}  // namespace

NativeSize native_size(const Insn& insn) {
    switch (op::insn_class(insn.code)) {
        case op::kLd:
            return {5, 10};
        case op::kLdx:
            return {3, 8};
        case op::kSt:
            return {4, 12};
        case op::kStx:
            return {3, 9};
        case op::kJmp:
        case op::kJmp32:
            return size_of_jump(insn);
        default:
            return size_of_alu(insn);
    }
}

}  // namespace crema::ebpf::lowering
