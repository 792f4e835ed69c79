// SPDX-License-Identifier: BSD-3-Clause
//
// Calls: native functions and the program's own by index, array lookups and tail calls as
// instructions. A call may destroy r0..r5, so what is inlined may too.
#include <algorithm>
#include <bit>

#include "lib/base/check.h"
#include "lib/ebpf/abi/xdp_buff.h"
#include "lib/ebpf/kfuncs/kfuncs.h"
#include "lib/ebpf/lowering/intrinsics.h"
#include "lib/ebpf/lowering/rewriter.h"
#include "lib/ebpf/maps/map.h"
#include "lib/ebpf/maps/prog_array.h"

namespace crema::ebpf::lowering {

namespace {

constexpr std::int32_t kTailCallsMax = 33;  // of one run

}  // namespace

void Rewriter::load_context(Reg dst) {
    out_.emit(load(op::kDw, dst, kFrame, context_slot()));
}

std::uint32_t Rewriter::native_index(helpers::Native native) {
    auto at = std::find(natives_.begin(), natives_.end(), native);
    if (at == natives_.end()) {
        at = natives_.insert(at, native);
    }
    return static_cast<std::uint32_t>(at - natives_.begin());
}

void Rewriter::call_index(std::uint32_t native) {
    out_.emit(make_insn(opcode(op::kJmp | op::kCall), 0, 0, 0, static_cast<std::int32_t>(native)));
}

void Rewriter::call_native(helpers::Native native, bool wants_context) {
    if (wants_context) {
        load_context(kR5);
    }
    call_index(native_index(native));
}

// The callee's machine code takes r1..r5 and gives r0 as any native function does, and preserves
// r6..r9 by its prologue.
void Rewriter::call_function(std::int32_t function) {
    const std::int32_t place = place_[static_cast<std::size_t>(function)];
    CREMA_CHECK(place >= 0);  // a proved call leads to a proved function
    const auto known = std::find_if(callees_.begin(), callees_.end(), [&](const Callee& callee) {
        return callee.function == static_cast<std::uint32_t>(place);
    });
    if (known != callees_.end()) {
        call_index(known->native);
        return;
    }
    const auto index = static_cast<std::uint32_t>(natives_.size());
    natives_.push_back(nullptr);
    callees_.push_back({.native = index, .function = static_cast<std::uint32_t>(place)});
    call_index(index);
}

// r2 = the slot's content, when r3 (32 bits) is an index of the map.
void Rewriter::load_tail_target(const maps::ProgArray& map,
                                std::optional<std::uint32_t> key,
                                Label failed) {
    const std::uint32_t entries = map.spec().max_entries;
    if (key) {
        out_.load_constant(kR2, reinterpret_cast<std::uintptr_t>(map.slots() + *key));
        out_.emit(load(op::kDw, kR2, kR2, 0));
        return;
    }
    out_.emit(mov32(kR3, kR3));
    if (entries <= INT32_MAX) {
        out_.jump(jump_k(op::kJge, kR3, static_cast<std::int32_t>(entries)), failed);
    } else {
        out_.emit(mov32_k(kR0, static_cast<std::int32_t>(entries)));
        out_.jump(jump_x(op::kJge, kR3, kR0), failed);
    }
    out_.emit(alu64_k(op::kLsh, kR3, 3));
    out_.load_constant(kR2, reinterpret_cast<std::uintptr_t>(map.slots()));
    out_.emit(alu64_x(op::kAdd, kR2, kR3));
    out_.emit(load(op::kDw, kR2, kR2, 0));
}

// r1 = context, r2 = map, r3 = index (32 bits). A target that is there, and not more than 33 in
// this run: it runs as a nested call, and what it returns this function returns. Else on with the
// next instruction. What the target does to the packet stays; nothing else of this frame is read
// again.
void Rewriter::tail_call(std::optional<std::uint32_t> key) {
    const Label failed = out_.new_label();
    if (facts_->map >= 0) {
        const maps::Map& map = *program_.maps[static_cast<std::size_t>(facts_->map)];
        if (key && *key >= map.spec().max_entries) {
            return;  // fails each time
        }
        load_tail_target(static_cast<const maps::ProgArray&>(map), key, failed);
    } else {
        out_.emit(mov64(kR1, kR2));
        out_.emit(mov64(kR2, kR3));
        call_native(find_tail_target, false);
        out_.emit(mov64(kR2, kR0));
        load_context(kR1);
    }
    out_.jump(jump_k(op::kJeq, kR2, 0), failed);
    out_.emit(load(op::kW, kR0, kR1, offsetof(XdpBuff, tail_calls)));
    out_.jump(jump_k(op::kJge, kR0, kTailCallsMax), failed);
    out_.emit(alu64_k(op::kAdd, kR0, 1));
    out_.emit(store(op::kW, kR1, offsetof(XdpBuff, tail_calls), kR0));
    call_native(run_tail_target, false);
    out_.exit();
    out_.bind(failed);
}

void Rewriter::scale(Reg reg, std::uint32_t factor) {
    if (std::has_single_bit(factor)) {
        out_.emit(alu64_k(op::kLsh, reg, std::countr_zero(factor)));
    } else {
        out_.emit(alu64_k(op::kMul, reg, static_cast<std::int32_t>(factor)));
    }
}

// dst = distance from the first CPU's array to the one of the running CPU.
void Rewriter::load_cpu_offset(Reg dst, const maps::Map& map) {
    load_context(dst);
    out_.emit(load(op::kW, dst, dst, offsetof(XdpBuff, cpu)));
    scale(dst, static_cast<std::uint32_t>(map.layout().percpu_stride));
}

void Rewriter::lookup_constant_key(const maps::Map& map, bool percpu, std::uint32_t key) {
    if (key >= map.spec().max_entries) {
        out_.emit(mov32_k(kR0, 0));
        return;
    }
    const maps::ValueLayout layout = map.layout();
    const std::uint64_t address =
        reinterpret_cast<std::uintptr_t>(layout.base) + std::uint64_t{key} * layout.stride;
    out_.load_constant(kR0, address);
    if (percpu) {
        load_cpu_offset(kR1, map);
        out_.emit(alu64_x(op::kAdd, kR0, kR1));
    }
}

void Rewriter::lookup_inline(const maps::Map& map, bool percpu) {
    const maps::ValueLayout layout = map.layout();
    const std::uint32_t entries = map.spec().max_entries;
    const Label done = out_.new_label();
    out_.emit(load(op::kW, kR3, kR2, 0));
    out_.emit(mov32_k(kR0, 0));
    if (entries <= INT32_MAX) {
        out_.jump(jump_k(op::kJge, kR3, static_cast<std::int32_t>(entries)), done);
    } else {
        out_.emit(mov32_k(kR1, static_cast<std::int32_t>(entries)));
        out_.jump(jump_x(op::kJge, kR3, kR1), done);
    }
    scale(kR3, layout.stride);
    out_.load_constant(kR0, reinterpret_cast<std::uintptr_t>(layout.base));
    out_.emit(alu64_x(op::kAdd, kR0, kR3));
    if (percpu) {
        load_cpu_offset(kR1, map);
        out_.emit(alu64_x(op::kAdd, kR0, kR1));
    }
    out_.bind(done);
}

// r3, r4 = the key's words, put together from pieces; r0 is free until the call.
void Rewriter::lookup_by_registers(const KeyLoad& key) {
    const Reg base = key.frame_offset ? kFrame : kR2;
    const std::int32_t start = key.frame_offset.value_or(0);
    for (const KeyLoad::Piece& piece : key.pieces) {
        const Reg word = piece.at < 8 ? kR3 : kR4;
        const std::uint8_t size = size_of_access(piece.bytes);
        const std::int32_t shift = 8 * (piece.at % 8);
        if (shift == 0) {
            out_.emit(load(size, word, base, start + piece.at));
            continue;
        }
        out_.emit(load(size, kR0, base, start + piece.at));
        out_.emit(alu64_k(op::kLsh, kR0, shift));
        out_.emit(alu64_x(op::kOr, word, kR0));
    }
    out_.load_constant(kR1, key.lookup.argument);
    call_native(key.lookup.native, key.lookup.wants_context);
}

void Rewriter::rewrite_call(const Insn& insn, std::size_t at) {
    if (insn.src == op::kPseudoCall) {
        call_function(facts_->function);
        return;
    }
    if (insn.src == op::kPseudoKfunc) {
        call_native(kfuncs::find(insn.imm)->native, false);
        return;
    }
    if (insn.imm == kTailCall) {
        tail_call(plan_.calls[at].key);
        return;
    }
    const CallPlan& plan = plan_.calls[at];
    if (plan.kind == CallPlan::Kind::processor_id) {
        load_context(kR0);
        out_.emit(load(op::kW, kR0, kR0, offsetof(XdpBuff, cpu)));
        return;
    }
    if (plan.kind == CallPlan::Kind::register_lookup) {
        lookup_by_registers(plan_.key_loads.at(at));
        return;
    }
    if (plan.kind != CallPlan::Kind::native) {
        const maps::Map& map = *program_.maps[static_cast<std::size_t>(facts_->map)];
        const bool percpu = plan.kind == CallPlan::Kind::percpu_array;
        if (plan.key) {
            lookup_constant_key(map, percpu, *plan.key);
        } else {
            lookup_inline(map, percpu);
        }
        return;
    }
    const auto id = static_cast<std::uint32_t>(insn.imm);
    const helpers::Prototype& prototype = *helpers::find(id);
    helpers::Native native = prototype.native;
    if (facts_->map >= 0) {
        const maps::Map& map = *program_.maps[static_cast<std::size_t>(facts_->map)];
        native = helpers::map_native_for_pieces(id, map.spec().type, plan.piece_bytes);
        native = native != nullptr ? native : prototype.native;
    }
    call_native(native, prototype.wants_context);
}

}  // namespace crema::ebpf::lowering
