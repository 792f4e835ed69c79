// SPDX-License-Identifier: BSD-3-Clause
//
// Open-coded iterators: slots of the frame that hold where a loop stands. The call that asks for
// the next element is where such a loop decides about one more turn (loops.cpp): one state goes on
// without an element, with the iterator drained, and one with an element takes the turn.
#include <cerrno>

#include "lib/ebpf/verifier/machine.h"

namespace crema::ebpf::verifier {

namespace {

std::uint32_t slots_of(kfuncs::Base kind) {
    return kfuncs::size_of(kind) / kSlotBytes;
}

/// First slot of the object at frame offset `at`, or the number of slots when it is not there.
bool has_slots(const Stack& stack, std::int64_t at, std::uint32_t slots) {
    return at < 0 && slot_of(at) + 1 >= slots && slot_of(at) < stack.size();
}

}  // namespace

/// The initialised iterator of that kind whose first byte `ptr` points to, or null.
const Reg* Machine::iterator_at(const State& state, const Reg& ptr, kfuncs::Base kind) const {
    const std::uint32_t slots = slots_of(kind);
    const auto at = object_offset(ptr, "iter", slots);
    const Stack& stack = state.frame_at(ptr.frame).stack;
    if (!at || !has_slots(stack, *at, slots)) {
        return nullptr;
    }
    for (std::uint32_t i = 0; i < slots; ++i) {
        const Slot& slot = stack[slot_of(*at) - i];
        if (slot.bytes[0] != Byte::iterator || slot.object().iterator != kind ||
            slot.object().first_slot != (i == 0)) {
            return nullptr;
        }
    }
    return &stack[slot_of(*at)].object();
}

Status Machine::check_iterator(KfuncCall& call, std::uint32_t index) {
    const kfuncs::Base kind = call.function->params[index].type.base;
    const std::uint32_t regno = index + 1;
    const Reg ptr = cur_.regs[regno];
    if (ptr.type != RegType::stack) {
        return fail(EINVAL, "arg#{} expected pointer to an iterator on stack", index);
    }
    const auto at = object_offset(ptr, "iter", slots_of(kind));
    const std::string why = at ? "" : at.error().message + "; ";
    if (call.function->role == kfuncs::Role::iterator_new) {
        bool used = !at;
        const Stack& stack = cur_.frame_at(ptr.frame).stack;
        for (std::uint32_t i = 0; at && i < slots_of(kind); ++i) {
            const std::int64_t start = *at + std::int64_t{i} * kSlotBytes;
            used = used ||
                   (has_slots(stack, start, 1) && stack[slot_of(start)].bytes[0] == Byte::iterator);
        }
        if (used) {
            return fail(EINVAL, "{}expected uninitialized {} as arg #{}", why,
                        kfuncs::iterator_name(kind), index);
        }
        return make_iterator(kind, regno);
    }
    if (iterator_at(cur_, ptr, kind) == nullptr) {
        return fail(EINVAL, "{}expected an initialized {} as arg #{}", why,
                    kfuncs::iterator_name(kind), index);
    }
    mark_range_read(ptr.frame, *at, *at + kfuncs::size_of(kind));
    touched_slots_ |= std::uint64_t{1} << slot_of(*at);
    call.iterator = ptr;
    if (call.function->role == kfuncs::Role::iterator_destroy) {
        destroy_iterator(ptr, kind);
    }
    return {};
}

Status Machine::make_iterator(kfuncs::Base kind, std::uint32_t regno) {
    const Reg ptr = cur_.regs[regno];
    const std::int64_t at = std::int64_t{ptr.off} + static_cast<std::int64_t>(ptr.s.bits.value);
    for (std::uint32_t i = 0; i < slots_of(kind); ++i) {
        const auto off = static_cast<std::int32_t>(i * kSlotBytes);
        if (auto ok = check_stack(regno, std::int64_t{ptr.off} + off, kSlotBytes, Direction::write);
            !ok) {
            return ok;
        }
        if (auto ok = destroy_objects(ptr.frame, at + off, kSlotBytes); !ok) {
            return ok;
        }
    }
    Reg iterator = Reg::pointer(RegType::iterator);
    iterator.iterator = kind;
    const std::uint32_t ref = acquire();
    for (std::uint32_t i = 0; i < slots_of(kind); ++i) {
        const std::int64_t start = at + std::int64_t{i} * kSlotBytes;
        iterator.first_slot = i == 0;
        iterator.ref = i == 0 ? ref : 0;
        write_slot(ptr.frame, start, kSlotBytes, Byte::iterator);
        cur_.edit_frame(ptr.frame).stack.edit(slot_of(start)).spilled.edit() = iterator;
    }
    return {};
}

/// `ptr` points to an initialised one. Elements that it gave go with it.
void Machine::destroy_iterator(const Reg& ptr, kfuncs::Base kind) {
    const std::int64_t at = std::int64_t{ptr.off} + static_cast<std::int64_t>(ptr.s.bits.value);
    const std::uint32_t ref = iterator_at(cur_, ptr, kind)->ref;
    for (std::uint32_t i = 0; i < slots_of(kind); ++i) {
        const std::int64_t start = at + std::int64_t{i} * kSlotBytes;
        write_slot(ptr.frame, start, kSlotBytes, Byte::unset);
    }
    (void)release(ref);  // it was taken when the iterator was made
}

/// At a call for the next element: the iterator that R1 points to may have one.
bool Machine::gives_more(const State& state) const {
    const kfuncs::Function* function = kfuncs::find(program_.insns[insn_].imm);
    const Reg& ptr = state.regs[1];
    if (function == nullptr || ptr.type != RegType::stack) {
        return false;
    }
    const Reg* iterator = iterator_at(state, ptr, function->params[0].type.base);
    return iterator != nullptr && !iterator->drained;
}

/// R0 is the address of an element: leaves the state without one, and forks the one that takes the
/// turn.
Status Machine::do_iterator_next(const KfuncCall& call) {
    const Reg& ptr = call.iterator;
    const kfuncs::Base kind = call.function->params[0].type.base;
    const std::int64_t at = std::int64_t{ptr.off} + static_cast<std::int64_t>(ptr.s.bits.value);
    const auto edit = [&](State& state) -> Reg& {
        return state.edit_frame(ptr.frame).stack.edit(slot_of(at)).spilled.edit();
    };
    record_step();
    if (!iterator_at(cur_, ptr, kind)->drained) {
        State again = cur_;
        ++edit(again).turns;
        again.regs[0].or_null = false;
        // The checkpoint of this very turn is the parent.
        const std::int32_t turn_before =
            again.parent < 0 ? -1
                             : checkpoints_[static_cast<std::size_t>(again.parent)]->state.parent;
        widen_since_last_turn(again, insn_, turn_before);
        if (auto ok = fork(std::move(again), insn_ + 1); !ok) {
            return ok;
        }
    }
    edit(cur_).drained = true;
    cur_.regs[0] = Reg::scalar(Scalar::constant(0));
    return {};
}

}  // namespace crema::ebpf::verifier
