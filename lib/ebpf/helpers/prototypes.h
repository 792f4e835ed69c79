// SPDX-License-Identifier: BSD-3-Clause
//
// Helper prototypes as data: the verifier checks calls against them, lowering binds the native
// function. A helper that is not in this table is refused at load, by name and instruction.
#pragma once

#include <cstdint>
#include <span>

#include "lib/ebpf/maps/map.h"

namespace crema::ebpf::helpers {

enum class Arg : std::uint8_t {
    none,      // argument unused
    ctx,       // the program's context
    map,       // const map pointer (LD_IMM64 kPseudoMap)
    map_key,   // readable memory of key_size bytes of the map argument
    anything,  // any initialised register
};

enum class Return : std::uint8_t { integer, map_value_or_null };

/// What a call compiles to: r1..r5 as in BPF, r0 as result. A helper with `wants_context` gets the
/// XdpBuff* of the running program in r5 (lowering loads it), whatever the program had there.
using Native = std::uint64_t (*)(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t r3, std::uint64_t r4, std::uint64_t r5);

struct Prototype {
    std::uint32_t id;
    const char* name;  // without "bpf_"
    Return returns;
    Arg args[5];
    bool moves_packet;   // invalidates all packet pointers
    bool wants_context;  // native function takes XdpBuff* in r5
    bool gpl_only;
    Native native;  // generic form; lowering may choose a better one for the map type
};

/// Null when the helper is not served.
[[nodiscard]] const Prototype* find(std::uint32_t id);

/// Kernel name of helper `id` without "bpf_", also for helpers that are not served; "unknown" when
/// the kernel has none of that number.
[[nodiscard]] const char* name_of(std::uint32_t id);

[[nodiscard]] bool takes_map_type(std::uint32_t helper_id, maps::MapType type);

/// The native function for helper `id` on a map of type `type`; falls back to Prototype::native.
[[nodiscard]] Native native_for(std::uint32_t id, maps::MapType type);

[[nodiscard]] std::span<const Prototype> all();

}  // namespace crema::ebpf::helpers
