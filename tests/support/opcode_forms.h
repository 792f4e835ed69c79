// SPDX-License-Identifier: BSD-3-Clause
//
// Every form of every instruction that computes, moves or compares, for tests that walk the whole
// instruction set, and a program around one form that feeds it operands from the packet and leaves
// everything that it changed there.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lib/ebpf/program/program.h"

namespace crema::test {

/// An instruction with dst 1 and src 2; placed() gives it other registers. Memory forms access
/// offset -8 of the frame; jumps lead over one instruction.
struct OpcodeForm {
    std::string name;  // as the kernel's log prints it
    ebpf::Insn insn;
};

[[nodiscard]] const std::vector<OpcodeForm>& opcode_forms();

/// The registers of a form in one program.
struct Placement {
    int dst;
    int src;
    bool others_live;  // the other registers are read afterwards
};

[[nodiscard]] const std::vector<Placement>& placements();

inline constexpr std::uint32_t kRecordBytes = 64;
inline constexpr std::uint32_t kRecords = 54;  // of one packet

/// One packet is kRecords records: operands dst, src, r0, memory in; the same four out.
[[nodiscard]] ebpf::Program program_around(const OpcodeForm& form, const Placement& placement);

/// Packets of records whose operands are edges of all widths, crossed, and random ones.
[[nodiscard]] std::vector<std::vector<std::uint8_t>> operand_packets(std::uint64_t seed);

}  // namespace crema::test
