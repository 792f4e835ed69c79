// SPDX-License-Identifier: BSD-3-Clause
//
// A program as PROG_LOAD hands it over, with its map references resolved. Verifier, lowering and
// disassembly read it; nobody changes it.
//
// Normal form: an LD_IMM64 with src kPseudoMap or kPseudoMapValue carries in imm the index into
// `maps` (not a file descriptor); with kPseudoMapValue the second slot's imm is the byte offset
// inside the map's only value. kPseudoMapIdx* has been rewritten to these two. Calls of functions
// and LD_IMM64 of a function's address keep their relative form (target = slot + 1 + imm).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lib/ebpf/program/instruction.h"

namespace crema::ebpf {

namespace maps {
class Map;
}

/// Where an instruction comes from (BTF line info). `insn` ascends. The texts lie in Program::btf:
/// many lines may name the same long one.
struct SourceLine {
    std::uint32_t insn;
    std::uint32_t line;
    std::string_view file;
    std::string_view text;
};

/// One function of a program: slots [first, end). Functions lie one after the other and cover the
/// program; the first one is where a run starts. Calls (kPseudoCall) and addresses (kPseudoFunc)
/// name a function by the slot distance to its `first`.
struct Function {
    std::uint32_t first = 0;
    std::uint32_t end = 0;
    std::string name;            // from BTF; empty without
    std::uint32_t btf_type = 0;  // BTF_KIND_FUNC in Program::btf; 0: none
};

class Btf;

struct Program {
    std::string name;  // at most 15 characters, as in bpf(2)
    std::vector<Insn> insns;
    std::vector<std::shared_ptr<maps::Map>> maps;
    std::vector<SourceLine> lines;           // may be empty
    std::vector<Function> functions;         // by find_functions() (structure.h)
    std::shared_ptr<const Btf> btf;          // types of the object; may be null
    std::uint32_t expected_attach_type = 0;  // 33 devmap, 35 cpumap, 37 xdp
    std::uint32_t bound_ifindex = 0;         // of the device it was loaded for; 0: for any
    bool gpl_compatible = false;
    bool has_fd_array = false;
    bool has_frags = false;         // BPF_F_XDP_HAS_FRAGS
    bool strict_alignment = false;  // BPF_F_STRICT_ALIGNMENT: no access may be unaligned
    /// BPF_PROG_TYPE_EXT: runs in the place of a function of another program, with the arguments of
    /// its first function's prototype.
    bool is_extension = false;
    bool may_move_packet = true;   // an extension: the replaced function may, too
    bool test_state_freq = false;  // BPF_F_TEST_STATE_FREQ: a state to prune with at each chance
};

inline constexpr std::uint32_t kAttachXdpDevmap = 33, kAttachXdpCpumap = 35, kAttachXdp = 37;

}  // namespace crema::ebpf
