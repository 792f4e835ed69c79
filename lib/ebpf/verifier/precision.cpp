// SPDX-License-Identifier: BSD-3-Clause
//
// Which scalars mattered. A scalar that decided something (an offset, a known branch, a constant
// key) is traced back through the executed instructions to where it came from, and marked precise
// on every checkpoint passed; pruning compares only those. All others may differ.
#include "lib/ebpf/program/structure.h"
#include "lib/ebpf/verifier/machine.h"

namespace crema::ebpf::verifier {

namespace {

constexpr std::uint16_t reg_bit(unsigned reg) {
    // The frame pointer is no scalar and never traced.
    return reg == kFramePointer ? std::uint16_t{0} : static_cast<std::uint16_t>(1U << reg);
}

void drop(std::uint16_t& set, std::uint16_t bits) {
    set = static_cast<std::uint16_t>(set & ~bits);
}

void trace_alu(const Insn& insn, Traced& traced) {
    const std::uint16_t dst = reg_bit(insn.dst);
    if ((traced.regs & dst) == 0) {
        return;
    }
    const std::uint8_t operation = op::operation(insn.code);
    if (operation == op::kMov) {
        drop(traced.regs, dst);
    }
    if (op::is_reg_source(insn.code) && operation != op::kEnd && operation != op::kNeg) {
        traced.regs |= reg_bit(insn.src);
    }
}

void trace_branch(const Insn& insn, const Step& step, Traced& traced) {
    const auto link = [&] {
        if ((traced.regs & step.linked_regs) != 0 || (traced.slots & step.linked_slots) != 0) {
            traced.regs |= step.linked_regs;
            traced.slots |= step.linked_slots;
        }
    };
    link();
    if (op::is_reg_source(insn.code)) {
        const auto both = static_cast<std::uint16_t>(reg_bit(insn.dst) | reg_bit(insn.src));
        if ((traced.regs & both) != 0) {
            traced.regs |= both;
            link();
        }
    }
}

}  // namespace

void Machine::trace_back(const Step& step, Traced& traced) const {
    const Insn& insn = program_.insns[step.insn];
    const std::uint64_t slot = step.slot >= 0 ? std::uint64_t{1} << step.slot : 0;
    switch (op::insn_class(insn.code)) {
        case op::kAlu:
        case op::kAlu64:
            trace_alu(insn, traced);
            return;
        case op::kLd:
            drop(traced.regs, reg_bit(insn.dst));
            return;
        case op::kLdx:
            if ((traced.regs & reg_bit(insn.dst)) != 0) {
                drop(traced.regs, reg_bit(insn.dst));
                traced.slots |= slot;
            }
            return;
        case op::kSt:
            traced.slots &= ~slot;
            return;
        case op::kStx:
            if (const int result = is_atomic(insn) ? atomic_result(insn) : -1; result >= 0) {
                // The register got what memory held; a slot so read is misc afterwards.
                const std::uint16_t bit = reg_bit(static_cast<unsigned>(result));
                if (!is_load_acquire(insn)) {
                    traced.slots &= ~slot;
                }
                if ((traced.regs & bit) != 0) {
                    drop(traced.regs, bit);
                    traced.slots |= slot;
                }
                return;
            }
            if ((traced.slots & slot) != 0) {
                traced.slots &= ~slot;
                traced.regs |= reg_bit(insn.src);
            }
            return;
        default:
            if (is_call(insn)) {
                drop(traced.regs, 0x3f);
            } else if (is_conditional_jump(insn)) {
                trace_branch(insn, step, traced);
            }
            return;
    }
}

void Machine::mark_precise(Traced traced) {
    const std::vector<Step>* steps = &cur_.steps;
    for (std::int32_t at = cur_.parent;;) {
        for (std::size_t n = steps->size(); n-- > 0 && !traced.empty();) {
            trace_back((*steps)[n], traced);
        }
        if (traced.empty() || at < 0) {
            return;
        }
        State& state = checkpoints_[static_cast<std::size_t>(at)]->state;
        for (std::uint32_t i = 0; i < kRegs; ++i) {
            const auto bit = static_cast<std::uint16_t>(1U << i);
            if ((traced.regs & bit) == 0) {
                continue;
            }
            Reg& reg = state.regs[i];
            if (!reg.is_scalar() || reg.precise) {
                drop(traced.regs, bit);
            } else {
                reg.precise = true;
            }
        }
        for (std::uint32_t i = 0; i < kSlots; ++i) {
            const std::uint64_t bit = std::uint64_t{1} << i;
            if ((traced.slots & bit) == 0) {
                continue;
            }
            if (i >= state.stack.size() || !state.stack[i].is_scalar_spill() ||
                state.stack[i].spill.precise) {
                traced.slots &= ~bit;
            } else {
                state.stack[i].spill.precise = true;
            }
        }
        steps = &state.steps;
        at = state.parent;
    }
}

void Machine::mark_reg_precise(std::uint32_t regno) {
    mark_precise({reg_bit(regno), 0});
}

void Machine::mark_slots_precise(std::uint64_t slots) {
    mark_precise({0, slots});
}

}  // namespace crema::ebpf::verifier
