// SPDX-License-Identifier: BSD-3-Clause
//
// Statements on memory: stack, packet, values of maps, context.
#include <algorithm>

#include "tests/fuzz/body.h"
#include "tests/fuzz/stage_maps.h"

namespace crema::test::fuzz {

namespace {

constexpr int kSizes[] = {op::kB, op::kH, op::kW, op::kDw};

int bytes_of(int size) {
    return static_cast<int>(op::access_bytes(static_cast<std::uint8_t>(size)));
}

}  // namespace

void Body::stack_store() {
    const int size = dice_.pick(kSizes);
    const int bytes = bytes_of(size);
    const auto at = free_place(bytes, bytes);
    if (!at) {
        return;
    }
    out_.add(dice_.one_in(3) ? store_k(size, 10, offset(*at), dice_.constant())
                             : store(size, 10, offset(*at), number()));
    mark(*at, bytes, true);
}

void Body::stack_load() {
    const int size = dice_.pick(kSizes);
    const int bytes = bytes_of(size);
    const auto at = data_place(bytes, bytes);
    if (!at) {
        return;
    }
    const Reg reg = target();
    const bool extends = features_.sign_extending_loads && size != op::kDw && dice_.one_in(3);
    out_.add(insn(op::kLdx | (extends ? op::kMemSx : op::kMem) | size, reg, 10, offset(*at), 0));
    set_number(reg);
}

void Body::stack_atomic() {
    const int size = dice_.one_in(2) ? op::kW : op::kDw;
    const auto at = data_place(bytes_of(size), bytes_of(size));
    if (at) {
        atomic_access(10, offset(*at), size);
    }
}

void Body::frame_address(Reg into, int at) {
    out_.add({mov(into, 10), add_k(into, offset(at))});
}

/// Through a pointer into the own frame, which lives no longer than the statement.
void Body::frame_access() {
    const int bytes = 8 * dice_.between(1, 3);
    const auto at = filled_place(bytes, 8);
    if (!at) {
        return;
    }
    const Reg pointer = target();
    frame_address(pointer, *at);
    scope_.regs[index(pointer)] = {Kind::frame, bytes};
    access(pointer, {Kind::frame, bytes});
    if (is(pointer, Kind::frame)) {
        scope_.regs[index(pointer)] = {};
    }
}

void Body::spill_pointer() {
    static constexpr Kind kPointers[] = {Kind::packet, Kind::map_value, Kind::constants,
                                         Kind::frame, Kind::number};
    const auto reg = some(dice_.pick(kPointers));
    const auto at = free_place(8, 8);
    if (!reg || !at || depth_ > 3) {
        return;
    }
    const Holding held = scope_.regs[index(*reg)];
    const int epoch = packet_epoch_;
    out_.add(store(op::kDw, 10, offset(*at), *reg));
    mark(*at, 8, false);
    set_busy(*at, 8, true);
    ++depth_;
    statements(dice_.between(1, 3));
    --depth_;
    set_busy(*at, 8, false);
    if (held.kind == Kind::packet && epoch != packet_epoch_) {
        return;
    }
    const Reg to = target();
    out_.add(load(op::kDw, to, 10, offset(*at)));
    scope_.regs[index(to)] = held;
}

void Body::atomic_access(Reg pointer, int offset, int size) {
    static constexpr std::int32_t kPlain[] = {op::kAtomicAdd, op::kAtomicOr, op::kAtomicAnd,
                                              op::kAtomicXor};
    const int code = op::kStx | op::kAtomic | size;
    const Reg source = number(bit(pointer));
    if (!features_.fetching_atomics || dice_.one_in(4)) {
        const std::int32_t plain = features_.fetching_atomics ? dice_.pick(kPlain) : op::kAtomicAdd;
        out_.add(insn(code, pointer, source, offset, plain));
        return;
    }
    if (features_.ordered_accesses && dice_.one_in(4)) {
        if (dice_.one_in(2)) {
            const Reg to = target();
            out_.add(insn(code, to, pointer, offset, op::kLoadAcquire));
            set_number(to);
        } else {
            out_.add(insn(code, pointer, source, offset, op::kStoreRelease));
        }
        return;
    }
    if (locked(source) || source == pointer) {
        return;
    }
    switch (dice_.below(3)) {
        case 0:
            out_.add(insn(code, pointer, source, offset, op::kAtomicXchg));
            break;
        case 1:
            if (is(0, Kind::number) && pointer != 0) {
                out_.add(insn(code, pointer, source, offset, op::kAtomicCmpxchg));
            }
            break;
        default:
            out_.add(insn(code, pointer, source, offset, dice_.pick(kPlain) | op::kFetch));
            break;
    }
}

/// One or a few accesses to what `pointer` points to.
void Body::access(Reg pointer, const Holding& what) {
    int size = dice_.pick(kSizes);
    while (bytes_of(size) > what.bytes) {
        size = size == op::kDw ? op::kW : size == op::kW ? op::kH : op::kB;
    }
    const int bytes = bytes_of(size);
    const bool aligned = what.kind == Kind::frame || !dice_.one_in(4);
    const int align = aligned ? bytes : 1;
    int room = what.bytes - bytes;
    // A sum of a packet pointer and a variable is proved anew or not at all: packet_block().
    if (room >= 8 && what.kind != Kind::packet && dice_.one_in(3)) {
        // A variable part, in another register.
        const int mask = what.kind == Kind::frame ? 8 : room >= 24 && dice_.one_in(2) ? 24 : 7;
        const Reg part = small_number(mask, bit(pointer));
        const Reg sum = target(bit(pointer) | bit(part));
        out_.add({mov(sum, pointer), alu(op::kAdd, sum, part)});
        scope_.regs[index(sum)] = {what.kind, what.bytes - mask};
        pointer = sum;
        room -= mask;
    }
    const int at = dice_.below(room / align + 1) * align;
    const bool writable = what.kind != Kind::constants;
    const bool in_place = scope_.regs[index(pointer)].bytes != what.bytes;
    switch (writable ? dice_.below(4) : 0) {
        case 1:
            out_.add(store(size, pointer, at, number(bit(pointer))));
            break;
        case 2:
            out_.add(store_k(size, pointer, at, dice_.constant()));
            break;
        case 3:
            if (what.kind != Kind::packet && what.kind != Kind::slice && at % bytes == 0 &&
                bytes >= 4 && !in_place) {
                atomic_access(pointer, at, size);
                break;
            }
            [[fallthrough]];
        default: {
            const Reg to = target();
            const bool extends =
                features_.sign_extending_loads && size != op::kDw && dice_.one_in(3);
            out_.add(insn(op::kLdx | (extends ? op::kMemSx : op::kMem) | size, to, pointer, at, 0));
            set_number(to);
            break;
        }
    }
    if (in_place && !is(pointer, Kind::number)) {
        scope_.regs[index(pointer)] = {};  // what a variable part leaves of it is not tracked
    }
}

void Body::pointer_access() {
    static constexpr Kind kPointers[] = {Kind::packet,    Kind::map_value, Kind::frame,
                                         Kind::constants, Kind::record,    Kind::slice};
    for (int tries = 0; tries < 4; ++tries) {
        if (const auto reg = some(dice_.pick(kPointers))) {
            access(*reg, scope_.regs[index(*reg)]);
            return;
        }
    }
}

void Body::global_access() {
    const Reg reg = target();
    const int at = 8 * dice_.below(kGlobalBytes / 8 - 4);
    out_.add(ld_map_value(reg, kGlobalMap, at));
    scope_.regs[index(reg)] = {Kind::map_value, static_cast<int>(kGlobalBytes) - at};
    access(reg, scope_.regs[index(reg)]);
}

void Body::constant_access() {
    const Reg reg = target();
    const int at = 8 * dice_.below(kConstantBytes / 8 - 2);
    out_.add(ld_map_value(reg, kConstantMap, at));
    scope_.regs[index(reg)] = {Kind::constants, static_cast<int>(kConstantBytes) - at};
    access(reg, scope_.regs[index(reg)]);
}

void Body::load_context_field() {
    if (!has_context()) {
        return;
    }
    static constexpr int kFields[] = {12, 16};
    const Reg reg = target();
    get_context(reg);
    out_.add(load(op::kW, reg, reg, dice_.pick(kFields)));
    set_number(reg);
}

void Body::get_context(Reg into) {
    out_.add(context_reg_ >= 0 ? mov(into, context_reg_)
                               : load(op::kDw, into, 10, offset(context_slot_)));
    scope_.regs[index(into)] = {Kind::context, 0};
}

/// Goes to `fails` when fewer than `bytes` bytes lie between start and end. Destroys `end`.
void Body::packet_bounds(Reg start, Reg end, Emitter::Label fails, int bytes) {
    const Reg limit = target(bit(start) | bit(end));
    scope_.regs[index(limit)] = {};
    out_.add({mov(limit, start), add_k(limit, bytes)});
    switch (dice_.below(4)) {
        case 0:
            out_.jump_to(jump(op::kJgt, limit, end, 0), fails);
            break;
        case 1:
            out_.jump_to(jump(op::kJlt, end, limit, 0), fails);
            break;
        case 2:
            out_.add(jump(op::kJle, limit, end, 1));
            out_.jump_to(go(0), fails);
            break;
        default:
            out_.add(jump(op::kJge, end, limit, 1));
            out_.jump_to(go(0), fails);
            break;
    }
    scope_.regs[index(end)] = {};
}

void Body::packet_block() {
    static constexpr int kLengths[] = {1, 2, 4, 8, 14, 20, 34, 54, 60, 64, 128};
    static constexpr int kMasks[] = {1, 7, 15, 63, 255, 1023};
    if (depth_ > 3) {
        return;
    }
    const Reg start = target();
    const Reg end = target(bit(start));
    get_context(end);
    const bool metadata = features_.has_helper(kAdjustMeta) && dice_.one_in(8);
    out_.add(
        {load(op::kW, start, end, metadata ? 8 : 0), load(op::kW, end, end, metadata ? 0 : 4)});
    scope_.regs[index(start)] = scope_.regs[index(end)] = {};
    if (dice_.one_in(3)) {
        const Reg part = small_number(dice_.pick(kMasks), bit(start) | bit(end));
        out_.add(alu(op::kAdd, start, part));
    } else if (dice_.one_in(3)) {
        out_.add(add_k(start, dice_.between(0, 40)));
    }
    const int bytes = dice_.one_in(4) ? dice_.between(1, 80) : dice_.pick(kLengths);
    const Emitter::Label fails = out_.new_label();
    packet_bounds(start, end, fails, bytes);
    if (dice_.one_in(3) && !is_callback(plan_.role) && !holds_) {
        // The failing side ends the function.
        const Emitter::Label goes_on = out_.new_label();
        out_.jump_to(go(0), goes_on);
        out_.bind(fails);
        out_.add({mov_k(0, dice_.between(0, 4)), exit_insn()});
        out_.bind(goes_on);
        scope_.regs[index(start)] = {Kind::packet, bytes};
        access(start, scope_.regs[index(start)]);
        return;
    }
    const Scope outside = scope_;
    scope_.regs[index(start)] = {Kind::packet, bytes};
    ++depth_;
    access(start, scope_.regs[index(start)]);
    statements(dice_.between(0, 3));
    --depth_;
    out_.bind(fails);
    merge(outside);
}

}  // namespace crema::test::fuzz
