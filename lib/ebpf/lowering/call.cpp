// SPDX-License-Identifier: BSD-3-Clause
//
// Helper calls: native functions by index, or array lookups as instructions. A call may destroy
// r0..r5, so an inlined lookup may too.
#include <algorithm>
#include <bit>

#include "lib/ebpf/abi/xdp_buff.h"
#include "lib/ebpf/lowering/rewriter.h"
#include "lib/ebpf/maps/map.h"

namespace crema::ebpf::lowering {

void Rewriter::save_context() {
    out_.emit(store(op::kDw, kFrame, context_slot(), kR1));
}

void Rewriter::load_context(Reg dst) {
    out_.emit(load(op::kDw, dst, kFrame, context_slot()));
}

void Rewriter::call_native(helpers::Native native, bool wants_context) {
    auto at = std::find(natives_.begin(), natives_.end(), native);
    if (at == natives_.end()) {
        at = natives_.insert(at, native);
    }
    if (wants_context) {
        load_context(kR5);
    }
    out_.emit(make_insn(opcode(op::kJmp | op::kCall), 0, 0, 0,
                        static_cast<std::int32_t>(at - natives_.begin())));
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

void Rewriter::rewrite_call(const Insn& insn, std::size_t at) {
    const CallPlan& plan = plan_.calls[at];
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
        native = helpers::native_for(id, map.spec().type);
    }
    call_native(native, prototype.wants_context);
}

}  // namespace crema::ebpf::lowering
