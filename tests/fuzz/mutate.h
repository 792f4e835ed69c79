// SPDX-License-Identifier: BSD-3-Clause
//
// Valid programs with a little damage: what lies at the border of what verifiers accept.
#pragma once

#include "lib/ebpf/program/program.h"
#include "tests/fuzz/dice.h"
#include "tests/fuzz/shrink.h"

namespace crema::test::fuzz {

/// One to three changes of fields, or instructions taken out.
[[nodiscard]] inline ebpf::Program mutate(ebpf::Program program, Dice& dice) {
    for (int changes = dice.between(1, 3); changes > 0; --changes) {
        const int slots = static_cast<int>(program.insns.size());
        const int at = dice.below(slots);
        ebpf::Insn& insn = program.insns[static_cast<std::size_t>(at)];
        switch (dice.below(7)) {
            case 0:
                insn.imm = dice.constant();
                break;
            case 1:
                insn.imm = static_cast<std::int32_t>(
                    static_cast<std::uint32_t>(insn.imm) +
                    static_cast<std::uint32_t>(dice.pick({-8, -4, -1, 1, 4, 8})));
                break;
            case 2:
                insn.off = static_cast<std::int16_t>(insn.off + dice.between(-9, 9));
                break;
            case 3:
                insn.dst = static_cast<std::uint8_t>(dice.below(11)) & 0xfU;
                break;
            case 4:
                insn.src = static_cast<std::uint8_t>(dice.below(11)) & 0xfU;
                break;
            case 5:
                insn.code = static_cast<std::uint8_t>(insn.code ^ (1U << dice.below(8)));
                break;
            default:
                if (slots > 2) {
                    program = without(program, static_cast<std::uint32_t>(at),
                                      static_cast<std::uint32_t>(at + 1));
                }
                break;
        }
    }
    return program;
}

}  // namespace crema::test::fuzz
