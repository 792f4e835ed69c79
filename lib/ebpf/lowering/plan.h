// SPDX-License-Identifier: BSD-3-Clause
//
// How each call is compiled: as a call of a native function, or, for lookups in arrays, as a few
// instructions. Keys that are constants on the stack are found by a simple forward scan between
// places where paths join; such a lookup is a constant address, and the null check after it goes.
// Short keys of hash tables are loaded into registers, each part as wide as it was stored: a load
// that spans two fresh stores waits for both.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "lib/ebpf/helpers/map_natives.h"
#include "lib/ebpf/lowering/flow.h"
#include "lib/ebpf/program/program.h"
#include "lib/ebpf/verifier/verify.h"

namespace crema::ebpf::lowering {

struct CallPlan {
    enum class Kind : std::uint8_t { native, array, percpu_array, processor_id, register_lookup };
    Kind kind = Kind::native;
    /// native, helpers of hash maps: how wide the parts are in which the key was stored
    std::uint8_t piece_bytes = sizeof(std::uint32_t);
    std::optional<std::uint32_t> key;  // arrays and tail calls: when it is a constant
};

/// Kind::register_lookup: how the key gets into registers.
struct KeyLoad {
    struct Piece {
        std::uint8_t at = 0;     // byte of the key
        std::uint8_t bytes = 0;  // 1, 2, 4 or 8, within one word of the key
    };

    helpers::RegisterLookup lookup;
    std::optional<std::int32_t> frame_offset;  // of the key to r10; else r2 points to it
    std::vector<Piece> pieces;
};

struct FunctionPlan {
    bool needs_context = false;  // some call needs the XdpBuff of the run
    bool needs_counter = false;  // may_goto
};

struct Plan {
    std::vector<CallPlan> calls;               // by slot
    std::map<std::size_t, KeyLoad> key_loads;  // by slot
    std::vector<verifier::Branch> branches;    // by slot: the proof's, and null checks that fold
    std::vector<RegSet> call_reads;            // by slot
    std::vector<FunctionPlan> functions;       // as in Program::functions
    bool shares_context = false;               // a function other than the first needs the XdpBuff
};

[[nodiscard]] Plan make_plan(const Program& program,
                             const verifier::Proof& proof,
                             const Flow& flow,
                             std::span<const Function> functions);

}  // namespace crema::ebpf::lowering
