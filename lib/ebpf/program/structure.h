// SPDX-License-Identifier: BSD-3-Clause
//
// What can be said about a program without running it: every opcode exists, the two halves of
// LD_IMM64 belong together, jumps stay inside, nothing is unreachable, nothing falls off the end.
// Also the successors of an instruction, which liveness and the verifier walk.
//
// Does not look at register contents; fields that the kernel judges only on reached instructions
// are judged by check_reserved_fields(), which the verifier calls when it gets there.
// Source: RFC 9669 and the kernel's wording as measured (docs of the verifier room).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "lib/ebpf/program/instruction.h"
#include "lib/ebpf/program/program.h"

namespace crema::ebpf {

/// Why an instruction is refused. `code` is the kernel's errno, `reason` the kernel's words.
struct Refusal {
    int code = 0;
    std::uint32_t insn = 0;
    std::string reason;
};

/// Whole-program checks; nullopt when the program is well formed.
[[nodiscard]] std::optional<Refusal> check_structure(const Program& program);

/// Fields of one reached instruction that must be zero, constant divisors and shift widths.
/// Registers above r10 are refused here too. nullopt when fine.
[[nodiscard]] std::optional<Refusal> check_reserved_fields(const Insn& insn, std::uint32_t index);

/// A form of the instruction set that is not served yet, by name ("MOVSX"), or null. Such an
/// instruction is legal for the kernel.
[[nodiscard]] const char* unserved_form(const Insn& insn);

[[nodiscard]] constexpr bool is_conditional_jump(const Insn& insn) {
    const std::uint8_t cls = op::insn_class(insn.code);
    const std::uint8_t operation = op::operation(insn.code);
    return (cls == op::kJmp || cls == op::kJmp32) && operation != op::kJa &&
           operation != op::kCall && operation != op::kExit;
}

[[nodiscard]] constexpr bool is_exit(const Insn& insn) {
    return insn.code == (op::kJmp | op::kExit);
}

[[nodiscard]] constexpr bool is_call(const Insn& insn) {
    return insn.code == (op::kJmp | op::kCall);
}

/// Successors in program order: fall-through first, then the jump target. Count 0..2.
struct Successors {
    std::array<std::int64_t, 2> target{};
    std::uint32_t count = 0;

    [[nodiscard]] std::span<const std::int64_t> all() const& { return {target.data(), count}; }

    [[nodiscard]] std::span<const std::int64_t> all() const&& =
        delete;  // would outlive the temporary
};

[[nodiscard]] Successors successors(const Insn& insn, std::uint32_t index);

}  // namespace crema::ebpf
