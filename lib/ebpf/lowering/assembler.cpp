// SPDX-License-Identifier: BSD-3-Clause
//
// Collecting items, and their encoding once a layout (layout.cpp) has placed them; see assembler.h
// for the picture.
#include "lib/ebpf/lowering/assembler.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "lib/base/check.h"
#include "lib/ebpf/lowering/layout.h"

namespace crema::ebpf::lowering {

Assembler::Label Assembler::new_label() {
    bound_.push_back(kNotBound);
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

void Assembler::load_address_of(Reg dst, std::uint32_t function) {
    items_.push_back(
        {.insn = make_insn(op::kLdImm64, dst, 0, 0, 0), .function = function, .origin = origin_});
}

void Assembler::jump(const Insn& insn, Label target) {
    items_.push_back({.insn = insn, .target = target, .origin = origin_});
}

Assembler::Label Assembler::stub(std::vector<Insn> body, Label target) {
    const Label label = new_label();
    stubs_.emplace(label, Stub{.body = std::move(body), .target = target, .origin = origin_});
    return label;
}

void Assembler::remove_jumps_to_next() {
    // From the end, so that a chain of jumps to one place collapses in one go.
    std::size_t next_kept = items_.size();
    for (std::size_t i = items_.size(); i-- > 0;) {
        Item& item = items_[i];
        const bool leads_on = is_jump_always(item.insn) && item.target != kNoLabel &&
                              stubs_.count(item.target) == 0 && bound_[item.target] > i &&
                              bound_[item.target] <= next_kept;
        item.removed = leads_on;
        next_kept = leads_on ? next_kept : i;
    }
}

// E2BIG: a jump is longer than its field.
Result<std::vector<Insn>> Assembler::encode(const std::vector<Item>& items,
                                            const std::vector<std::uint32_t>& bound) {
    std::vector<std::uint32_t> slot_of;
    slot_of.reserve(items.size() + 1);
    std::uint32_t slots = 0;
    for (const Item& item : items) {
        slot_of.push_back(slots);
        slots += item.insn.code == op::kLdImm64 ? 2 : 1;
    }
    slot_of.push_back(slots);
    std::vector<Insn> out;
    out.reserve(slots);
    addresses_.clear();
    origins_.clear();
    for (const Item& item : items) {
        Insn insn = item.insn;
        if (item.target != kNoLabel) {
            CREMA_CHECK(bound[item.target] != kNotBound);
            const std::int64_t distance = std::int64_t{slot_of[bound[item.target]]} -
                                          static_cast<std::int64_t>(out.size()) - 1;
            if (distance < INT16_MIN || distance > INT16_MAX) {
                return fail(E2BIG, "a jump over {} lowered instructions, at most 32767", distance);
            }
            insn.off = static_cast<std::int16_t>(distance);
        }
        if (item.function != UINT32_MAX) {
            addresses_.push_back(
                {.insn = static_cast<std::uint32_t>(out.size()), .function = item.function});
        }
        out.push_back(insn);
        if (insn.code == op::kLdImm64) {
            out.push_back(make_insn(0, 0, 0, 0, item.high));
        }
        origins_.resize(out.size(), item.origin);
    }
    return out;
}

Result<std::vector<Insn>> Assembler::finish(bool needs_frame) {
    set_origin(kNoOrigin);
    bind(exit_);
    emit(make_insn(opcode(op::kJmp | op::kExit), 0, 0, 0, 0));
    remove_jumps_to_next();
    // Without islands, with few and small ones, with many and large ones.
    constexpr Spacing kSpacings[] = {{0, 0}, {24'000, 2'000}, {7'000, 7'500}};
    for (const Spacing& spacing : kSpacings) {
        Layout layout(*this, spacing);
        if (!layout.route()) {
            continue;
        }
        layout.place(needs_frame);
        auto out = encode(layout.items(), layout.bound());
        if (out) {
            return out;
        }
    }
    return fail(E2BIG, "too many jumps over more than 32767 lowered instructions");
}

}  // namespace crema::ebpf::lowering
