// SPDX-License-Identifier: BSD-3-Clause
//
// Frame, registers and the choice of statements. What a program has computed is added to the sink
// map at its end: registers and the numbers on its stack.
#include "tests/fuzz/body.h"

#include <algorithm>

#include "tests/fuzz/stage_maps.h"

namespace crema::test::fuzz {

Body::Body(Workshop& shop, Emitter& out, const Plan& plan)
    : shop_(shop), dice_(shop.dice), features_(shop.features), out_(out), plan_(plan) {}

void Body::write() {
    if (plan_.role == Role::adding_callback) {
        add_up();
        return;
    }
    begin();
    statements(plan_.statements);
    finish();
}

/// Element by element, whatever their order: r2 key, r3 value, r4 two words of the caller.
void Body::add_up() {
    out_.add({load(op::kW, 0, 2, 0), load(op::kDw, 5, 3, 0), atomic_add(op::kDw, 4, 0, 0),
              atomic_add(op::kDw, 4, 8, 5), mov_k(0, 0), exit_insn()});
}

/// Who verifies a global function by its types does not know that nobody passes null.
void Body::check_arguments() {
    for (Reg reg = 1; reg <= static_cast<int>(plan_.arguments.size()); ++reg) {
        if (plan_.role == Role::global && is(reg, Kind::map_value)) {
            out_.add({jump_k(op::kJne, reg, 0, 2), mov_k(0, dice_.below(5)), exit_insn()});
        }
    }
}

void Body::begin() {
    for (std::size_t i = 0; i < plan_.arguments.size(); ++i) {
        scope_.regs[i + 1] = plan_.arguments[i];
    }
    check_arguments();
    for (Reg reg = 1; reg <= static_cast<int>(plan_.arguments.size()); ++reg) {
        if (is(reg, Kind::context)) {
            if (dice_.one_in(4)) {
                context_slot_ = plan_.frame_bytes - 8;
                set_busy(context_slot_, 8, true);
                out_.add(store(op::kDw, 10, offset(context_slot_), reg));
            } else {
                context_reg_ = dice_.between(6, 9);
                out_.add(mov(context_reg_, reg));
                scope_.regs[index(context_reg_)] = {Kind::context, 0};
                locked_ |= bit(context_reg_);
            }
            scope_.regs[index(reg)] = {};
        }
    }
    for (int i = dice_.between(2, 4); i > 0; --i) {
        constant();
    }
    if (has_context() && plan_.role == Role::main) {
        load_context_field();
        packet_block();
    }
}

void Body::statements(int n) {
    for (int i = 0; i < n; ++i) {
        statement();
    }
}

void Body::statement() {
    switch (dice_.below(28)) {
        case 0:
        case 1:
            stack_store();
            break;
        case 2:
            stack_load();
            break;
        case 3:
            dice_.one_in(2) ? stack_atomic() : frame_access();
            break;
        case 4:
            spill_pointer();
            break;
        case 5:
        case 6:
            pointer_access();
            break;
        case 7:
            has_context() ? packet_block() : global_access();
            break;
        case 8:
            dice_.one_in(3) ? constant_access() : global_access();
            break;
        case 9:
        case 10:
            branch();
            break;
        case 11:
            counted_loop();
            break;
        case 12:
            may_goto_loop();
            break;
        case 13:
            dice_.one_in(3) ? early_exit() : load_context_field();
            break;
        case 14:
            constant();
            break;
        case 15:
            move_holding();
            break;
        case 16:
            lookup();
            break;
        case 17:
            helper();
            break;
        case 18:
            call_function();
            break;
        case 19:
            dice_.one_in(2) ? call_loop() : call_each();
            break;
        case 20:
            map_statement();
            break;
        default:
            arithmetic();
            break;
    }
}

/// Kinds of maps that few programs need.
void Body::map_statement() {
    switch (dice_.below(6)) {
        case 0:
            inner_lookup();
            break;
        case 1:
            queue_access();
            break;
        case 2:
            ring_record();
            break;
        case 3:
            ring_output();
            break;
        case 4:
            dynptr_block();
            break;
        default:
            tail_call();
            break;
    }
}

void Body::leave_traces() {
    // The base must be no number, or its trace would be lost; if all are numbers, r1's is.
    Reg base = 1;
    for (Reg reg = 0; reg < 10; ++reg) {
        if (!is(reg, Kind::number)) {
            base = reg;
        }
    }
    out_.add(ld_map_value(base, kSinkMap, 0));
    for (Reg reg = 0; reg < 10; ++reg) {
        if (reg != base && is(reg, Kind::number)) {
            out_.add(atomic_add(op::kDw, base, 8 * reg, reg));
        }
    }
    const Reg word = base == 0 ? 1 : 0;
    int traced = 0;
    for (int at = 0; at + 8 <= plan_.frame_bytes && traced < 16; at += 8) {
        if (is_data(at, 8)) {
            out_.add(
                {load(op::kDw, word, 10, offset(at)), atomic_add(op::kDw, base, 96 + at, word)});
            ++traced;
        }
    }
    // The sink is a value of 1024 bytes: any number of its low bits will do as verdict.
    out_.add({load(op::kDw, 0, base, 8 * dice_.below(10))});
}

void Body::finish() {
    if (plan_.role == Role::main) {
        leave_traces();
    } else {
        out_.add(mov(0, number()));
        if (is_callback(plan_.role)) {
            out_.add(alu_k(op::kAnd, 0, 1));
        }
    }
    out_.add(exit_insn());
}

void Body::mark(int at, int bytes, bool data) {
    for (int i = 0; i < bytes; ++i) {
        scope_.data.set(index(at + i), data);
    }
}

void Body::set_busy(int at, int bytes, bool busy) {
    for (int i = 0; i < bytes; ++i) {
        busy_.set(index(at + i), busy);
    }
}

bool Body::is_data(int at, int bytes) const {
    for (int i = 0; i < bytes; ++i) {
        if (!scope_.data.test(index(at + i))) {
            return false;
        }
    }
    return true;
}

std::optional<int> Body::free_place(int bytes, int align) {
    if (bytes > plan_.frame_bytes) {
        return std::nullopt;
    }
    for (int tries = 0; tries < 8; ++tries) {
        const int at = dice_.below((plan_.frame_bytes - bytes) / align + 1) * align;
        bool free = true;
        for (int i = 0; i < bytes; ++i) {
            free = free && !busy_.test(index(at + i));
        }
        if (free) {
            return at;
        }
    }
    return std::nullopt;
}

std::optional<int> Body::data_place(int bytes, int align) {
    for (int tries = 0; tries < 8; ++tries) {
        const auto at = free_place(bytes, align);
        if (at && is_data(*at, bytes)) {
            return at;
        }
    }
    return std::nullopt;
}

std::optional<int> Body::filled_place(int bytes, int align) {
    auto at = data_place(bytes, align);
    if (at) {
        return at;
    }
    at = free_place(bytes, std::max(align, 4));
    if (at) {
        for (int i = 0; i < bytes; i += 4) {
            if (!is_data(*at + i, 4)) {
                out_.add(dice_.one_in(3) ? store_k(op::kW, 10, offset(*at + i), dice_.constant())
                                         : store(op::kW, 10, offset(*at + i), number()));
            }
        }
        mark(*at, bytes, true);
    }
    return at;
}

}  // namespace crema::test::fuzz
