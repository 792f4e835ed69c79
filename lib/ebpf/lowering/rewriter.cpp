// SPDX-License-Identifier: BSD-3-Clause
//
// The walk over the program, temporaries, and the frame.
//
// Frame below r10: the program's own stack, the saved context (when a call needs it), the counter
// of may_goto, parked registers. Its size is chosen so that helpers are called with the stack
// aligned as the C ABI wants it: the JIT pushes one word per callee-saved register that occurs, and
// does not align.
#include "lib/ebpf/lowering/rewriter.h"

#include <algorithm>
#include <utility>

#include "lib/base/check.h"
#include "lib/ebpf/lowering/intrinsics.h"
#include "lib/ebpf/lowering/jit_rules.h"

namespace crema::ebpf::lowering {

namespace {

constexpr std::int32_t kMayGotoMax = 8'388'608;  // the kernel's bound where it does not use time

// The registers that an instruction names; dst and src of those that name none are 0.
RegSet operands_of(const Insn& insn) {
    const std::uint8_t cls = op::insn_class(insn.code);
    const bool is_jump_or_alu = cls >= op::kAlu;
    const bool has_src = is_jump_or_alu ? op::is_reg_source(insn.code) : cls != op::kSt;
    const bool has_r0 = is_atomic(insn) && insn.imm == op::kAtomicCmpxchg;
    return reg_bit(insn.dst) | (has_src ? reg_bit(insn.src) : 0) | (has_r0 ? reg_bit(kR0) : 0);
}

}  // namespace

Rewriter::Rewriter(const RewriterInput& input)
    : program_(input.program),
      proof_(input.proof),
      flow_(input.flow),
      plan_(input.plan),
      place_(input.place),
      range_(input.range),
      function_(input.function) {
    label_of_.resize(range_.end - range_.first);
    for (std::size_t at = range_.first; at < range_.end; at++) {
        if (flow_.is_target[at]) {
            label_of_[at - range_.first] = out_.new_label();
        }
    }
}

std::uint32_t Rewriter::stack_bytes() const {
    return function_ < proof_.functions.size() ? proof_.functions[function_].stack_bytes
                                               : proof_.stack_bytes;
}

std::int32_t Rewriter::context_slot() const {
    return -static_cast<std::int32_t>(stack_bytes()) - 8;
}

std::int32_t Rewriter::counter_slot() const {
    const std::int32_t above = own_plan().needs_context ? 16 : 8;
    return -static_cast<std::int32_t>(stack_bytes()) - above;
}

// Slots of the context and the counter.
std::int32_t Rewriter::own_slots() const {
    return (own_plan().needs_context ? 1 : 0) + (own_plan().needs_counter ? 1 : 0);
}

std::int32_t Rewriter::parking_slot(std::size_t n) const {
    return -static_cast<std::int32_t>(stack_bytes()) -
           8 * (own_slots() + 1 + static_cast<std::int32_t>(n));
}

Reg Rewriter::temporary() {
    Reg chosen = kFrame;
    for (Reg reg = 0; reg <= kR5; reg++) {
        if ((busy_ & reg_bit(reg)) != 0) {
            continue;
        }
        if (is_dead_after(reg)) {
            busy_ |= reg_bit(reg);
            return reg;
        }
        chosen = reg;
    }
    CREMA_CHECK(chosen != kFrame);  // two operands and two temporaries leave two of r0..r5
    out_.emit(store(op::kDw, kFrame, parking_slot(parked_.size()), chosen));
    parked_.push_back(chosen);
    parking_slots_ = std::max(parking_slots_, parked_.size());
    busy_ |= reg_bit(chosen);
    return chosen;
}

void Rewriter::finish_temporaries() {
    for (std::size_t n = 0; n < parked_.size(); n++) {
        out_.emit(load(op::kDw, parked_[n], kFrame, parking_slot(n)));
    }
    parked_.clear();
}

void Rewriter::jump_to(const Insn& insn, Label target) {
    if (parked_.empty()) {
        out_.jump(insn, target);
        return;
    }
    std::vector<Insn> restore;
    for (std::size_t n = 0; n < parked_.size(); n++) {
        restore.push_back(load(op::kDw, parked_[n], kFrame, parking_slot(n)));
    }
    out_.jump(insn, out_.stub(std::move(restore), target));
    finish_temporaries();
}

void Rewriter::rewrite(std::size_t at) {
    const Insn& insn = program_.insns[at];
    facts_ = &proof_.insns[at];
    live_out_ = flow_.live_out[at];
    busy_ = operands_of(insn);
    switch (op::insn_class(insn.code)) {
        case op::kLd:
            rewrite_constant(insn, at);
            break;
        case op::kLdx:
            rewrite_load(insn);
            break;
        case op::kSt:
        case op::kStx:
            rewrite_store(insn);
            break;
        case op::kJmp:
        case op::kJmp32:
            rewrite_jump(insn, at);
            break;
        default:
            rewrite_alu(insn);
            break;
    }
    finish_temporaries();
}

std::uint32_t Rewriter::frame_bytes(const std::vector<Insn>& insns) const {
    RegSet used = 0;
    for (std::size_t at = 0; at < insns.size(); at++) {
        const Insn& insn = insns[at];
        used |= registers_in_code(insn);
        at += insn.code == op::kLdImm64 ? 1 : 0;
    }
    constexpr RegSet kSaved = 0x7c0;  // r6..r10
    const auto pushes = static_cast<std::uint32_t>(__builtin_popcount(used & kSaved));
    const std::size_t slots = static_cast<std::size_t>(own_slots()) + parking_slots_;
    if ((used & reg_bit(kFrame)) == 0) {
        return 0;  // the JIT makes no frame; the layout has seen to calls
    }
    std::uint32_t bytes = stack_bytes() + 8 * static_cast<std::uint32_t>(slots);
    if (bytes == 0 && !natives_.empty()) {
        bytes = 8;  // without a size there is no frame, and nothing to align with
    }
    while ((8 + 8 * pushes + bytes) % 16 != 0) {
        bytes += 8;
    }
    return bytes;
}

// Functions behind the first find the context where it left it.
void Rewriter::share_context() {
    out_.emit(store(op::kDw, kFrame, context_slot(), kR1));
    if (plan_.shares_context) {
        live_out_ = flow_.live_in[range_.first];
        call_intrinsic({.native = enter_context, .arguments = {kR1}});
    }
}

void Rewriter::fetch_context(Native from) {
    live_out_ = flow_.live_in[range_.first];
    call_intrinsic({.native = from, .result_slot = context_slot(), .result = kR0});
}

void Rewriter::prologue() {
    if (own_plan().needs_context) {
        if (function_ != 0) {
            fetch_context(current_context);
        } else if (proof_.starts_with_context) {
            share_context();
        } else {
            fetch_context(running_context);
        }
    }
    if (own_plan().needs_counter) {
        out_.emit(make_insn(opcode(op::kSt | op::kMem | op::kDw), kFrame, 0, counter_slot(),
                            kMayGotoMax));
    }
}

// Behind the exit, where nothing leads: it makes the JIT save what its frame destroys.
void Rewriter::add_dead_call(LoweredFunction& lowered) const {
    if (kFrameNeedsCall && lowered.stack_bytes != 0 && lowered.natives.empty()) {
        lowered.natives.push_back(current_context);
        lowered.insns.push_back(make_insn(opcode(op::kJmp | op::kCall), 0, 0, 0, 0));
        lowered.origins.push_back(kNoOrigin);
    }
}

Result<LoweredFunction> Rewriter::run() {
    prologue();
    for (std::size_t at = range_.first; at < range_.end; at++) {
        if (flow_.emitted[at]) {
            if (flow_.is_target[at]) {
                out_.bind(label_at(at));
            }
            if (!flow_.is_dead[at]) {
                out_.set_origin(static_cast<std::uint32_t>(at));
                rewrite(at);
            }
        }
        at += program_.insns[at].code == op::kLdImm64 ? 1 : 0;
    }
    auto insns = out_.finish(!natives_.empty());
    if (!insns) {
        return fail(insns.error().code, "program {}: {}", program_.name, insns.error().message);
    }
    LoweredFunction lowered;
    lowered.stack_bytes = frame_bytes(*insns);
    lowered.insns = std::move(*insns);
    lowered.origins = out_.take_origins();
    lowered.natives = std::move(natives_);
    lowered.callees = std::move(callees_);
    lowered.addresses = out_.take_addresses();
    add_dead_call(lowered);
    return lowered;
}

}  // namespace crema::ebpf::lowering
