// SPDX-License-Identifier: BSD-3-Clause
//
// Which scalars mattered. A scalar that decided something (an offset, a known branch, a constant
// key) is traced back through the executed instructions to where it came from, and marked precise
// on every checkpoint passed; pruning compares only those. All others may differ.
#include <algorithm>
#include <bit>

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

void trace_alu(const Insn& insn, Marks& traced) {
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

}  // namespace

void Machine::trace_branch(const Step& step, Traced& traced) const {
    const Insn& insn = program_.insns[step.insn];
    const std::span<const LinkedReg> linked = linked_[step.linked].all();
    const auto link = [&] {
        const bool any = std::any_of(linked.begin(), linked.end(), [&](const LinkedReg& reg) {
            const Marks& marks = traced[reg.frame];
            return ((reg.is_slot ? marks.slots : marks.regs) >> reg.index & 1U) != 0;
        });
        if (!any) {
            return;
        }
        for (const LinkedReg& reg : linked) {
            Marks& marks = traced[reg.frame];
            if (reg.is_slot) {
                marks.slots |= std::uint64_t{1} << reg.index;
            } else {
                marks.regs |= reg_bit(reg.index);
            }
        }
    };
    link();
    if (op::is_reg_source(insn.code)) {
        Marks& here = traced[step.frame];
        const auto both = static_cast<std::uint16_t>(reg_bit(insn.dst) | reg_bit(insn.src));
        if ((here.regs & both) != 0) {
            here.regs |= both;
            link();
        }
    }
}

/// Over a call or return: what flows between the two frames, and what ends there.
void Machine::trace_flow(const Step& step, Traced& traced) const {
    constexpr std::uint16_t kArguments = 0x3e;
    constexpr std::uint16_t kResult = 0x01;
    Marks& here = traced[step.frame];
    switch (step.flow) {
        case Flow::enters: {
            Marks& callee = traced[step.frame + 1];
            drop(here.regs, kArguments | kResult);
            here.regs |= callee.regs & kArguments;
            callee = {};
            return;
        }
        case Flow::enters_callback: {
            Marks& callee = traced[step.frame + 1];
            const Insn& insn = program_.insns[step.insn];
            const auto* helper = helpers::find(static_cast<std::uint32_t>(insn.imm));
            const std::uint32_t context =
                helper != nullptr ? callback_context_reg(helper->callback) : 0;
            if (context != 0 && (callee.regs >> context & 1U) != 0) {
                here.regs |= reg_bit(3);
            }
            callee = {};
            return;
        }
        case Flow::leaves: {
            Marks& caller = traced[step.frame - 1];
            if (!is_call(program_.insns[step.insn])) {  // after a tail call nobody here made it
                here.regs |= caller.regs & kResult;
            }
            drop(caller.regs, kArguments | kResult);
            return;
        }
        default:
            return;
    }
}

void Machine::trace_back(const Step& step, Traced& traced) const {
    const Insn& insn = program_.insns[step.insn];
    Marks& here = traced[step.frame];
    if (step.flow != Flow::stays) {
        trace_flow(step, traced);
        return;
    }
    std::uint64_t none = 0;
    std::uint64_t& slots = step.slot >= 0 ? traced[step.slot_frame].slots : none;
    const std::uint64_t slot = step.slot >= 0 ? std::uint64_t{1} << step.slot : 0;
    switch (op::insn_class(insn.code)) {
        case op::kAlu:
        case op::kAlu64:
            trace_alu(insn, here);
            return;
        case op::kLd:
            drop(here.regs, reg_bit(insn.dst));
            return;
        case op::kLdx:
            if ((here.regs & reg_bit(insn.dst)) != 0) {
                drop(here.regs, reg_bit(insn.dst));
                slots |= slot;
            }
            return;
        case op::kSt:
            slots &= ~slot;
            return;
        case op::kStx:
            if (const int result = is_atomic(insn) ? atomic_result(insn) : -1; result >= 0) {
                // The register got what memory held; a slot so read is misc afterwards.
                const std::uint16_t bit = reg_bit(static_cast<unsigned>(result));
                if (!is_load_acquire(insn)) {
                    slots &= ~slot;
                }
                if ((here.regs & bit) != 0) {
                    drop(here.regs, bit);
                    slots |= slot;
                }
                return;
            }
            if ((slots & slot) != 0) {
                slots &= ~slot;
                here.regs |= reg_bit(insn.src);
            }
            return;
        default:
            if (is_call(insn)) {
                drop(here.regs, 0x3f);
            } else if (is_conditional_jump(insn)) {
                trace_branch(step, traced);
            }
            return;
    }
}

namespace {

bool nothing_left(const Traced& traced) {
    return std::all_of(traced.begin(), traced.end(), [](const Marks& m) { return m.empty(); });
}

/// Notes at a checkpoint what is traced; what is noted already, or no scalar, is traced no further.
void mark_checkpoint(Checkpoint& checkpoint, Traced& traced) {
    for (std::uint32_t number = 0; number < kFramesMax; ++number) {
        Marks& wanted = traced[number];
        if (wanted.empty()) {
            continue;
        }
        if (number > checkpoint.state.depth()) {
            wanted = {};
            continue;
        }
        const Frame& frame = checkpoint.state.frame_at(number);
        Marks& known = checkpoint.precise[number];
        for (std::uint32_t i = 0; i < kRegs; ++i) {
            const auto bit = static_cast<std::uint16_t>(1U << i);
            if ((wanted.regs & bit) != 0 &&
                (!frame.regs[i].is_scalar() || (known.regs & bit) != 0)) {
                drop(wanted.regs, bit);
            }
        }
        for (std::uint64_t left = wanted.slots; left != 0; left &= left - 1) {
            const auto i = static_cast<std::uint32_t>(std::countr_zero(left));
            const std::uint64_t bit = std::uint64_t{1} << i;
            if (i >= frame.stack.size() || !frame.stack[i].is_scalar_spill() ||
                (known.slots & bit) != 0) {
                wanted.slots &= ~bit;
            }
        }
        known.regs |= wanted.regs;
        known.slots |= wanted.slots;
    }
}

}  // namespace

void Machine::mark_precise(const Trail& trail, Traced traced) {
    std::uint32_t at_step = trail.last_step;
    for (std::int32_t at = trail.parent;;) {
        const std::uint32_t until =
            at < 0 ? 0 : checkpoints_[static_cast<std::size_t>(at)]->state.last_step;
        for (; at_step != until; at_step = steps_[at_step].before) {
            trace_back(steps_[at_step], traced);
            if (nothing_left(traced)) {
                return;
            }
        }
        if (at < 0) {
            return;
        }
        Checkpoint& checkpoint = *checkpoints_[static_cast<std::size_t>(at)];
        mark_checkpoint(checkpoint, traced);
        if (nothing_left(traced)) {
            return;
        }
        notes_added_ = true;
        at = checkpoint.state.parent;
    }
}

void Machine::mark_reg_precise(std::uint32_t regno) {
    Traced traced;
    traced[cur_.depth()].regs = reg_bit(regno);
    mark_precise(cur_, traced);
}

void Machine::mark_slots_precise(std::uint32_t frame, std::uint64_t slots) {
    Traced traced;
    traced[frame].slots = slots;
    mark_precise(cur_, traced);
}

}  // namespace crema::ebpf::verifier
