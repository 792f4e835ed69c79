// SPDX-License-Identifier: BSD-3-Clause
//
// What can be said about a program without running it: where its functions begin, every opcode
// exists, the two halves of LD_IMM64 belong together, jumps stay inside their function, nothing is
// unreachable, no function falls off its end. Also the successors of an instruction, which liveness
// and the verifier walk.
//
// Does not look at register contents; fields that the kernel judges only on reached instructions
// are judged by check_reserved_fields(), which the verifier calls when it gets there.
// Source: RFC 9669 and the kernel's wording as measured (docs of the verifier room).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lib/ebpf/program/instruction.h"
#include "lib/ebpf/program/program.h"

namespace crema::ebpf {

/// Why an instruction is refused. `code` is the kernel's errno, `reason` the kernel's words.
struct Refusal {
    int code = 0;
    std::uint32_t insn = 0;
    std::string reason;
};

inline constexpr std::size_t kFunctionsMax = 256;

/// Fills Program::functions from the calls and addresses of functions in `insns`: the first
/// function starts at 0, every other one where something names it. Names and types stay as they
/// are for functions that were known before.
[[nodiscard]] std::optional<Refusal> find_functions(Program& program);
/// The same into `functions`, for who may not change the program.
[[nodiscard]] std::optional<Refusal> find_functions(std::span<const Insn> insns,
                                                    std::vector<Function>& functions);

/// Index into `functions` of the one that instruction `insn` lies in.
[[nodiscard]] std::uint32_t function_of(std::span<const Function> functions, std::uint32_t insn);

/// The slot of the function that `insn` at `index` calls or whose address it takes, else nullopt.
/// May lie outside the program before find_functions() has passed.
[[nodiscard]] std::optional<std::int64_t> function_target(const Insn& insn, std::uint32_t index);

/// Whole-program checks; nullopt when the program is well formed. Finds the functions itself when
/// Program::functions is empty.
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
