// SPDX-License-Identifier: BSD-3-Clause
//
// Where instructions lead, so that programs can be taken apart and put together again.
#pragma once

#include <cstdint>
#include <optional>

#include "lib/ebpf/program/instruction.h"
#include "lib/ebpf/program/structure.h"

namespace crema::test::fuzz {

/// Where the instruction leads besides the next one: as distance from the next, if at all.
[[nodiscard]] inline std::optional<std::int32_t> distance(const ebpf::Insn& insn) {
    namespace op = ebpf::op;
    if (insn.code == (op::kJmp32 | op::kJa) ||
        (insn.code == (op::kJmp | op::kCall) && insn.src == op::kPseudoCall) ||
        (insn.code == op::kLdImm64 && insn.src == op::kPseudoFunc)) {
        return insn.imm;
    }
    if (insn.code == (op::kJmp | op::kJa) || insn.code == (op::kJmp | op::kJcond) ||
        ebpf::is_conditional_jump(insn)) {
        return insn.off;
    }
    return std::nullopt;
}

/// insn: one that has a distance.
inline void set_distance(ebpf::Insn& insn, std::int32_t to) {
    namespace op = ebpf::op;
    const std::uint8_t cls = op::insn_class(insn.code);
    const bool short_jump = cls == op::kJmp && insn.code != (op::kJmp | op::kCall);
    if (short_jump || ebpf::is_conditional_jump(insn)) {
        insn.off = static_cast<std::int16_t>(to);
    } else {
        insn.imm = to;
    }
}

}  // namespace crema::test::fuzz
