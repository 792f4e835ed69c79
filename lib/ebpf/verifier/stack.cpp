// SPDX-License-Identifier: BSD-3-Clause
//
// The stack of a frame, the running one's or a caller's: 512 bytes in slots of eight. A slot keeps
// a whole register (spill), bytes known to be zero, or bytes of unknown content. Never-written
// bytes may be read and are unknown, as for a privileged kernel load. Reads are marked on
// checkpoints, so that pruning ignores slots nobody reads.
#include <cerrno>
#include <limits>

#include "lib/ebpf/verifier/machine.h"

namespace crema::ebpf::verifier {

namespace {

constexpr std::uint64_t slot_bit(std::uint32_t slot) {
    return std::uint64_t{1} << slot;
}

bool fits(const Scalar& s, std::uint32_t bytes) {
    return bytes >= 8 || s.wide.umax < (std::uint64_t{1} << (bytes * 8));
}

std::int64_t fixed_offset(const Reg& ptr, std::int32_t off) {
    return std::int64_t{ptr.off} + off + static_cast<std::int64_t>(ptr.s.bits.value);
}

void unlink(Reg& reg) {
    reg.id = 0;
    reg.linked_sum = false;
    reg.narrow_sum = false;
    reg.off = 0;
}

}  // namespace

Status Machine::check_stack(std::uint32_t regno,
                            std::int64_t off,
                            std::int64_t size,
                            Direction direction) {
    const Reg& reg = cur_.regs[regno];
    const char* what = direction == Direction::write ? "write to" : "read from";
    std::int64_t lowest = 0;
    std::int64_t top = 0;
    if (reg.s.is_const()) {
        lowest = off + static_cast<std::int64_t>(reg.s.bits.value);
        top = lowest + size;
    } else {
        if (reg.s.wide.smax >= kMaxVarOff || reg.s.wide.smin <= -kMaxVarOff) {
            return fail(EACCES, "invalid unbounded variable-offset {} stack R{}", what, regno);
        }
        lowest = off + reg.s.wide.smin;
        top = off + reg.s.wide.smax + size;
    }
    if (lowest < -kStackBytes || lowest > -1 || top > 0) {
        const int code = lowest < -kStackBytes || lowest > -1 ? EACCES : EINVAL;
        if (reg.s.is_const()) {
            return fail(code, "invalid {} stack R{} off={} size={}", what, regno, lowest, size);
        }
        return fail(code, "invalid variable-offset {} stack R{} var_off={} off={} size={}", what,
                    regno, describe_bits(reg.s.bits), off, size);
    }
    Frame& frame = cur_.edit_frame(reg.frame);
    frame.reach(lowest);
    deepest_[frame.function] = std::max(deepest_[frame.function], -lowest);
    return {};
}

void Machine::mark_slots_read(const Trail& trail, std::uint32_t frame, std::uint64_t slots) {
    slots &= ~trail.slots_set[frame];
    for (std::int32_t at = trail.parent; at >= 0 && slots != 0;) {
        Checkpoint& checkpoint = *checkpoints_[static_cast<std::size_t>(at)];
        slots &= ~checkpoint.slots_read[frame];
        checkpoint.slots_read[frame] |= slots;
        notes_added_ = notes_added_ || slots != 0;
        slots &= ~checkpoint.state.slots_set[frame];
        at = checkpoint.state.parent;
    }
}

void Machine::mark_range_read(std::uint32_t frame, std::int64_t start, std::int64_t end) {
    std::uint64_t slots = 0;
    for (std::uint32_t slot = slot_of(end - 1); slot <= slot_of(start); ++slot) {
        slots |= slot_bit(slot);
    }
    mark_slots_read(cur_, frame, slots);
}

Result<Reg> Machine::fill(const Slot& slot, std::int64_t off, std::uint32_t size) {
    const std::uint32_t spilled = slot.spill_bytes();
    if (size == kSlotBytes && spilled == kSlotBytes) {
        return slot.spill();
    }
    if (!slot.spill().is_scalar()) {
        return fail(EACCES, "invalid size of register fill");
    }
    const std::uint32_t first = byte_of(off);
    if (first == 0 && size <= spilled) {
        Reg reg = slot.spill();
        if (!fits(reg.s, size)) {
            unlink(reg);
        }
        reg.s.truncate(size);
        return reg;
    }
    std::uint32_t zeros = 0;
    std::uint32_t spills = 0;
    for (std::uint32_t i = first; i < first + size; ++i) {
        zeros += slot.bytes[i] == Byte::zero ? 1 : 0;
        spills += slot.bytes[i] == Byte::spill ? 1 : 0;
    }
    if (zeros == size || (spills == size && slot.spill().s.is_const(0))) {
        return Reg::scalar(Scalar::constant(0));
    }
    return Reg::scalar(Scalar::unknown_bytes(size));
}

Result<Reg> Machine::read_stack(const Reg& ptr, std::int32_t off, std::uint32_t size) {
    const Stack& stack = cur_.frame_at(ptr.frame).stack;
    std::int64_t start = 0;
    std::int64_t end = 0;
    if (ptr.s.is_const()) {
        start = fixed_offset(ptr, off);
        end = start + size;
        mark_range_read(ptr.frame, start, end);
        touched_slots_ |= slot_bit(slot_of(start));
        const Slot& slot = stack[slot_of(start)];
        if (slot.is_spill()) {
            note_slot(ptr.frame, start);
            return fill(slot, start, size);
        }
    } else {
        start = std::int64_t{ptr.off} + off + ptr.s.wide.smin;
        end = std::int64_t{ptr.off} + off + ptr.s.wide.smax + size;
        mark_range_read(ptr.frame, start, end);
    }
    for (std::int64_t at = start; at < end; ++at) {
        if (stack[slot_of(at)].bytes[byte_of(at)] != Byte::zero) {
            return Reg::scalar(Scalar::unknown_bytes(size));
        }
    }
    return Reg::scalar(Scalar::constant(0));
}

/// Lets precision tracking know which slot this instruction fills from or spills to.
void Machine::note_slot(std::uint32_t frame, std::int64_t start) {
    step_slot_ = static_cast<std::int8_t>(slot_of(start));
    step_frame_ = static_cast<std::uint8_t>(frame);
}

void Machine::write_slot(std::uint32_t frame, std::int64_t start, std::uint32_t size, Byte kind) {
    touched_slots_ |= slot_bit(slot_of(start));
    Slot& slot = cur_.edit_frame(frame).stack.edit(slot_of(start));
    slot.scrub();
    for (std::uint32_t i = 0; i < size; ++i) {
        slot.bytes[byte_of(start) + i] = kind;
    }
    if (size == kSlotBytes) {
        cur_.slots_set[frame] |= slot_bit(slot_of(start));
    }
}

void Machine::write_stack_anywhere(const Reg& ptr,
                                   std::int32_t off,
                                   std::uint32_t size,
                                   bool zero) {
    const std::int64_t start = std::int64_t{ptr.off} + off + ptr.s.wide.smin;
    const std::int64_t end = std::int64_t{ptr.off} + off + ptr.s.wide.smax + size;
    Stack& stack = cur_.edit_frame(ptr.frame).stack;
    for (std::int64_t at = start; at < end; ++at) {
        touched_slots_ |= slot_bit(slot_of(at));
        Slot& slot = stack.edit(slot_of(at));
        if (slot.is_spill()) {
            slot.scrub();
        }
        Byte& byte = slot.bytes[byte_of(at)];
        if (!zero || byte != Byte::zero) {
            byte = Byte::misc;
        }
    }
}

Status Machine::write_stack(
    const Reg& ptr, std::int32_t off, std::uint32_t size, Reg* value, std::int32_t regno) {
    const bool zero = value->is_zero();
    const auto mark_zero = [&] {
        // Bytes known to be zero are compared as such; the number behind them must be, too.
        if (zero && regno >= 0) {
            mark_reg_precise(static_cast<std::uint32_t>(regno));
        }
    };
    if (!ptr.s.is_const()) {
        mark_zero();
        write_stack_anywhere(ptr, off, size, zero);
        return {};
    }
    const std::int64_t start = fixed_offset(ptr, off);
    if (value->type == RegType::dynptr) {
        // What a callback got as a dynptr ends with the callback: in memory it is a number.
        write_slot(ptr.frame, start, size, Byte::misc);
        return {};
    }
    if (value->is_pointer() && size != kSlotBytes) {
        return fail(EACCES, "invalid size of register spill");
    }
    if (value->type == RegType::stack && ptr.frame != cur_.depth()) {
        return fail(EINVAL, "cannot spill pointers to stack into stack frame of the caller");
    }
    if (byte_of(start) != 0) {
        mark_zero();
        write_slot(ptr.frame, start, size, zero ? Byte::zero : Byte::misc);
        return {};
    }
    if (regno >= 0 && value->is_scalar() && fits(value->s, size)) {
        give_id(*value);
    }
    touched_slots_ |= slot_bit(slot_of(start));
    Slot& slot = cur_.edit_frame(ptr.frame).stack.edit(slot_of(start));
    slot.scrub();
    Reg& spilled = slot.spilled.edit();
    spilled = *value;
    if (value->is_scalar() && !fits(value->s, size)) {
        unlink(spilled);
    }
    for (std::uint32_t i = 0; i < size; ++i) {
        slot.bytes[i] = Byte::spill;
    }
    note_slot(ptr.frame, start);
    if (size == kSlotBytes) {
        cur_.slots_set[ptr.frame] |= slot_bit(slot_of(start));
    }
    return {};
}

}  // namespace crema::ebpf::verifier
