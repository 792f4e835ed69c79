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

Rewriter::Rewriter(const Program& program,
                   const verifier::Proof& proof,
                   const Flow& flow,
                   const Plan& plan)
    : program_(program), proof_(proof), flow_(flow), plan_(plan) {
    label_of_.resize(program.insns.size());
    for (std::size_t at = 0; at < program.insns.size(); at++) {
        if (flow.is_target[at]) {
            label_of_[at] = out_.new_label();
        }
    }
}

std::int32_t Rewriter::context_slot() const {
    return -static_cast<std::int32_t>(proof_.stack_bytes) - 8;
}

std::int32_t Rewriter::counter_slot() const {
    const std::int32_t above = plan_.needs_context ? 16 : 8;
    return -static_cast<std::int32_t>(proof_.stack_bytes) - above;
}

// Slots of the context and the counter.
std::int32_t Rewriter::own_slots() const {
    return (plan_.needs_context ? 1 : 0) + (plan_.needs_counter ? 1 : 0);
}

std::int32_t Rewriter::parking_slot(std::size_t n) const {
    return -static_cast<std::int32_t>(proof_.stack_bytes) -
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
    // Callee-saved registers that occur in machine code: a move to itself emits none.
    RegSet used = 0;
    for (std::size_t at = 0; at < insns.size(); at++) {
        const Insn& insn = insns[at];
        const bool emits_nothing =
            insn.code == (op::kAlu64 | op::kX | op::kMov) && insn.dst == insn.src;
        if (!emits_nothing) {
            used |= reg_bit(insn.dst) | reg_bit(insn.src);
        }
        at += insn.code == op::kLdImm64 ? 1 : 0;
    }
    constexpr RegSet kSaved = 0x7c0;  // r6..r10
    const auto pushes = static_cast<std::uint32_t>(__builtin_popcount(used & kSaved));
    const std::size_t slots = static_cast<std::size_t>(own_slots()) + parking_slots_;
    std::uint32_t bytes = proof_.stack_bytes + 8 * static_cast<std::uint32_t>(slots);
    if (bytes == 0 && !natives_.empty()) {
        bytes = 8;  // without a size there is no frame, and nothing to align with
    }
    while ((8 + 8 * pushes + bytes) % 16 != 0) {
        bytes += 8;
    }
    return bytes;
}

Result<Lowered> Rewriter::run() {
    if (plan_.needs_context) {
        save_context();
    }
    if (plan_.needs_counter) {
        out_.emit(make_insn(opcode(op::kSt | op::kMem | op::kDw), kFrame, 0, counter_slot(),
                            kMayGotoMax));
    }
    for (std::size_t at = 0; at < program_.insns.size(); at++) {
        if (flow_.emitted[at]) {
            if (flow_.is_target[at]) {
                out_.bind(label_of_[at]);
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
    Lowered lowered;
    lowered.stack_bytes = frame_bytes(*insns);
    lowered.insns = std::move(*insns);
    lowered.origins = out_.take_origins();
    lowered.natives = std::move(natives_);
    return lowered;
}

}  // namespace crema::ebpf::lowering
