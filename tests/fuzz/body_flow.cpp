// SPDX-License-Identifier: BSD-3-Clause
//
// Branches and loops, and what is known where paths join.
#include <algorithm>

#include "tests/fuzz/body.h"

namespace crema::test::fuzz {

void Body::merge(const Scope& other) {
    for (std::size_t i = 0; i < scope_.regs.size(); ++i) {
        Holding& mine = scope_.regs[i];
        const Holding& theirs = other.regs[i];
        if (mine.kind != theirs.kind) {
            mine = {};
        } else {
            mine.bytes = std::min(mine.bytes, theirs.bytes);
        }
    }
    scope_.data &= other.data;
}

void Body::forget(Kind kind) {
    for (Holding& held : scope_.regs) {
        if (held.kind == kind) {
            held = {};
        }
    }
}

void Body::forget_packet() {
    ++packet_epoch_;
    forget(Kind::packet);
}

/// Jumps to `label` or goes on, by a comparison of numbers.
void Body::compare_numbers(Emitter::Label label) {
    static constexpr int kComparisons[] = {op::kJeq, op::kJgt,  op::kJge,  op::kJset,
                                           op::kJne, op::kJsgt, op::kJsge, op::kJlt,
                                           op::kJle, op::kJslt, op::kJsle};
    const int cls = dice_.one_in(2) ? op::kJmp : op::kJmp32;
    const int operation = dice_.pick(kComparisons);
    if (dice_.one_in(3)) {
        // Few values: both outcomes, and equality, are met often.
        const Reg small = small_number(dice_.one_in(2) ? 7 : 1, 0);
        out_.jump_to(insn(cls | operation, small, 0, 0, dice_.between(-1, 8)), label);
        return;
    }
    const Reg left = number();
    out_.jump_to(dice_.one_in(2) ? insn(cls | op::kX | operation, left, number(), 0, 0)
                                 : insn(cls | operation, left, 0, 0, dice_.constant()),
                 label);
}

void Body::branch() {
    if (depth_ > 3) {
        return;
    }
    const Emitter::Label other = out_.new_label();
    compare_numbers(other);
    const Scope before = scope_;
    ++depth_;
    statements(dice_.between(1, 3));
    if (dice_.one_in(2)) {
        const Emitter::Label end = out_.new_label();
        out_.jump_to(features_.long_jumps && dice_.one_in(2)
                         ? insn(op::kJmp32 | op::kJa, 0, 0, 0, 0)
                         : go(0),
                     end);
        out_.bind(other);
        const Scope taken = std::exchange(scope_, before);
        statements(dice_.between(1, 3));
        out_.bind(end);
        merge(taken);
    } else {
        out_.bind(other);
        merge(before);
    }
    --depth_;
}

void Body::early_exit() {
    if (holds_) {
        return;
    }
    const Emitter::Label goes_on = out_.new_label();
    compare_numbers(goes_on);
    out_.add({mov_k(0, is_callback(plan_.role) ? dice_.below(2) : dice_.constant()), exit_insn()});
    out_.bind(goes_on);
}

/// Pointers must be the same in every round: those in r6..r9 are locked, the others forgotten.
/// Returns what was locked before.
std::uint32_t Body::begin_loop() {
    const std::uint32_t before = locked_;
    for (Reg reg = 0; reg < 10; ++reg) {
        if (is(reg, Kind::none) || is(reg, Kind::number)) {
            continue;
        }
        if (reg >= 6) {
            locked_ |= bit(reg);
        } else {
            scope_.regs[index(reg)] = {};
        }
    }
    return before;
}

/// Makes everything that was a number at the start of the round one again.
void Body::restore_for_back_edge(const Scope& entry) {
    for (Reg reg = 0; reg < 10; ++reg) {
        if (entry.regs[index(reg)].kind == Kind::number && !is(reg, Kind::number)) {
            out_.add(mov_k(reg, dice_.constant()));
            set_number(reg);
        }
    }
    for (int at = 0; at < plan_.frame_bytes; at += 8) {
        bool lost = false;
        for (int i = 0; i < 8; ++i) {
            lost = lost || (entry.data.test(index(at + i)) && !scope_.data.test(index(at + i)));
        }
        if (lost) {
            out_.add(store_k(op::kDw, 10, offset(at), dice_.constant()));
            mark(at, 8, true);
        }
    }
}

void Body::counted_loop() {
    if (depth_ > 2 || loops_ > 1) {
        return;
    }
    const std::uint32_t locked_before = begin_loop();
    Reg counter = -1;
    for (Reg reg = 6; reg < 10; ++reg) {
        counter = locked(reg) ? counter : reg;
    }
    if (counter < 0) {
        locked_ = locked_before;
        return;
    }
    const int rounds = dice_.between(1, loops_ == 0 ? 5 : 3);
    const bool down = dice_.one_in(2);
    out_.add(mov_k(counter, down ? rounds : 0));
    set_number(counter);
    locked_ |= bit(counter);
    const Scope entry = scope_;
    const Emitter::Label top = out_.new_label();
    out_.bind(top);
    ++depth_;
    ++loops_;
    statements(dice_.between(1, 3));
    --loops_;
    --depth_;
    restore_for_back_edge(entry);
    out_.add(add_k(counter, down ? -1 : 1));
    if (down) {
        out_.jump_to(jump_k(dice_.one_in(2) ? op::kJne : op::kJsgt, counter, 0, 0), top);
    } else {
        out_.jump_to(dice_.one_in(2) ? jump_k(op::kJlt, counter, rounds, 0)
                                     : jump32_k(op::kJne, counter, rounds, 0),
                     top);
    }
    locked_ = locked_before;
}

void Body::may_goto_loop() {
    if (!features_.may_goto || depth_ > 2 || loops_ > 1) {
        return;
    }
    const std::uint32_t locked_before = begin_loop();
    Reg counter = -1;
    for (Reg reg = 6; reg < 10; ++reg) {
        counter = locked(reg) ? counter : reg;
    }
    if (counter < 0) {
        locked_ = locked_before;
        return;
    }
    // Rounds by the packet or whatever the number comes from, far below may_goto's bound.
    const Reg rounds = small_number(7, bit(counter));
    out_.add(mov(counter, rounds));
    set_number(counter);
    locked_ |= bit(counter);
    const Scope entry = scope_;
    const Emitter::Label top = out_.new_label();
    const Emitter::Label end = out_.new_label();
    out_.bind(top);
    out_.jump_to(insn(op::kJmp | op::kJcond, 0, 0, 0, 0), end);
    out_.jump_to(jump_k(op::kJeq, counter, 0, 0), end);
    ++depth_;
    ++loops_;
    statements(dice_.between(1, 3));
    --loops_;
    --depth_;
    restore_for_back_edge(entry);
    out_.add(add_k(counter, -1));
    out_.jump_to(go(0), top);
    out_.bind(end);
    locked_ = locked_before;
    merge(entry);
}

}  // namespace crema::test::fuzz
