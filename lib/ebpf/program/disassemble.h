// SPDX-License-Identifier: BSD-3-Clause
//
// Instructions as text, in the notation of the kernel's verifier log ("r1 = *(u32 *)(r1 +4)"), so
// that logs and errors read as people know them. For people and tests only; nothing parses it.
// Does not judge: an instruction that makes no sense is printed by its fields.
#pragma once

#include <cstdint>
#include <string>

#include "lib/ebpf/program/instruction.h"

namespace crema::ebpf {

/// Gives the name of a helper without "bpf_"; null where the caller has none (then "helper").
using HelperName = const char* (*)(std::uint32_t id);

/// Gives the name of a kernel function; null for one that it does not know.
using KfuncName = const char* (*)(std::int32_t btf_id);

/// Text of the instruction at `insn` without its opcode number. `next_imm` is the imm of the
/// following slot and only read for the two-slot LD_IMM64.
[[nodiscard]] std::string disassemble(const Insn& insn,
                                      std::int32_t next_imm = 0,
                                      HelperName helper_name = nullptr,
                                      KfuncName kfunc_name = nullptr);

/// The operator of an ALU operation as the kernel prints it: "+=", "s>>=", ...
[[nodiscard]] const char* alu_operator(std::uint8_t code);

}  // namespace crema::ebpf
