// SPDX-License-Identifier: BSD-3-Clause
//
// Proves an XDP program safe by path-sensitive abstract interpretation, in the kernel's manner and
// as permissive as a privileged kernel load, or says which instruction is not. Nothing runs that
// was not proved here. Lowering relies on the recorded facts.
//
// Served: ISA v1-v4, static and global functions, synchronous callbacks, may_goto, tail calls, the
// helpers of lib/ebpf/helpers. Everything else is refused with the instruction and the reason.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lib/base/result.h"
#include "lib/ebpf/program/program.h"

namespace crema::ebpf::verifier {

/// What a load or store touches. One instruction reaches one kind on all paths, else it is refused
/// (the kernel: "same insn cannot be used with different pointers"); packet, stack and map_value
/// may mix, then `memory`.
enum class Access : std::uint8_t { none, ctx, memory };

/// What lies where an access of kind `memory` reaches, as a set: of all explored paths. Packet
/// (metadata, too) and stack never overlap.
inline constexpr std::uint8_t kPacket = 1, kStack = 2, kOtherMemory = 4;

/// Which way a conditional jump goes on the explored paths.
enum class Branch : std::uint8_t { both, never_taken, always_taken };

/// InsnFacts::map of a call without map argument, and of one that reaches several maps, or one that
/// lies in a map.
inline constexpr std::int32_t kNoMap = -1, kMapVaries = -2;

struct InsnFacts {
    bool reachable = false;  // false: not verified, must not be compiled
    Access access = Access::none;
    std::uint8_t regions = 0;
    Branch branch = Branch::both;
    /// call with a map argument: index into Program::maps when it is the same on all paths
    std::int32_t map = kNoMap;
    /// call of a function or its address (kPseudoCall, kPseudoFunc): index into functions, or -1
    std::int32_t function = -1;
    /// conditional jumps, DIV/MOD and 32-bit operations: upper half of dst / src is known to be
    /// zero
    bool dst_upper_zero = false;
    bool src_upper_zero = false;
};

/// What a global function's prototype says of one argument.
struct GlobalArgument {
    enum class Kind : std::uint8_t { number, ctx, memory, dynptr, arena };

    Kind kind = Kind::number;
    std::uint32_t bytes = 0;  // memory
    bool nullable = false;    // memory
};

/// What is known of one function of the program (Program::functions, same index).
struct FunctionFacts {
    std::uint32_t stack_bytes = 0;  // deepest byte below r10 that is used, rounded up to 8
    bool reachable = false;         // false: never called, must not be compiled
    bool global = false;            // verified on its own, from its BTF prototype
    /// A helper calls it, as a C function of R1..R5, while the program runs (callback) or later on
    /// its own (async_callback). It may be called directly as well.
    bool callback = false;
    bool async_callback = false;
    bool tail_calls = false;    // has a tail call itself
    bool moves_packet = false;  // it, or what it calls, may make packet pointers stale
    /// Another program may stand for it: it takes these and gives a number. Of global functions,
    /// called or not, and of the first one.
    bool replaceable = false;
    std::vector<GlobalArgument> arguments;
};

struct Proof {
    std::vector<InsnFacts> insns;          // one per instruction slot
    std::vector<FunctionFacts> functions;  // one per function of the program
    std::uint32_t stack_bytes = 0;         // of the first function
    bool starts_with_context = true;       // R1 of the first function is the context of the run
    std::uint64_t processed_insns = 0;
};

struct Options {
    std::uint32_t log_level =
        0;  // as in bpf(2): 1 per-instruction state, 2 all states, 4 statistics
    std::uint64_t insns_max = 1'000'000;
    std::uint32_t pending_branches_max = 8192;
};

/// On refusal Error::code is the kernel's errno and the message is one line:
/// "program NAME: instruction N (source file:line): <kernel's reason>".
/// log: receives the kernel-style log when not null.
/// processed_insns: receives how many instructions were walked, also on refusal, when not null.
[[nodiscard]] Result<Proof> verify(const Program& program,
                                   const Options& options,
                                   std::string* log = nullptr,
                                   std::uint64_t* processed_insns = nullptr);

}  // namespace crema::ebpf::verifier
