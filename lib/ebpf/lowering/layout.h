// SPDX-License-Identifier: BSD-3-Clause
//
// One try to lay items out (assembler.h): which jumps go straight to their target, which over an
// island, and where everything lies. Distances are judged by an upper bound, in which every island
// on the way is as large as it may become.
//
// The JIT passes over the whole program until no jump gets shorter. In a pass it takes the distance
// from where a jump is now to where its target was before, so that only some thirty jumps shrink in
// one, the first ones of the program that still can; and a jump whose length hangs on that of
// another one wavers until that has settled. Where a program has so many of either that the passes
// would take long, jumps that could become short go over an island instead and are long from the
// start.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "lib/ebpf/lowering/assembler.h"
#include "lib/ebpf/lowering/flow.h"

namespace crema::ebpf::lowering {

class Assembler::Layout {
  public:
    Layout(const Assembler& from, Spacing spacing);

    /// False: an island outgrows its room.
    [[nodiscard]] bool route();

    /// The items in order, and for each label the index of what it means.
    void place(bool needs_frame);

    [[nodiscard]] const std::vector<Item>& items() const { return placed_; }

    [[nodiscard]] const std::vector<std::uint32_t>& bound() const { return bound_; }

  private:
    struct Island {
        std::size_t behind = 0;   // number of items in front of it
        std::uint32_t slot = 0;   // of those items, islands not counted
        std::uint32_t slots = 0;  // taken
        std::vector<Item> items;
        std::vector<std::pair<Label, std::size_t>> labels;  // of items
    };

    [[nodiscard]] Label new_label();
    [[nodiscard]] bool reaches(std::uint32_t from, std::uint32_t to) const;
    [[nodiscard]] std::vector<bool> find_forced() const;
    [[nodiscard]] Label entry(std::size_t island, Label target);
    [[nodiscard]] Label move_stub(std::size_t island, const Stub& stub);
    void add(std::size_t island, const Item& item);
    void append_island(const Island& island, bool jump_over);
    [[nodiscard]] bool needs_jump_padding() const;
    /// What a function with calls needs at its start, if anything.
    [[nodiscard]] std::optional<Insn> aligning_insn() const;

    const Assembler& from_;
    const Spacing spacing_;
    std::vector<Item> items_;
    std::vector<std::uint32_t> slot_of_;  // by item, islands not counted
    std::vector<Island> islands_;         // the last one lies behind the exit
    std::map<std::pair<std::size_t, Label>, Label> entries_;
    Label labels_;
    std::vector<Item> placed_;
    std::vector<std::uint32_t> bound_;
};

}  // namespace crema::ebpf::lowering
