// SPDX-License-Identifier: BSD-3-Clause
//
// Islands and the final order of items.
// Source of the figures: measurements on DPDK 22.11's x86 JIT (prologue at most 47 bytes, epilogue
// growth at most 33, a jump shrinks from 5 to 2 bytes: 28 of them give 84).
#include "lib/ebpf/lowering/layout.h"

#include <algorithm>
#include <bit>

#include "lib/base/check.h"
#include "lib/ebpf/lowering/jit_rules.h"
#include "lib/ebpf/lowering/native_size.h"

namespace crema::ebpf::lowering {

namespace {

constexpr int kDeadJumps = 28;
constexpr int kDeadConstants = 13;  // 10 bytes of machine code each
constexpr std::uint32_t kReach = INT16_MAX;
constexpr std::uint32_t kFrontSlots = 32;  // at most

bool divides_by_register(const Insn& insn) {
    const std::uint8_t cls = op::insn_class(insn.code);
    const std::uint8_t operation = op::operation(insn.code);
    return (cls == op::kAlu || cls == op::kAlu64) && op::is_reg_source(insn.code) &&
           (operation == op::kDiv || operation == op::kMod);
}

std::uint32_t slots_of(const Insn& insn) {
    return insn.code == op::kLdImm64 ? 2 : 1;
}

}  // namespace

Assembler::Layout::Layout(const Assembler& from, Spacing spacing)
    : from_(from),
      spacing_(spacing),
      items_(from.items_),
      labels_(static_cast<Label>(from.bound_.size())) {
    slot_of_.reserve(items_.size() + 1);
    std::uint32_t slot = 0;
    std::uint32_t next_island = spacing.apart;
    for (std::size_t i = 0; i < items_.size(); i++) {
        if (spacing.apart != 0 && slot >= next_island) {
            islands_.push_back({.behind = i, .slot = slot, .items = {}, .labels = {}});
            next_island = slot + spacing.apart;
        }
        slot_of_.push_back(slot);
        slot += items_[i].removed ? 0 : slots_of(items_[i].insn);
    }
    slot_of_.push_back(slot);
    islands_.push_back({.behind = items_.size(), .slot = slot, .items = {}, .labels = {}});
}

Assembler::Label Assembler::Layout::new_label() {
    return labels_++;
}

// Between two places, by slots without islands.
bool Assembler::Layout::reaches(std::uint32_t from, std::uint32_t to) const {
    if (spacing_.apart == 0) {
        return true;  // judged when the program is encoded
    }
    const std::uint32_t distance = from < to ? to - from : from - to;
    const std::uint32_t crossed = distance / spacing_.apart + 2;
    return distance + crossed * spacing_.room + kFrontSlots <= kReach;
}

void Assembler::Layout::add(std::size_t island, const Item& item) {
    Island& to = islands_[island];
    to.slots += slots_of(item.insn);
    to.items.push_back(item);
}

// The label of a jump in the island that leads to `target`, directly or by the next island in that
// direction.
Assembler::Label Assembler::Layout::entry(std::size_t island, Label target) {
    const auto [known, is_new] = entries_.try_emplace({island, target}, kNoLabel);
    if (!is_new) {
        return known->second;
    }
    const Label label = new_label();
    known->second = label;
    CREMA_CHECK(from_.bound_[target] != kNotBound);
    const std::uint32_t goal = slot_of_[from_.bound_[target]];
    const std::uint32_t here = islands_[island].slot;
    islands_[island].labels.emplace_back(label, islands_[island].items.size());
    add(island, {.insn = jump_always(), .target = target});
    if (!reaches(here, goal)) {
        // The item is found again by its index: entry() may make the vector grow.
        const std::size_t at = islands_[island].items.size() - 1;
        const Label via = entry(goal > here ? island + 1 : island - 1, target);
        islands_[island].items[at].target = via;
    }
    return label;
}

Assembler::Label Assembler::Layout::move_stub(std::size_t island, const Stub& stub) {
    const Label label = new_label();
    islands_[island].labels.emplace_back(label, islands_[island].items.size());
    for (const Insn& insn : stub.body) {
        add(island, {.insn = insn, .origin = stub.origin});
    }
    CREMA_CHECK(from_.bound_[stub.target] != kNotBound);
    const std::uint32_t goal = slot_of_[from_.bound_[stub.target]];
    const bool direct = reaches(islands_[island].slot, goal);
    add(island, {.insn = jump_always(), .target = stub.target, .origin = stub.origin});
    if (!direct) {
        const std::size_t at = islands_[island].items.size() - 1;
        const Label via = entry(island, stub.target);
        islands_[island].items[at].target = via;
    }
    return label;
}

// By item: the forward jumps that must not become short. None when the JIT can afford its passes.
std::vector<bool> Assembler::Layout::find_forced() const {
    constexpr std::uint32_t kShortReach = INT8_MAX;
    constexpr std::uint64_t kJumpsPerPass = 32;
    // Instructions visited in all passes; 9 ns each as measured: about a second.
    constexpr std::uint64_t kVisitsMax = 100'000'000;
    std::vector<NativeSize> before(items_.size() + 1);  // bytes of the items in front
    for (std::size_t i = 0; i < items_.size(); i++) {
        const NativeSize size = items_[i].removed ? NativeSize{} : native_size(items_[i].insn);
        before[i + 1] = {before[i].least + size.least, before[i].most + size.most};
    }
    std::vector<bool> shrinks(items_.size());
    std::uint64_t shrinking = 0;
    std::uint64_t wavering = 0;
    for (std::size_t i = 0; i < items_.size(); i++) {
        const Label target = items_[i].target;
        if (target == kNoLabel || items_[i].removed || from_.bound_[target] == kNotBound ||
            from_.bound_[target] <= i) {
            continue;
        }
        const std::uint32_t bound = from_.bound_[target];
        shrinks[i] = before[bound].least - before[i + 1].least <= kShortReach;
        shrinking += shrinks[i] ? 1 : 0;
        wavering += shrinks[i] && before[bound].most - before[i + 1].most > kShortReach ? 1 : 0;
    }
    if ((shrinking / kJumpsPerPass + wavering) * items_.size() <= kVisitsMax) {
        shrinks.assign(items_.size(), false);
    }
    return shrinks;
}

bool Assembler::Layout::route() {
    const std::vector<bool> forced =
        kJumpsHaveTwoSizes ? find_forced() : std::vector<bool>(items_.size(), false);
    std::size_t island = 0;
    for (std::size_t i = 0; i < items_.size(); i++) {
        while (islands_[island].behind <= i) {
            island++;
        }
        const Label target = items_[i].target;
        if (target == kNoLabel || items_[i].removed) {
            continue;
        }
        if (const auto stub = from_.stubs_.find(target); stub != from_.stubs_.end()) {
            items_[i].target = move_stub(island, stub->second);
            continue;
        }
        const std::uint32_t bound = from_.bound_[target];
        CREMA_CHECK(bound != kNotBound);
        if ((kJumpsHaveTwoSizes && (bound <= i || forced[i])) ||
            !reaches(slot_of_[i], slot_of_[bound])) {
            items_[i].target = entry(island, target);
        }
    }
    // An island has its jump over itself and the dead constants besides.
    constexpr std::uint32_t kOwn = 1 + 2 * kDeadConstants;
    return spacing_.apart == 0 ||
           std::all_of(islands_.begin(), islands_.end(),
                       [this](const Island& one) { return one.slots + kOwn <= spacing_.room; });
}

bool Assembler::Layout::needs_jump_padding() const {
    return kJumpsHaveTwoSizes && std::any_of(items_.begin(), items_.end(), [](const Item& item) {
               return !item.removed && (item.target != kNoLabel || divides_by_register(item.insn));
           });
}

// At a call the stack must be aligned to 16 bytes. With a frame its size sees to that, and the JIT
// makes one where r10 occurs. Without, it is aligned where the JIT saves an odd number of r6..r9;
// else one more of them is made to occur, which costs less than a frame.
std::optional<Insn> Assembler::Layout::aligning_insn() const {
    RegSet used = 0;
    const auto note = [&used](const Item& item) { used |= registers_in_code(item.insn); };
    for (const Item& item : items_) {
        if (!item.removed) {
            note(item);
        }
    }
    for (const Island& island : islands_) {
        std::for_each(island.items.begin(), island.items.end(), note);
    }
    constexpr RegSet kSaved = 0x3c0;  // r6..r9
    if ((used & reg_bit(kFrame)) != 0 || std::popcount(used & kSaved) % 2 == 1) {
        return std::nullopt;
    }
    for (Reg reg = 6; reg < kFrame; reg++) {
        if ((used & reg_bit(reg)) == 0) {
            return mov32(reg, reg);
        }
    }
    return mov64(kR0, kFrame);
}

void Assembler::Layout::append_island(const Island& island, bool jump_over) {
    if (island.items.empty()) {
        return;
    }
    if (jump_over) {
        const Label over = new_label();
        bound_.resize(labels_, kNotBound);
        placed_.push_back({.insn = jump_always(), .target = over});
        bound_[over] = static_cast<std::uint32_t>(placed_.size()) +
                       (kJumpsHaveTwoSizes ? kDeadConstants : 0) +
                       static_cast<std::uint32_t>(island.items.size());
    }
    for (int i = 0; kJumpsHaveTwoSizes && i < kDeadConstants; i++) {
        // Needs all 64 bits: the long form.
        placed_.push_back({.insn = make_insn(op::kLdImm64, kR0, 0, 0, -1), .high = INT32_MAX});
    }
    for (const auto& [label, index] : island.labels) {
        bound_[label] = static_cast<std::uint32_t>(placed_.size() + index);
    }
    placed_.insert(placed_.end(), island.items.begin(), island.items.end());
}

void Assembler::Layout::place(bool needs_frame) {
    bound_.assign(labels_, kNotBound);
    if (needs_jump_padding()) {
        const Label start = new_label();
        bound_.resize(labels_, kNotBound);
        placed_.push_back({.insn = jump_always(), .target = start});
        for (int i = 0; i < kDeadJumps; i++) {
            placed_.push_back({.insn = jump_always()});  // offset 0: to the next one
        }
        bound_[start] = static_cast<std::uint32_t>(placed_.size());
    }
    if (kStackMustBeAligned && needs_frame) {
        if (const auto touch = aligning_insn()) {
            placed_.push_back({.insn = *touch});
        }
    }
    std::vector<std::uint32_t> place_of(items_.size() + 1);
    std::size_t island = 0;
    for (std::size_t i = 0; i < items_.size(); i++) {
        if (islands_[island].behind == i) {
            append_island(islands_[island], true);
            island++;
        }
        place_of[i] = static_cast<std::uint32_t>(placed_.size());
        if (!items_[i].removed) {
            placed_.push_back(items_[i]);
        }
    }
    place_of[items_.size()] = static_cast<std::uint32_t>(placed_.size());
    append_island(islands_[island], false);
    for (std::size_t label = 0; label < from_.bound_.size(); label++) {
        if (from_.bound_[label] != kNotBound) {
            bound_[label] = place_of[from_.bound_[label]];
        }
    }
}

}  // namespace crema::ebpf::lowering
