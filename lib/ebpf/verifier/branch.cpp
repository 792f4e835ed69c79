// SPDX-License-Identifier: BSD-3-Clause
//
// Conditional jumps: is the outcome known, and what does each way tell. Comparisons with data_end
// prove packet bytes for every pointer of the same base, comparisons with zero split
// pointers that may be null, scalars narrow each other and all their copies, also spilled ones.
#include <algorithm>

#include "lib/ebpf/program/structure.h"
#include "lib/ebpf/verifier/machine.h"

namespace crema::ebpf::verifier {

namespace {

bool is_wide_jump(const Insn& insn) {
    return op::insn_class(insn.code) == op::kJmp;
}

std::uint8_t mirrored(std::uint8_t operation) {
    switch (operation) {
        case op::kJgt:
            return op::kJlt;
        case op::kJge:
            return op::kJle;
        case op::kJlt:
            return op::kJgt;
        case op::kJle:
            return op::kJge;
        case op::kJsgt:
            return op::kJslt;
        case op::kJsge:
            return op::kJsle;
        case op::kJslt:
            return op::kJsgt;
        case op::kJsle:
            return op::kJsge;
        default:
            return operation;
    }
}

/// What the number of `known` says of `reg`, of the same family. A sum in 32 bits is that of a
/// number that has no more, and comes round where the number does not.
Scalar same_family(const Reg& reg, const Reg& known) {
    const auto moved = [](const Scalar& from, std::int64_t by, bool narrow) {
        Scalar to =
            by == 0 ? from
                    : alu(op::kAdd, true, from, Scalar::constant(static_cast<std::uint64_t>(by)));
        if (narrow) {
            to.truncate(4);
        }
        return to;
    };
    if (reg.off == known.off && reg.narrow_sum == known.narrow_sum) {
        return known.s;
    }
    if (known.narrow_sum && !reg.narrow_sum) {
        return moved(moved(known.s, -std::int64_t{known.off}, true), reg.off, false);
    }
    return moved(known.s, std::int64_t{reg.off} - known.off, reg.narrow_sum);
}

/// Every scalar of the family of `known` gets what is now known of it.
void spread(State& state, const Reg known) {
    if (!known.is_scalar() || known.id == 0) {
        return;
    }
    state.update_regs([&](const Reg& reg) { return reg.is_scalar() && reg.id == known.id; },
                      [&](Reg& reg) { reg.s = same_family(reg, known); });
}

/// The end that bounds pointers of this kind: data_end for packet, unmodified data for metadata.
bool is_bound_of(RegType pointer, const Reg& reg) {
    if (pointer == RegType::packet) {
        return reg.type == RegType::packet_end;
    }
    return pointer == RegType::packet_meta && reg.type == RegType::packet && reg.id == 0 &&
           reg.off == 0 && reg.s.is_const(0);
}

/// `bound` (a copy of a register at or below its end) proves bytes for all of its base.
void prove_bytes(State& state, const Reg bound, bool one_more) {
    if (bound.off < 0 || (bound.off == 0 && one_more) || bound.s.wide.umax > kMaxPacketOff ||
        bound.s.wide.umax + static_cast<std::uint64_t>(bound.off) > kMaxPacketOff) {
        return;
    }
    const std::int32_t bytes = bound.off + (one_more ? 1 : 0);
    state.update_regs(
        [&](const Reg& reg) {
            return reg.type == bound.type && reg.id == bound.id && reg.range < bytes;
        },
        [&](Reg& reg) { reg.range = bytes; });
}

void mark_past_end(Reg& reg, std::int32_t where) {
    if (reg.type == RegType::packet) {
        reg.range = where;
    }
}

/// -1 unknown, else whether `pkt OP data_end` holds for a pointer already known to be past the end.
int past_end_outcome(std::uint8_t operation, const Reg& pkt) {
    switch (operation) {
        case op::kJgt:
        case op::kJle:
            return pkt.range == kBeyondPacketEnd ? (operation == op::kJgt ? 1 : 0) : -1;
        case op::kJge:
        case op::kJlt:
            return pkt.range < 0 ? (operation == op::kJge ? 1 : 0) : -1;
        default:
            return -1;
    }
}

/// Pointers that the kernel knows to be different from null.
bool never_null(const Reg& reg) {
    switch (reg.type) {
        case RegType::map_ptr:
        case RegType::map_key:
        case RegType::map_value:
        case RegType::memory:
        case RegType::sock_common:
        case RegType::socket:
        case RegType::kernel_object:
            return !reg.or_null;
        default:
            return false;
    }
}

void unlink(Reg& reg) {
    reg.id = 0;
    reg.linked_sum = false;
    reg.narrow_sum = false;
    reg.off = 0;
}

/// Adds the scalars of frame `number` that are linked as `id`; those that find no room are
/// unlinked.
void collect_family(State& state, std::uint32_t number, std::uint32_t id, LinkedRegs& found) {
    const auto has_room = [&](bool is_slot, std::uint32_t i) {
        if (found.count == kLinkedMax) {
            return false;
        }
        found.regs[found.count++] = {static_cast<std::uint8_t>(number), is_slot,
                                     static_cast<std::uint8_t>(i)};
        return true;
    };
    const auto is_linked = [&](const Reg& reg) { return reg.is_scalar() && reg.id == id; };
    const Frame& frame = state.frame_at(number);
    for (std::uint32_t i = 0; i < kRegs; ++i) {
        if (is_linked(frame.regs[i]) && !has_room(false, i)) {
            unlink(state.edit_frame(number).regs[i]);
        }
    }
    for (std::uint32_t i = 0; i < frame.stack.size(); ++i) {
        const Slot& slot = state.frame_at(number).stack[i];
        if (slot.is_spill() && is_linked(slot.spill()) && !has_room(true, i)) {
            unlink(state.edit_frame(number).stack.edit(i).spilled.edit());
        }
    }
}

}  // namespace

int Machine::known_outcome(const Insn& insn, const Reg& a, const Reg& b) const {
    const std::uint8_t operation = op::operation(insn.code);
    const bool wide = is_wide_jump(insn);
    if (a.is_scalar() && b.is_scalar()) {
        Reg a1 = a;
        Reg b1 = b;
        if (!assume(operation, true, wide, a1.s, b1.s)) {
            return 0;
        }
        a1 = a;
        b1 = b;
        return assume(operation, false, wide, a1.s, b1.s) ? -1 : 1;
    }
    if (!wide) {
        return -1;
    }
    if (b.type == RegType::packet_end && a.type == RegType::packet) {
        return past_end_outcome(operation, a);
    }
    if (a.type == RegType::packet_end && b.type == RegType::packet) {
        return past_end_outcome(mirrored(operation), b);
    }
    const bool against_null = (never_null(a) && b.is_zero()) || (never_null(b) && a.is_zero());
    if (against_null && operation == op::kJeq) {
        return 0;
    }
    if (against_null && operation == op::kJne) {
        return 1;
    }
    return -1;
}

namespace {

/// A pointer that turned out to be one. Which map it is matters for timers, which element for its
/// lock, and nothing else.
void found(Reg& reg, bool is_map_with_timers, bool has_a_lock) {
    reg.or_null = false;
    if (is_map_with_timers) {
        reg.map_uid = reg.id;
    }
    if (!has_a_lock) {
        reg.id = 0;
    }
}

}  // namespace

void Machine::refine_nulls(const Insn& insn, State& taken, State& fallen) const {
    const std::uint8_t operation = op::operation(insn.code);
    if (!is_wide_jump(insn) || (operation != op::kJeq && operation != op::kJne)) {
        return;
    }
    State& equal = operation == op::kJeq ? taken : fallen;
    State& different = operation == op::kJeq ? fallen : taken;
    const auto settle = [&](State& state, std::uint32_t id, bool null) {
        if (null) {
            state.held.drop(id);  // what was not taken need not be given back
        }
        state.update_regs([&](const Reg& reg) { return reg.or_null && reg.id == id; },
                          [&](Reg& reg) {
                              if (null) {
                                  reg = Reg::scalar(Scalar::constant(0));
                              } else {
                                  const bool is_map = reg.type == RegType::map_ptr;
                                  const bool is_value = reg.type == RegType::map_value;
                                  found(reg, is_map && has_timer(spec_of(reg)),
                                        is_value && has_lock(spec_of(reg)));
                              }
                          });
    };
    const Reg a = cur_.regs[insn.dst];
    if (!op::is_reg_source(insn.code)) {
        if (insn.imm == 0 && a.or_null) {
            settle(equal, a.id, true);
            settle(different, a.id, false);
        }
        return;
    }
    const Reg b = cur_.regs[insn.src];
    const bool a_nullable = a.or_null;
    const bool b_nullable = b.or_null;
    // What the kernel says of its objects is not that they are there.
    const bool objects = a.type == RegType::kernel_object || b.type == RegType::kernel_object;
    if (a.is_pointer() && b.is_pointer() && a_nullable != b_nullable && !objects) {
        settle(equal, a_nullable ? a.id : b.id, false);
    }
}

void Machine::refine_packet(const Insn& insn, State& taken, State& fallen) const {
    if (!is_wide_jump(insn) || !op::is_reg_source(insn.code)) {
        return;
    }
    std::uint8_t operation = op::operation(insn.code);
    std::uint32_t pointer = insn.dst;
    std::uint32_t bound = insn.src;
    if (!is_bound_of(cur_.regs[pointer].type, cur_.regs[bound])) {
        std::swap(pointer, bound);
        operation = mirrored(operation);
        if (!is_bound_of(cur_.regs[pointer].type, cur_.regs[bound])) {
            return;
        }
    }
    const Reg reg = cur_.regs[pointer];
    switch (operation) {
        case op::kJgt:
            prove_bytes(fallen, reg, false);
            mark_past_end(taken.regs[pointer], kBeyondPacketEnd);
            break;
        case op::kJge:
            prove_bytes(fallen, reg, true);
            mark_past_end(taken.regs[pointer], kAtPacketEnd);
            break;
        case op::kJlt:
            prove_bytes(taken, reg, true);
            mark_past_end(fallen.regs[pointer], kAtPacketEnd);
            break;
        case op::kJle:
            prove_bytes(taken, reg, false);
            mark_past_end(fallen.regs[pointer], kBeyondPacketEnd);
            break;
        default:
            break;
    }
}

/// Collects who is narrowed together with the operands, for precision tracking. Those of a family
/// that there is no room for leave it. Returns an index into linked_, 0 for nobody.
std::uint32_t Machine::note_linked(const Insn& insn) {
    LinkedRegs found;
    const auto add_family = [&](const Reg& head) {
        if (!head.is_scalar() || head.id == 0) {
            return;
        }
        const std::uint32_t id = head.id;
        for (std::uint32_t n = cur_.depth() + 1; n-- > 0;) {
            collect_family(cur_, n, id, found);
        }
    };
    add_family(cur_.regs[insn.dst]);
    if (op::is_reg_source(insn.code) && cur_.regs[insn.src].id != cur_.regs[insn.dst].id) {
        add_family(cur_.regs[insn.src]);
    }
    if (found.count < 2) {
        return 0;
    }
    linked_.push_back(found);
    return static_cast<std::uint32_t>(linked_.size() - 1);
}

Status Machine::do_branch(const Insn& insn) {
    const bool by_reg = op::is_reg_source(insn.code);
    const Reg a = cur_.regs[insn.dst];
    const Reg b =
        by_reg ? cur_.regs[insn.src]
               : Reg::scalar(Scalar::constant(static_cast<std::uint64_t>(std::int64_t{insn.imm})));
    const auto target = static_cast<std::uint32_t>(std::int64_t{insn_} + 1 + insn.off);
    const int outcome = known_outcome(insn, a, b);
    if (outcome >= 0) {
        if (a.is_scalar()) {
            mark_reg_precise(insn.dst);
        }
        if (by_reg && b.is_scalar()) {
            mark_reg_precise(insn.src);
        }
        (outcome == 1 ? taken_seen_ : fallen_seen_)[insn_] = true;
        next_ = outcome == 1 ? target : insn_ + 1;
        return {};
    }
    taken_seen_[insn_] = true;
    fallen_seen_[insn_] = true;
    record_step(Flow::stays, note_linked(insn));
    State taken = cur_;
    State fallen = cur_;
    if (a.is_scalar() && b.is_scalar()) {
        const auto narrow = [&](State& state, bool holds) {
            Scalar as = a.s;
            Scalar bs = b.s;
            if (!assume(op::operation(insn.code), holds, is_wide_jump(insn), as, bs)) {
                return;
            }
            state.regs[insn.dst].s = as;
            if (by_reg) {
                state.regs[insn.src].s = bs;
                spread(state, state.regs[insn.src]);
            }
            spread(state, state.regs[insn.dst]);
        };
        narrow(taken, true);
        narrow(fallen, false);
    } else {
        refine_nulls(insn, taken, fallen);
        refine_packet(insn, taken, fallen);
    }
    cur_ = std::move(fallen);
    return fork(std::move(taken), target);
}

}  // namespace crema::ebpf::verifier
