// SPDX-License-Identifier: BSD-3-Clause
//
// Atomic instructions, and the calls that stand for instructions which the JIT lacks
// (intrinsics.h). The JIT's only atomic is add without fetch; it takes the others for that one.
// Load-acquire and store-release are plain loads and stores on x86, whose memory order gives both.
#include <algorithm>
#include <vector>

#include "lib/base/check.h"
#include "lib/ebpf/lowering/intrinsics.h"
#include "lib/ebpf/lowering/rewriter.h"

namespace crema::ebpf::lowering {

namespace {

struct Move {
    Reg to;
    Reg from;
};

}  // namespace

// r1.. = the registers in `from`, all at once. Sources may be destinations of one another.
void Rewriter::load_arguments(const std::vector<Reg>& from) {
    std::vector<Move> left;
    Reg to = kR1;
    for (const Reg reg : from) {
        if (reg != to) {
            left.push_back({to, reg});
        }
        to++;
    }
    while (!left.empty()) {
        bool moved = false;
        for (std::size_t i = 0; i < left.size() && !moved; i++) {
            const Move move = left[i];
            bool is_source = false;
            for (const Move& other : left) {
                is_source = is_source || (other.from == move.to && other.to != move.to);
            }
            if (!is_source) {
                out_.emit(mov64(move.to, move.from));
                left.erase(left.begin() + static_cast<std::ptrdiff_t>(i));
                moved = true;
            }
        }
        if (!moved) {
            // Only cycles of r1..r3 are left: r4 is no destination, and no source of them.
            const Reg freed = left.front().from;
            out_.emit(mov64(kR4, freed));
            for (Move& move : left) {
                move.from = move.from == freed ? kR4 : move.from;
            }
        }
    }
}

// Every register that is needed later keeps its value, but for the result.
void Rewriter::call_intrinsic(const Intrinsic& call) {
    CREMA_CHECK(call.native != nullptr && call.arguments.size() <= 3 && parked_.empty());
    const RegSet result = call.result >= 0 ? reg_bit(static_cast<Reg>(call.result)) : 0;
    std::vector<Reg> kept;
    for (Reg reg = kR0; reg <= kR5; reg++) {
        if ((live_out_ & ~result & reg_bit(reg)) != 0) {
            out_.emit(store(op::kDw, kFrame, parking_slot(kept.size()), reg));
            kept.push_back(reg);
        }
    }
    parking_slots_ = std::max(parking_slots_, kept.size());
    load_arguments(call.arguments);
    if (call.offset != 0) {
        out_.emit(alu64_k(op::kAdd, kR1, call.offset));
    }
    if (call.constant) {
        out_.emit(alu64_k(op::kMov, kR2, *call.constant));
    }
    call_native(call.native, false);
    if (call.result_slot != 0) {
        out_.emit(store(op::kDw, kFrame, call.result_slot, kR0));
    }
    if (call.result > 0) {
        out_.emit(mov64(static_cast<Reg>(call.result), kR0));
    }
    for (std::size_t n = 0; n < kept.size(); n++) {
        out_.emit(load(op::kDw, kept[n], kFrame, parking_slot(n)));
    }
}

void Rewriter::rewrite_atomic(const Insn& insn) {
    const std::uint8_t size = op::size_field(insn.code);
    if (is_load_acquire(insn)) {
        out_.emit(load(size, insn.dst, insn.src, insn.off));
        return;
    }
    if (is_store_release(insn)) {
        store_register(size, insn.dst, insn.off, insn.src);
        return;
    }
    const int result = atomic_result(insn);
    const bool wanted = result >= 0 && (live_out_ & reg_bit(static_cast<Reg>(result))) != 0;
    if ((insn.imm & ~op::kFetch) == op::kAdd && !wanted) {
        Insn add = insn;
        add.imm = op::kAdd;
        out_.emit(add);
        return;
    }
    Intrinsic call{.native = atomic_native(insn.imm, size == op::kDw),
                   .arguments = {insn.dst, insn.src},
                   .offset = insn.off,
                   .result = wanted ? result : -1};
    if (insn.imm == op::kAtomicCmpxchg) {
        call.arguments.push_back(kR0);
    }
    call_intrinsic(call);
}

void Rewriter::divide_signed(const Insn& insn) {
    const bool wide = op::insn_class(insn.code) == op::kAlu64;
    const bool remainder = op::operation(insn.code) == op::kMod;
    Intrinsic call{.native = signed_division_native(remainder, wide),
                   .arguments = {insn.dst},
                   .result = insn.dst};
    if (op::is_reg_source(insn.code)) {
        call.arguments.push_back(insn.src);
    } else {
        call.constant = insn.imm;
    }
    call_intrinsic(call);
}

}  // namespace crema::ebpf::lowering
