// SPDX-License-Identifier: BSD-3-Clause
//
// Layout of the lowered program; see assembler.h for the picture.
// Source of the figures: measurements on DPDK 22.11's x86 JIT (prologue at most 47 bytes, epilogue
// growth at most 33, a jump shrinks from 5 to 2 bytes: 28 of them give 84).
#include "lib/ebpf/lowering/assembler.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "lib/base/check.h"

namespace crema::ebpf::lowering {

namespace {

constexpr int kDeadJumps = 28;
constexpr int kDeadConstants = 13;  // 10 bytes of machine code each

bool divides_by_register(const Insn& insn) {
    const std::uint8_t cls = op::insn_class(insn.code);
    const std::uint8_t operation = op::operation(insn.code);
    return (cls == op::kAlu || cls == op::kAlu64) && op::is_reg_source(insn.code) &&
           (operation == op::kDiv || operation == op::kMod);
}

}  // namespace

Assembler::Label Assembler::new_label() {
    bound_.push_back(UINT32_MAX);
    return static_cast<Label>(bound_.size() - 1);
}

void Assembler::bind(Label label) {
    bound_[label] = static_cast<std::uint32_t>(items_.size());
}

void Assembler::emit(const Insn& insn) {
    items_.push_back({.insn = insn, .origin = origin_});
}

void Assembler::load_constant(Reg dst, std::uint64_t value) {
    items_.push_back({.insn = make_insn(op::kLdImm64, dst, 0, 0, static_cast<std::int32_t>(value)),
                      .high = static_cast<std::int32_t>(value >> 32U),
                      .origin = origin_});
}

void Assembler::jump(const Insn& insn, Label target) {
    items_.push_back({.insn = insn, .target = target, .origin = origin_});
}

Assembler::Label Assembler::stub(std::vector<Insn> body, Label target) {
    const Label entry = new_label();
    stubs_.push_back(
        {.entry = entry, .body = std::move(body), .target = target, .origin = origin_});
    return entry;
}

Assembler::Label Assembler::backward_stub(Label target) {
    for (const Stub& known : stubs_) {
        if (known.target == target && known.body.empty()) {
            return known.entry;
        }
    }
    return stub({}, target);
}

bool Assembler::needs_jump_padding() const {
    return std::any_of(items_.begin(), items_.end(), [](const Item& item) {
        return !item.removed && (item.target != kNoLabel || divides_by_register(item.insn));
    });
}

void Assembler::prepend(bool jump_padding, bool needs_frame) {
    const Label start = new_label();
    std::vector<Item> front;
    if (jump_padding) {
        front.push_back({.insn = jump_always(), .target = start});
        for (int i = 0; i < kDeadJumps; i++) {
            front.push_back({.insn = jump_always()});  // offset 0: to the next one
        }
    }
    const auto padding = static_cast<std::uint32_t>(front.size());
    if (needs_frame) {
        front.push_back({.insn = mov64(kR0, kFrame)});
    }
    items_.insert(items_.begin(), front.begin(), front.end());
    for (std::uint32_t& at : bound_) {
        at += at != UINT32_MAX ? static_cast<std::uint32_t>(front.size()) : 0;
    }
    bound_[start] = padding;
}

void Assembler::remove_jumps_to_next() {
    // From the end, so that a chain of jumps to one place collapses in one go.
    for (std::size_t i = items_.size(); i-- > 0;) {
        Item& item = items_[i];
        if (!is_jump_always(item.insn) || item.target == kNoLabel || bound_[item.target] <= i) {
            continue;
        }
        const auto first = items_.begin() + static_cast<std::ptrdiff_t>(i) + 1;
        const auto last = items_.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(
                                               bound_[item.target], items_.size()));
        item.removed =
            std::all_of(first, last, [](const Item& skipped) { return skipped.removed; });
    }
}

void Assembler::route_backward_jumps() {
    for (std::size_t i = 0; i < items_.size(); i++) {
        const Label target = items_[i].target;
        if (target != kNoLabel && bound_[target] <= i) {
            items_[i].target = backward_stub(target);
        }
    }
}

void Assembler::append_stubs() {
    if (stubs_.empty()) {
        return;
    }
    for (int i = 0; i < kDeadConstants; i++) {
        load_constant(kR0, UINT64_MAX >> 1U);  // needs all 64 bits: the long form
    }
    for (const Stub& one : stubs_) {
        set_origin(one.origin);
        bind(one.entry);
        for (const Insn& insn : one.body) {
            emit(insn);
        }
        jump(jump_always(), one.target);
    }
}

std::vector<std::uint32_t> Assembler::slots() const {
    std::vector<std::uint32_t> slot_of(items_.size() + 1);
    for (std::size_t i = 0; i < items_.size(); i++) {
        const std::uint32_t width = items_[i].insn.code == op::kLdImm64 ? 2 : 1;
        slot_of[i + 1] = slot_of[i] + (items_[i].removed ? 0 : width);
    }
    return slot_of;
}

Result<std::vector<Insn>> Assembler::finish(bool needs_frame) {
    set_origin(kNoOrigin);
    bind(exit_);
    emit(make_insn(opcode(op::kJmp | op::kExit), 0, 0, 0, 0));
    remove_jumps_to_next();
    route_backward_jumps();
    prepend(needs_jump_padding(), needs_frame);
    append_stubs();

    const std::vector<std::uint32_t> slot_of = slots();
    std::vector<Insn> out;
    out.reserve(slot_of.back());
    for (const Item& item : items_) {
        if (item.removed) {
            continue;
        }
        Insn insn = item.insn;
        if (item.target != kNoLabel) {
            CREMA_CHECK(bound_[item.target] != UINT32_MAX);
            const std::int64_t distance = std::int64_t{slot_of[bound_[item.target]]} -
                                          static_cast<std::int64_t>(out.size()) - 1;
            if (distance < INT16_MIN || distance > INT16_MAX) {
                return fail(E2BIG, "a jump over {} lowered instructions, at most 32767", distance);
            }
            insn.off = static_cast<std::int16_t>(distance);
        }
        out.push_back(insn);
        if (insn.code == op::kLdImm64) {
            out.push_back(make_insn(0, 0, 0, 0, item.high));
        }
        origins_.resize(out.size(), item.origin);
    }
    return out;
}

}  // namespace crema::ebpf::lowering
