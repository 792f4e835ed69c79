// SPDX-License-Identifier: BSD-3-Clause
//
// Makes a program that shows something smaller while it still shows it: takes instructions out
// (jumps over the gap are mended), replaces what is left by simpler ones, and then drops packets.
// What is tried may be invalid; the predicate decides.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "lib/ebpf/program/program.h"
#include "tests/fuzz/trial.h"

namespace crema::test::fuzz {

struct Case {
    ebpf::Program program;
    std::vector<Packet> packets;
};

using StillShows = std::function<bool(const Case&)>;

/// trials_max bounds the number of calls of `shows`. The case given must show it.
[[nodiscard]] Case shrink(const Case& from, const StillShows& shows, int trials_max = 12000);

/// `program` without slots [first, end), jumps and calls mended: those into the gap lead to what
/// follows it. Halves of two-slot constants are never parted: the range grows to hold both.
[[nodiscard]] ebpf::Program without(const ebpf::Program& program,
                                    std::uint32_t first,
                                    std::uint32_t end);

/// The case as source of a test: program in the manner of tests/support/asm.h, packet bytes.
[[nodiscard]] std::string source_form(const Case& shown, const Judgement& judgement);

}  // namespace crema::test::fuzz
